// What the parts of the runtime know of each other.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <list>
#include <ucontext.h>
#include <vector>

#include "cuda.h"

extern "C" {
struct Report {
  char what[400], file[200];
  int line;
  unsigned block[3], thread[3];
  unsigned long long address, code;  // of a bad access, and of who did it
  unsigned long long other_code;     // of who else did
};
}

#if defined(__x86_64__) && !defined(EMULATOR_PORTABLE)
// rdi: where to leave this stack pointer; rsi: the one to go on with
extern "C" void emulator_switch(void** leave, void* enter) __attribute__((visibility("hidden")));

struct Context {
  void* stack_pointer;
  void make(char* stack, size_t size, void (*entry)()) {
    void** top = reinterpret_cast<void**>(stack + size) - 1;  // as after a call: off 16 by 8
    *--top = reinterpret_cast<void*>(entry);
    stack_pointer = top - 6;  // six registers, of any value
  }
  void go(Context& next) { emulator_switch(&stack_pointer, next.stack_pointer); }
};
#else
struct Context {
  ucontext_t saved;
  void make(char* stack, size_t size, void (*entry)()) {
    getcontext(&saved);
    saved.uc_stack.ss_sp = stack;
    saved.uc_stack.ss_size = size;
    saved.uc_link = nullptr;
    makecontext(&saved, entry, 0);
  }
  void go(Context& next) { swapcontext(&saved, &next.saved); }
};
#endif

namespace emulator {

enum class State { fresh, ready, at_barrier, in_warp, left };
struct Copy {
  char* to;
  const char* from;
  int bytes, filled;
};
struct Fiber : Thread {
  State state;
  Place place;
  Context context;
  std::vector<Copy> open;
  std::vector<std::vector<Copy>> groups;
  unsigned shown, shown_before;  // calls of show_shared(); of them, before the last barrier
};
struct Sums {  // of a warp; what it holds itself is poison meanwhile
  float (*d[32])[4];
  float values[32][8][4];
  int under_way;  // products into them
};
struct Product {
  Place place;
  Multiply multiply;
  const char* rows;
  unsigned a[32][4];
  const unsigned* registers[32];
  bool add;
  Sums* sums;
};
struct Form {  // of a product, which four warps have in common
  unsigned long long rows;
  bool add;
  Multiply multiply;
  Place place;
  bool operator==(const Form& other) const {
    return rows == other.rows && add == other.add && multiply == other.multiply && place.line == other.place.line;
  }
};
struct Products {  // of a warp
  bool begun;
  std::vector<Product> open;
  std::vector<std::vector<Product>> groups;
  std::list<Sums> sums;
  std::vector<Form> given;  // since the kernel began
};
struct Warp {
  unsigned arrived, mask, syncs;
  Place place;
  Lane in[32], out[32];
  Products products;
};

extern std::vector<Fiber> fibers;
extern std::vector<Warp> warps;
extern Report* report;
extern char *shared_window, *shared_start, *shared_end;  // the window is what shared_address() counts from
inline Fiber& me() { return *static_cast<Fiber*>(self); }
void note(Place, const char* format, ...);  // a fault, but go on

// products.cpp
Place reader_of(uintptr_t);  // a product under way
void leave_products();

// races.cpp
void watch(uintptr_t start, uintptr_t end, size_t grain, bool shared);
void watch_nothing();
void count_block();
void count_barrier();
void touch(const void*, size_t bytes, bool write, const void* code);
void mark_copy(const void* to, size_t bytes, bool under_way);
void start_reading(const Product&, const void* part, size_t bytes);
void end_reading(const void* part, size_t bytes);

}  // namespace emulator

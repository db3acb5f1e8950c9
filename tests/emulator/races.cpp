// Who touched which byte last, so that accesses without a barrier between them are found whatever the
// schedule.  g++ -fsanitize=thread calls __tsan_read4(address) and the like before every access to
// memory; here they mean:
//
//   shared memory   two threads of a block, one writes, no __syncthreads (in a warp: __syncwarp)
//                   between them; bytes that nobody wrote; bytes an asynchronous copy is under way to
//   products        what they read there: a barrier behind who wrote it and showed it to them, and
//                   nobody writes it until they are waited for
//   arrays          the same in a block; and two blocks, one of which writes: nothing orders them
//
// Atomic operations are not looked at.
#include <sys/mman.h>

#include "runtime.h"

namespace emulator {
namespace {

struct Access {
  unsigned block, epoch, sync;  // blocks count from 1 in a launch; epochs are barriers passed
  int thread;
  const void* code;
};
struct Cell {  // of a grain: as few bytes as are written together
  Access write, read;
  unsigned shown;  // by the thread that wrote, before it did
  unsigned short products;  // that read this and are under way
  bool several_lanes : 1, several_warps : 1;  // read in this epoch
  bool on_its_way : 1;
};
struct Region {
  uintptr_t start, end;
  size_t grain;
  bool shared;
  Cell* cells;
  size_t size;  // bytes of cells
};

std::vector<Region> regions;
unsigned block_number, epoch;

Access now(const void* code) {
  const Fiber& f = me();
  return {block_number, epoch, warps[f.warp].syncs, f.warp * 32 + f.lane, code};
}

bool ordered(const Region& r, const Access& before, const Access& after) {
  if (before.block != after.block) return before.block == 0 || r.shared;
  if (before.thread == after.thread || before.epoch < after.epoch) return true;
  return before.thread / 32 == after.thread / 32 && before.sync < after.sync;
}

void report_race(const Access& other, bool wrote, const void* code) {
  report->code = reinterpret_cast<uintptr_t>(code);
  report->other_code = reinterpret_cast<uintptr_t>(other.code);
  if (other.block != block_number)
    fail({"", 0}, "race: another block %s this array, too, thread %d", wrote ? "wrote" : "read", other.thread);
  const char* who = other.code ? "thread" : "a product of thread";
  fail({"", 0}, "race: %s %d %s this, too, and no barrier is between", who, other.thread, wrote ? "wrote" : "read");
}

void touch(Region& r, Cell& c, bool write, const Access& a) {
  const bool read_now = c.read.block == a.block && c.read.epoch == a.epoch;
  if (c.on_its_way) {
    report->code = reinterpret_cast<uintptr_t>(a.code);
    fail({"", 0}, "race: an asynchronous copy to this is under way");
  }
  if (!ordered(r, c.write, a)) report_race(c.write, true, a.code);
  if (!write) {
    if (r.shared && c.write.block != a.block) {
      report->code = reinterpret_cast<uintptr_t>(a.code);
      fail({"", 0}, "reads shared memory that nobody wrote");
    }
    if (!read_now) c.several_lanes = c.several_warps = false;
    else if (c.read.thread / 32 != a.thread / 32) c.several_warps = true;
    else if (c.read.thread != a.thread) c.several_lanes = true;
    c.read = a;
    return;
  }
  if (c.products) {
    const Place reader = reader_of(r.start + (&c - r.cells) * r.grain);
    report->code = reinterpret_cast<uintptr_t>(a.code);
    fail({"", 0}, "race: a product under way reads this (%s:%d)", reader.file, reader.line);
  }
  Access reader = c.read;
  if (read_now && c.several_lanes && reader.thread == a.thread) reader.thread ^= 1;  // some other lane
  if (!ordered(r, reader, a) || (read_now && c.several_warps)) report_race(reader, false, a.code);
  c.write = a;
  c.shown = me().shown;
}

// does something with the cells of some bytes
template <class F> void each(const void* address, size_t bytes, F use) {
  const auto p = reinterpret_cast<uintptr_t>(address);
  for (Region& r : regions)
    if (p >= r.start && p < r.end) {
      const uintptr_t last = (p + bytes < r.end ? p + bytes : r.end) - 1;
      for (size_t i = (p - r.start) / r.grain; i <= (last - r.start) / r.grain; ++i) use(r, r.cells[i]);
      return;
    }
}

}  // namespace

void watch(uintptr_t start, uintptr_t end, size_t grain, bool shared) {
  if (start == end) return;
  const size_t size = (end - start + grain - 1) / grain * sizeof(Cell);  // zeros, pages when touched
  void* cells = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (cells == MAP_FAILED) abort();
  regions.push_back({start, end, grain, shared, static_cast<Cell*>(cells), size});
}
void watch_nothing() {
  for (Region& r : regions) munmap(r.cells, r.size);
  regions.clear();
  block_number = epoch = 0;
}
void count_block() { ++block_number; }
void count_barrier() { ++epoch; }

void touch(const void* address, size_t bytes, bool write, const void* code) {
  if (!self || !bytes) return;
  const Access a = now(code);
  each(address, bytes, [&](Region& r, Cell& c) { touch(r, c, write, a); });
}
void mark_copy(const void* to, size_t bytes, bool under_way) {
  each(to, bytes, [&](Region&, Cell& c) { c.on_its_way = under_way; });
}

// All four warps of a group read all of it, so that only a barrier of the block orders who wrote.
void start_reading(const Product& p, const void* part, size_t bytes) {
  each(part, bytes, [&](Region&, Cell& c) {
    if (c.on_its_way) fail(p.place, "race: an asynchronous copy to what a product reads is under way");
    if (c.write.block != block_number) fail(p.place, "a product reads shared memory that nobody wrote");
    if (c.write.epoch == epoch) {
      report->other_code = reinterpret_cast<uintptr_t>(c.write.code);
      fail(p.place, "race: thread %d wrote what a product reads, and no barrier is between", c.write.thread);
    }
    if (fibers[c.write.thread].shown_before <= c.shown) {
      report->other_code = reinterpret_cast<uintptr_t>(c.write.code);
      fail(p.place, "a product reads what thread %d has not shown to it by show_shared()", c.write.thread);
    }
    ++c.products;
  });
}
// Now it has read.  The warp's own lanes have all waited for it, so that they may write: sync is lowered.
void end_reading(const void* part, size_t bytes) {
  Access a = now(nullptr);
  --a.sync;
  each(part, bytes, [&](Region&, Cell& c) {
    --c.products;
    const bool read_now = c.read.block == a.block && c.read.epoch == a.epoch;
    if (read_now && c.read.thread / 32 == a.thread / 32) return;
    c.several_warps = read_now;
    if (!read_now) c.several_lanes = false;
    c.read = a;
  });
}

}  // namespace emulator

#define TOUCH(bytes)                                                                                             \
  extern "C" void __tsan_read##bytes(void* p) { emulator::touch(p, bytes, false, __builtin_return_address(0)); } \
  extern "C" void __tsan_write##bytes(void* p) { emulator::touch(p, bytes, true, __builtin_return_address(0)); } \
  extern "C" void __tsan_unaligned_read##bytes(void* p) { emulator::touch(p, bytes, false, __builtin_return_address(0)); } \
  extern "C" void __tsan_unaligned_write##bytes(void* p) { emulator::touch(p, bytes, true, __builtin_return_address(0)); }
TOUCH(1)
TOUCH(2)
TOUCH(4)
TOUCH(8)
TOUCH(16)
extern "C" void __tsan_read_range(void* p, size_t n) { emulator::touch(p, n, false, __builtin_return_address(0)); }
extern "C" void __tsan_write_range(void* p, size_t n) { emulator::touch(p, n, true, __builtin_return_address(0)); }
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}

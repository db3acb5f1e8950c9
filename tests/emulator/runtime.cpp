// Blocks, warps and barriers on one CPU thread: every CUDA thread is a fiber with a stack of its
// own, one block runs at a time, and a fiber runs until it waits for others.
//
// A warp runs until none of its lanes can go on; then the next one has its turn, so warps drift as
// far apart as barriers allow.  Schedules: 0 forward, 1 backward, others seed a random order of
// blocks, warps and lanes in which warps are interrupted anywhere they may be.
#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <link.h>
#include <random>
#include <sys/mman.h>

#include "runtime.h"

// ---------------------------------------------------------------- fibers
#if defined(__x86_64__) && !defined(EMULATOR_PORTABLE)
asm(R"(
.text
.hidden emulator_switch
.globl emulator_switch
.type emulator_switch, @function
emulator_switch:
  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
  ret
.size emulator_switch, . - emulator_switch
)");
#endif

namespace emulator {

constexpr size_t stack_size = 128 << 10, shared_limit = 227 << 10, window = 1 << 18, page = 4096;

Thread* self;
uint3 block;
dim3 block_size, grid_size;

std::vector<Fiber> fibers;
std::vector<Warp> warps;
Report* report;
static std::vector<char*> stacks;
static Context scheduler;
static Entry entry;
static void** arguments;
static bool failed;
static sigjmp_buf bad_access;
char *shared_window, *shared_start, *shared_end;
static std::minstd_rand random_bits;
static unsigned schedule;
static int threads;

static void note(Place place, const char* format, va_list values) {
  if (failed) return;  // the first one counts
  failed = true;
  vsnprintf(report->what, sizeof report->what, format, values);
  snprintf(report->file, sizeof report->file, "%s", place.file);
  report->line = place.line;
  report->block[0] = block.x, report->block[1] = block.y, report->block[2] = block.z;
  if (!self) return;
  report->thread[0] = self->index.x, report->thread[1] = self->index.y, report->thread[2] = self->index.z;
}
void note(Place place, const char* format, ...) {
  va_list values;
  va_start(values, format);
  note(place, format, values);
  va_end(values);
}
__attribute__((noinline)) static void wait(State state, Place place) {
  me().state = state;
  me().place = place;
  me().context.go(scheduler);
}
void fail(Place place, const char* format, ...) {
  va_list values;
  va_start(values, format);
  note(place, format, values);
  va_end(values);
  for (;;) wait(State::left, place);
}

static void run_thread() {
  entry(arguments);
  for (;;) wait(State::left, {"", 0});
}
static char* stack_of(size_t number) {
  while (stacks.size() <= number) {
    void* made = mmap(nullptr, page + stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made == MAP_FAILED) abort();
    mprotect(made, page, PROT_NONE);
    stacks.push_back(static_cast<char*>(made) + page);
  }
  return stacks[number];
}

// ---------------------------------------------------------------- waiting for each other
void barrier(Place place) { wait(State::at_barrier, place); }

static bool same(Place a, Place b) { return a.line == b.line && !strcmp(a.file, b.file); }

Lane collective(unsigned mask, const Lane& in, Meaning meaning, Place place) {
  Fiber& f = me();
  Warp& w = warps[f.warp];
  const Fiber* first = &fibers[f.warp * 32];
  const int lanes = min(32, threads - f.warp * 32);
  if (lanes < 32) mask &= (1u << lanes) - 1;
  if (!(mask >> f.lane & 1)) fail(place, "lane %d is not in its own mask", f.lane);
  for (int lane = 0; lane < lanes; ++lane)
    if (mask >> lane & 1 && first[lane].state == State::left)
      fail(place, "lane %d is waited for, but has left the kernel", lane);
  if (w.arrived && (w.mask != mask || !same(w.place, place)))
    fail(place, "the warp has diverged: other lanes wait at line %d", w.place.line);
  w.mask = mask;
  w.place = place;
  w.in[f.lane] = in;
  w.arrived |= 1u << f.lane;
  if (w.arrived == mask) {
    w.arrived = 0;
    meaning(mask, w.in, w.out, place);
    for (int lane = 0; lane < lanes; ++lane)
      if (mask >> lane & 1 && lane != f.lane) fibers[f.warp * 32 + lane].state = State::ready;
  } else {
    wait(State::in_warp, place);
  }
  return w.out[f.lane];
}

void copy_async(void* to, const void* from, int bytes, int filled, Place place) {
  if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % bytes)
    fail(place, "an asynchronous copy of %d bytes is misaligned", bytes);
  touch(from, filled, false, __builtin_return_address(0));
  touch(to, bytes, true, __builtin_return_address(0));
  mark_copy(to, bytes, true);
  memset(to, 0xff, bytes);
  me().open.push_back({static_cast<char*>(to), static_cast<const char*>(from), bytes, filled});
}
void commit_copies() {
  me().groups.push_back(std::move(me().open));
  me().open.clear();
}
void wait_copies(int left) {
  auto& groups = me().groups;
  const size_t done = groups.size() > size_t(left) ? groups.size() - left : 0;
  for (size_t i = 0; i < done; ++i)
    for (const Copy& c : groups[i]) {
      mark_copy(c.to, c.bytes, false);
      touch(c.to, c.bytes, true, __builtin_return_address(0));
      memcpy(c.to, c.from, c.filled);
      memset(c.to + c.filled, 0, c.bytes - c.filled);
    }
  groups.erase(groups.begin(), groups.begin() + done);
}
char* dynamic_shared() { return shared_start; }
void synchronize_warp() { ++warps[me().warp].syncs; }

// ---------------------------------------------------------------- one block
static void resume(Fiber& f, size_t number) {
  self = &f;
  if (f.state == State::fresh) f.context.make(stack_of(number), stack_size, run_thread);
  f.state = State::ready;
  scheduler.go(f.context);
}
static bool runnable(const Fiber& f) { return f.state == State::fresh || f.state == State::ready; }

static void left_while_waited_for(const Fiber& f) {
  const Warp& w = warps[f.warp];
  if (w.arrived && w.mask >> f.lane & 1)
    note(w.place, "lane %d has left the kernel while its warp waits for it", f.lane);
}

static bool run_warp(int warp) {  // whether anything happened
  const int first = warp * 32, lanes = min(32, threads - first);
  bool any = false;
  for (bool again = true; again && !failed;) {
    again = false;
    const int start = schedule > 1 ? random_bits() % lanes : 0;
    for (int i = 0; i < lanes && !failed; ++i) {
      const int lane = schedule == 1 ? lanes - 1 - i : (i + start) % lanes;
      Fiber& f = fibers[first + lane];
      if (!runnable(f)) continue;
      resume(f, first + lane);
      again = any = true;
      if (f.state == State::left && !failed) left_while_waited_for(f);
    }
    if (schedule > 1 && random_bits() % 4 == 0) break;  // let the others overtake
  }
  return any;
}

static void nobody_can_go_on() {
  int waiting = 0, left = 0;
  const Fiber *at = nullptr, *other = nullptr, *in_warp = nullptr;
  for (const Fiber& f : fibers) {
    if (f.state == State::left) ++left;
    if (f.state == State::in_warp) in_warp = &f;
    if (f.state != State::at_barrier) continue;
    ++waiting;
    if (!at) at = &f;
    else if (!same(at->place, f.place)) other = &f;
  }
  if (in_warp) {
    self = const_cast<Fiber*>(in_warp);
    const Warp& w = warps[in_warp->warp];
    note(in_warp->place, "deadlock: lanes %08x of a warp wait for lanes %08x, which wait elsewhere", w.arrived, w.mask & ~w.arrived);
  } else if (other) {
    self = const_cast<Fiber*>(other);
    note(other->place, "divergent __syncthreads(): other threads wait at line %d", at->place.line);
  } else if (left) {
    self = const_cast<Fiber*>(at);
    note(at->place, "__syncthreads() waits for %d threads that have left the kernel", left);
  } else {
    for (Fiber& f : fibers) f.state = State::ready, f.shown_before = f.shown;
    count_barrier();
  }
}

static void run_block() {
  for (Warp& w : warps) w.arrived = 0, w.syncs = 1, w.products = {};
  count_block();
  for (int i = 0; i < threads; ++i) {
    Fiber& f = fibers[i];
    f.state = State::fresh;
    f.warp = i / 32, f.lane = i % 32;
    f.index = {i % block_size.x, i / block_size.x % block_size.y, i / (block_size.x * block_size.y)};
    f.open.clear();
    f.groups.clear();
    f.shown = f.shown_before = 0;
  }
  const int count = warps.size();
  for (;;) {
    bool any = false, all_left = true;
    const int start = schedule > 1 ? random_bits() % count : 0;
    for (int i = 0; i < count && !failed; ++i)
      any |= run_warp(schedule == 1 ? count - 1 - i : (i + start) % count);
    if (failed) return;
    for (const Fiber& f : fibers) all_left &= f.state == State::left;
    if (all_left) return leave_products();
    if (!any) nobody_can_go_on();
  }
}

// ---------------------------------------------------------------- what the processor refuses
static void on_signal(int number, siginfo_t* info, void* context) {
  const auto* machine = &static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  report->code = machine->gregs[REG_RIP];
#elif defined(__aarch64__)
  report->code = machine->pc;
#endif
  report->address = reinterpret_cast<uintptr_t>(info->si_addr);
  const auto* bad = static_cast<const char*>(info->si_addr);
  note({"", 0}, number == SIGFPE                            ? "division by zero"
                : info->si_code == SI_KERNEL                ? "misaligned access"
                : bad >= shared_end && bad < shared_end + page ? "access behind dynamic shared memory"
                                                            : "out-of-bounds access");
  siglongjmp(bad_access, 1);
}
class Signals {
  static constexpr int numbers[] = {SIGSEGV, SIGBUS, SIGFPE};
  struct sigaction before[3];
  stack_t stack_before;
  static inline char stack[64 << 10];

 public:
  Signals() {
    stack_t own{};
    own.ss_sp = stack;
    own.ss_size = sizeof stack;
    sigaltstack(&own, &stack_before);
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int i = 0; i < 3; ++i) sigaction(numbers[i], &action, &before[i]);
  }
  ~Signals() {
    for (int i = 0; i < 3; ++i) sigaction(numbers[i], &before[i], nullptr);
    sigaltstack(&stack_before, nullptr);
  }
};

// ---------------------------------------------------------------- poison
struct Segment {
  char* start;
  size_t size;
};
static Segment thread_locals_around(const char* anchor) {  // __shared__ variables of one module
  struct Search {
    const char* anchor;
    Segment found;
  } search{anchor, {nullptr, 0}};
  dl_iterate_phdr([](dl_phdr_info* info, size_t, void* data) {
    auto& search = *static_cast<Search*>(data);
    char* start = static_cast<char*>(info->dlpi_tls_data);
    for (int i = 0; start && i < info->dlpi_phnum; ++i) {
      const auto& header = info->dlpi_phdr[i];
      if (header.p_type == PT_TLS && search.anchor >= start && search.anchor < start + header.p_memsz)
        search.found = {start, header.p_memsz};
    }
    return int(search.found.size != 0);
  }, &search);
  return search.found;
}

static void launch(Segment shared) {
  size_t blocks = size_t(grid_size.x) * grid_size.y * grid_size.z;
  std::vector<size_t> order(blocks);
  for (size_t i = 0; i < blocks; ++i) order[i] = schedule == 1 ? blocks - 1 - i : i;
  if (schedule > 1)
    for (size_t i = blocks; i > 1; --i) std::swap(order[i - 1], order[random_bits() % i]);
  for (size_t i : order) {
    block = {unsigned(i % grid_size.x), unsigned(i / grid_size.x % grid_size.y), unsigned(i / grid_size.x / grid_size.y)};
    memset(shared.start, 0xff, shared.size);
    memset(shared_start, 0xff, shared_end - shared_start);
    run_block();
    if (failed) return;
  }
}

}  // namespace emulator

using namespace emulator;

// arrays: of each, where it starts, where it ends, and how many bytes are written together
extern "C" int emulator_launch(Entry kernel, const char* anchor, const unsigned* grid, const unsigned* size,
                               size_t dynamic, void** values, unsigned order, Report* to,
                               const size_t* arrays, int array_count) {
  report = to;
  *report = {};
  failed = false;
  self = nullptr;
  entry = kernel;
  arguments = values;
  grid_size = {grid[0], grid[1], grid[2]};
  block_size = {size[0], size[1], size[2]};
  block = {0, 0, 0};
  schedule = order;
  random_bits.seed(order + 1);
  if (!shared_end) {  // the end of dynamic shared memory touches a forbidden page
    const size_t whole = (shared_limit + page - 1) / page * page;
    static_assert(shared_limit + 2 * page <= window);
    void* made = mmap(nullptr, 2 * window, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (made == MAP_FAILED) abort();
    shared_window = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(made) + window - 1) / window * window);
    mprotect(shared_window, whole, PROT_READ | PROT_WRITE);
    shared_end = shared_window + whole;
  }
  const auto count = 1ull * size[0] * size[1] * size[2];
  const Segment shared = thread_locals_around(anchor);
  if (count < 1 || count > 1024 || size[2] > 64) note({"", 0}, "a block of %llu threads", count);
  if (!grid[0] || !grid[1] || !grid[2] || grid[0] > 0x7fffffffu || grid[1] > 65535 || grid[2] > 65535)
    note({"", 0}, "a grid of %u x %u x %u blocks", grid[0], grid[1], grid[2]);
  if (dynamic + shared.size > shared_limit)
    note({"", 0}, "%zu bytes of shared memory, %zu of them dynamic", dynamic + shared.size, dynamic);
  if (shared.size > 48 << 10) note({"", 0}, "%zu bytes of static shared memory", shared.size);
  if (failed) return 1;
  shared_start = shared_end - (dynamic + 127) / 128 * 128;
  threads = count;
  fibers.resize(count);
  warps.resize((count + 31) / 32);
  watch(uintptr_t(shared.start), uintptr_t(shared.start + shared.size), 1, true);
  watch(uintptr_t(shared_start), uintptr_t(shared_end), 1, true);
  for (int i = 0; i < array_count; ++i) watch(arrays[3 * i], arrays[3 * i + 1], arrays[3 * i + 2], false);
  Signals signals;
  if (!sigsetjmp(bad_access, 1)) launch(shared);
  watch_nothing();
  return failed;
}

// ---------------------------------------------------------------- what the compiler was asked to check
// g++ -fsanitize=... calls these; each gets a record that begins with a place.
namespace {
struct Checked {
  const char* file;
  unsigned line, column;
};
Place place_of(const void* data) {
  const auto* checked = static_cast<const Checked*>(data);
  return {checked->file, int(checked->line)};
}
}  // namespace
#define CHECK(name, what, ...) \
  extern "C" void __ubsan_handle_##name##_abort(void* data, ##__VA_ARGS__) { fail(place_of(data), what); }
CHECK(type_mismatch_v1, "misaligned access", uintptr_t)
CHECK(out_of_bounds, "index outside an array", uintptr_t)
CHECK(shift_out_of_bounds, "shift by too much", uintptr_t, uintptr_t)
CHECK(add_overflow, "signed overflow", uintptr_t, uintptr_t)
CHECK(sub_overflow, "signed overflow", uintptr_t, uintptr_t)
CHECK(mul_overflow, "signed overflow", uintptr_t, uintptr_t)
CHECK(negate_overflow, "signed overflow", uintptr_t)
CHECK(divrem_overflow, "division by zero", uintptr_t, uintptr_t)

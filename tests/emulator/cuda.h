// What device code may say, for g++: CUDA's words, its built-in variables and the calls into the
// runtime (runtime.cpp) that makes blocks, warps and barriers of them.
#pragma once
#define EMULATOR 1

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ thread_local  // so it has a segment of its own, which the runtime poisons
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) __attribute__((aligned(n)))
#define __launch_bounds__(...)

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

#define EMULATOR_VECTOR(T, name)                                           \
  struct alignas(2 * sizeof(T)) name##2 { T x, y; };                       \
  struct alignas(4 * sizeof(T)) name##4 { T x, y, z, w; };                 \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }               \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMULATOR_VECTOR(float, float)
EMULATOR_VECTOR(int, int)
EMULATOR_VECTOR(unsigned, uint)
EMULATOR_VECTOR(unsigned char, uchar)
#undef EMULATOR_VECTOR
struct alignas(16) double2 {
  double x, y;
};

namespace emulator {

struct Place {
  const char* file;
  int line;
};
// the last parameters of what may fail: where it was called
#define EMULATOR_CALLER const char* file = __builtin_FILE(), int line = __builtin_LINE()

struct Lane {  // what one lane hands to its warp, or gets from it
  alignas(16) unsigned char bytes[64];
  template <class T> T get() const {
    static_assert(sizeof(T) <= sizeof bytes);
    T value;
    memcpy(&value, bytes, sizeof value);
    return value;
  }
  template <class T> void put(const T& value) {
    static_assert(sizeof(T) <= sizeof bytes);
    memcpy(bytes, &value, sizeof value);
  }
};
struct Thread {
  uint3 index;
  int warp, lane;
};

extern Thread* self;
extern uint3 block;
extern dim3 block_size, grid_size;

[[noreturn]] void fail(Place, const char* format, ...);
void barrier(Place);
char* dynamic_shared();
void synchronize_warp();  // what lanes wrote is seen by the others

// All lanes of the mask give `in`; when the last one has come, meaning(mask, in, out) is run once,
// and each lane goes on with its `out`.
using Meaning = void (*)(unsigned mask, const Lane* in, Lane* out, Place);
Lane collective(unsigned mask, const Lane& in, Meaning, Place);

// Asynchronous copies of this thread: the target is poison until they are waited for.
void copy_async(void* to, const void* from, int bytes, int filled, Place);
void commit_copies();
void wait_copies(int groups_left);

// Products of warpgroups (products.cpp), each but show_shared for a whole warp: inside collectives.
struct Given {  // by a lane
  unsigned a[4];
  const unsigned* registers;  // that hold a
  unsigned long long rows;
  float (*d)[4];
  bool add;
};
using Multiply = void (*)(const unsigned (&a)[32][4], const unsigned (&rows)[64][8], float (&d)[32][8][4]);
void show_shared();
void begin_products();
void issue_product(const Lane* given, Multiply, Place);
void commit_products();
void wait_products(int groups_left, Place);

}  // namespace emulator

#define threadIdx (emulator::self->index)
#define blockIdx (emulator::block)
#define blockDim (emulator::block_size)
#define gridDim (emulator::grid_size)
constexpr int warpSize = 32;

// ---------------------------------------------------------------- barriers, shuffles, votes
inline void __syncthreads(EMULATOR_CALLER) { emulator::barrier({file, line}); }
inline void __threadfence() {}
inline void __threadfence_block() {}

inline void __syncwarp(unsigned mask = ~0u, EMULATOR_CALLER) {
  emulator::collective(mask, {}, [](unsigned, const emulator::Lane*, emulator::Lane*, emulator::Place) {
    emulator::synchronize_warp();
  }, {file, line});
}

namespace emulator {
template <class T> T shuffle(unsigned mask, T value, int source, Place here) {
  struct Sent {
    T value;
    int source;
  };
  Lane in;
  in.put(Sent{value, source});
  return collective(mask, in, [](unsigned mask, const Lane* in, Lane* out, Place here) {
    for (int lane = 0; lane < 32; ++lane) {
      if (!(mask >> lane & 1)) continue;
      const int source = in[lane].get<Sent>().source;
      if (!(mask >> source & 1)) fail(here, "a shuffle reads lane %d, which takes no part", source);
      out[lane].put(in[source].get<Sent>().value);
    }
  }, here).template get<T>();
}
}  // namespace emulator

template <class T> T __shfl_sync(unsigned mask, T v, int source, int width = 32, EMULATOR_CALLER) {
  const int lane = emulator::self->lane;
  return emulator::shuffle(mask, v, (lane & ~(width - 1)) | (source & (width - 1)), {file, line});
}
template <class T> T __shfl_down_sync(unsigned mask, T v, int by, int width = 32, EMULATOR_CALLER) {
  const int lane = emulator::self->lane;
  return emulator::shuffle(mask, v, (lane & (width - 1)) + by < width ? lane + by : lane, {file, line});
}
template <class T> T __shfl_up_sync(unsigned mask, T v, int by, int width = 32, EMULATOR_CALLER) {
  const int lane = emulator::self->lane;
  return emulator::shuffle(mask, v, (lane & (width - 1)) >= by ? lane - by : lane, {file, line});
}
template <class T> T __shfl_xor_sync(unsigned mask, T v, int by, int width = 32, EMULATOR_CALLER) {
  const int lane = emulator::self->lane, source = lane ^ by;
  return emulator::shuffle(mask, v, source / width > lane / width ? lane : source, {file, line});
}
inline unsigned __ballot_sync(unsigned mask, int vote, EMULATOR_CALLER) {
  emulator::Lane in;
  in.put(vote);
  return emulator::collective(mask, in, [](unsigned mask, const emulator::Lane* in, emulator::Lane* out, emulator::Place) {
    unsigned votes = 0;
    for (int lane = 0; lane < 32; ++lane)
      if (mask >> lane & 1 && in[lane].get<int>()) votes |= 1u << lane;
    for (int lane = 0; lane < 32; ++lane) out[lane].put(votes);
  }, {file, line}).get<unsigned>();
}
inline int __any_sync(unsigned mask, int vote, EMULATOR_CALLER) {
  return __ballot_sync(mask, vote, file, line) != 0;
}
inline int __all_sync(unsigned mask, int vote, EMULATOR_CALLER) {
  return __ballot_sync(mask, vote, file, line) == mask;
}

// ---------------------------------------------------------------- arithmetic
template <class T> inline T min(T a, T b) { return b < a ? b : a; }
template <class T> inline T max(T a, T b) { return a < b ? b : a; }
template <class T> inline T __ldg(const T* p) { return *p; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0), 1); }
inline int __float_as_int(float x) { int i; memcpy(&i, &x, 4); return i; }
inline unsigned __float_as_uint(float x) { unsigned i; memcpy(&i, &x, 4); return i; }
inline float __int_as_float(int i) { float x; memcpy(&x, &i, 4); return x; }
inline float __uint_as_float(unsigned i) { float x; memcpy(&x, &i, 4); return x; }
inline int __float2int_rn(float x) { return static_cast<int>(nearbyintf(x)); }
inline int __float2int_rd(float x) { return static_cast<int>(floorf(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<uint64_t>(a) * b >> 32; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned __int128)a * b >> 64;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }

// one thread runs at a time, so plain code is atomic; races.cpp does not look at it
#define EMULATOR_ATOMIC template <class T> __attribute__((noinline, no_sanitize("thread"))) T
EMULATOR_ATOMIC atomicAdd(T* p, std::common_type_t<T> v) { T old = *p; *p = old + v; return old; }
EMULATOR_ATOMIC atomicMax(T* p, std::common_type_t<T> v) { T old = *p; *p = max(old, v); return old; }
EMULATOR_ATOMIC atomicMin(T* p, std::common_type_t<T> v) { T old = *p; *p = min(old, v); return old; }
EMULATOR_ATOMIC atomicExch(T* p, std::common_type_t<T> v) { T old = *p; *p = v; return old; }
EMULATOR_ATOMIC atomicCAS(T* p, std::common_type_t<T> c, std::common_type_t<T> v) {
  T old = *p;
  if (old == c) *p = v;
  return old;
}

// ---------------------------------------------------------------- kernels, seen from outside
namespace emulator {
using Entry = void (*)(void** arguments);

// kind and size of a parameter, and of what a pointer points to: 'f' float, 'i' integer, 's' struct,
// 'p' pointer, '*' anything
template <class T> constexpr int kind_of() {
  if constexpr (std::is_void_v<T>) return '*' << 16;
  else if constexpr (std::is_pointer_v<T>) return 'p' << 16 | 8;
  else return (std::is_floating_point_v<T> ? 'f' : std::is_integral_v<T> ? 'i' : 's') << 16 | static_cast<int>(sizeof(T));
}
template <class... A, std::size_t... I> void call(void (*kernel)(A...), void** a, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_reference_t<A>*>(a[I])...);
}
template <auto Kernel> struct Export;
template <class... A, void (*Kernel)(A...)> struct Export<Kernel> {
  static void enter(void** arguments) { call(Kernel, arguments, std::index_sequence_for<A...>{}); }
  static int parameters(int* kinds) {
    int n = 0;
    ((kinds[n++] = kind_of<A>(),
      kinds[n++] = kind_of<std::remove_cv_t<std::conditional_t<std::is_pointer_v<A>, std::remove_pointer_t<A>, A>>>()), ...);
    return sizeof...(A);
  }
};
}  // namespace emulator

#define EMULATOR_EXPORT(...)                                                                              \
  extern "C" int parameters(int* kinds) { return emulator::Export<&__VA_ARGS__>::parameters(kinds); }     \
  extern "C" void enter(void** arguments) { emulator::Export<&__VA_ARGS__>::enter(arguments); }           \
  static thread_local char emulator_anchor;                                                               \
  extern "C" void* anchor() { return &emulator_anchor; }

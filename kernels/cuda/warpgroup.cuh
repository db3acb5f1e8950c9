// Products of warpgroups (four warps, the first of them a multiple of four), which the tensor cores of
// compute capability 9.0 compute while the threads go on; each instruction beside what it means.
//
//   Rows                        64 rows of 128 bytes in shared memory, at a multiple of 1024 bytes, whose
//                               16-byte chunks are permuted: chunk c of row r lies at c ^ r % 8
//   show_shared()               what this thread wrote to shared memory, products may read from now on
//                               (behind a barrier, those of other threads)
//   begin_products()            what this warp's registers hold, products may use from now on
//   multiply_tf32(d, a, b, add) d (64x64) = add d + a (64x8) b: a warp gives 16 rows of a in registers;
//                               row n of b is column n of the product, of which 8 words count
//   multiply_bf16(d, a, b, add) the same with 16 bfloat16 a row
//   commit_products()           products form groups, which finish in their order
//   wait_products(n, d)         until at most n groups are under way (a constant, up to 3); then d may be read
//
// Until it is waited for, nobody may touch d, nor write a or what a product reads in shared memory.
// Some compilers think that an instruction has read its registers when it was issued: `keep` behind
// the wait tells them that a is read until there.
// Lanes hold a and each eight columns of d as in ptx.cuh.
#pragma once
#include "ptx.cuh"

#ifndef EMULATOR
__device__ __forceinline__ void show_shared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
__device__ __forceinline__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

#define WARPGROUP_SUMS(d)                                                                                           \
  "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]), "+f"(d[1][0]), "+f"(d[1][1]), "+f"(d[1][2]),          \
  "+f"(d[1][3]), "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]), "+f"(d[3][0]), "+f"(d[3][1]),          \
  "+f"(d[3][2]), "+f"(d[3][3]), "+f"(d[4][0]), "+f"(d[4][1]), "+f"(d[4][2]), "+f"(d[4][3]), "+f"(d[5][0]),          \
  "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]), "+f"(d[6][0]), "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]),          \
  "+f"(d[7][0]), "+f"(d[7][1]), "+f"(d[7][2]), "+f"(d[7][3])
#define WARPGROUP_MULTIPLY(shape, more)                                                                             \
  asm volatile(                                                                                                     \
      "{.reg .pred add; setp.ne.b32 add, %37, 0; wgmma.mma_async.sync.aligned." shape                               \
      " {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, " \
      "%23, %24, %25, %26, %27, %28, %29, %30, %31}, {%32, %33, %34, %35}, %36, add, 1, 1" more ";}"                \
      : WARPGROUP_SUMS(d)                                                                                           \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(add)))

__device__ __forceinline__ void multiply_tf32(float (&d)[8][4], const unsigned (&a)[4], unsigned long long b, bool add) {
  WARPGROUP_MULTIPLY("m64n64k8.f32.tf32.tf32", "");
}
__device__ __forceinline__ void multiply_bf16(float (&d)[8][4], const unsigned (&a)[4], unsigned long long b, bool add) {
  WARPGROUP_MULTIPLY("m64n64k16.f32.bf16.bf16", ", 0");
}
template <int N> __device__ __forceinline__ void wait_groups(float (&d)[8][4]) {
  asm volatile("wgmma.wait_group.sync.aligned %32;" : WARPGROUP_SUMS(d) : "n"(N) : "memory");
}
__device__ __forceinline__ void keep(const unsigned (&a)[4]) {
  asm volatile("" ::"r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]));
}
__device__ __forceinline__ void wait_products(int n, float (&d)[8][4]) {
  n == 0 ? wait_groups<0>(d) : n == 1 ? wait_groups<1>(d) : n == 2 ? wait_groups<2>(d) : wait_groups<3>(d);
}
#else

inline void show_shared() { emulator::show_shared(); }
inline void begin_products(EMULATOR_CALLER) {
  emulator::collective(~0u, {}, [](unsigned, const emulator::Lane*, emulator::Lane*, emulator::Place) {
    emulator::begin_products();
  }, {file, line});
}
inline void commit_products(EMULATOR_CALLER) {
  emulator::collective(~0u, {}, [](unsigned, const emulator::Lane*, emulator::Lane*, emulator::Place) {
    emulator::commit_products();
  }, {file, line});
}
inline void keep(const unsigned (&)[4]) {}
inline void wait_products(int n, float (&)[8][4], EMULATOR_CALLER) {
  emulator::Lane in;
  in.put(n);
  emulator::collective(~0u, in, [](unsigned, const emulator::Lane* in, emulator::Lane*, emulator::Place here) {
    emulator::wait_products(in[0].get<int>(), here);
  }, {file, line});
}

namespace emulator {
// 16 rows of d as eight products of ptx.cuh: row n of b is column n
template <int K> void multiply(const unsigned (&a)[32][4], const unsigned (&rows)[64][8], float (&d)[32][8][4]) {
  for (int j = 0; j < 8; ++j) {
    Lane in[32], out[32];
    for (int lane = 0; lane < 32; ++lane) {
      const auto& row = rows[8 * j + lane / 4];
      Fragments f{{}, {}, {row[lane % 4], row[lane % 4 + 4]}};
      memcpy(f.d, d[lane][j], sizeof f.d);
      memcpy(f.a, a[lane], sizeof f.a);
      in[lane].put(f);
    }
    multiply<K>(~0u, in, out, {});
    for (int lane = 0; lane < 32; ++lane) memcpy(d[lane][j], out[lane].bytes, sizeof d[lane][j]);
  }
}
template <int K>
void multiply(float (&d)[8][4], const unsigned (&a)[4], unsigned long long rows, bool add, Place here) {
  Lane in;
  in.put(Given{{a[0], a[1], a[2], a[3]}, a, rows, d, add});
  collective(~0u, in, [](unsigned, const Lane* in, Lane*, Place here) { issue_product(in, multiply<K>, here); }, here);
}
}  // namespace emulator

inline void multiply_tf32(float (&d)[8][4], const unsigned (&a)[4], unsigned long long b, bool add, EMULATOR_CALLER) {
  emulator::multiply<8>(d, a, b, add, {file, line});
}
inline void multiply_bf16(float (&d)[8][4], const unsigned (&a)[4], unsigned long long b, bool add, EMULATOR_CALLER) {
  emulator::multiply<16>(d, a, b, add, {file, line});
}
#endif

// how a product is told of 64 rows, the first `words` of 4 bytes of each left out (a multiple of four)
__device__ __forceinline__ unsigned long long rows_of(const void* first, int words) {
  constexpr unsigned long long permuted = 1ull << 62, eight_rows = 1024 >> 4;
  return permuted | eight_rows << 32 | 1ull << 16 | ((shared_address(first) + 4 * words) & 0x3ffff) >> 4;
}

// ---------------------------------------------------------------- products over many blocks of terms
// A warpgroup's sums lie in units of 64 x 64, MT of them down and NT across; 32 terms of a unit are four
// products, of TF32X3 twelve.
constexpr int STEPS = WORDS / 8;

// an operand as products take it
template <Precision P> __device__ __forceinline__ void take(unsigned bits, unsigned& high, unsigned& low) {
  high = P == TF32X3 ? high_part(bits) : round_tf32(bits);
  if (P == TF32X3) low = low_part(bits);
}
template <Precision P> struct Operands {  // 16 rows of a, 32 words of each
  unsigned high[STEPS][4], low[P == TF32X3 ? STEPS : 1][4];

  __device__ __forceinline__ void set(int step, int q, unsigned bits) {
    take<P>(bits, high[step][q], low[P == TF32X3 ? step : 0][q]);
  }
  __device__ __forceinline__ void keep_all() const {
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
      keep(high[step]);
      if (P == TF32X3) keep(low[step]);
    }
  }
};

// d (+)= a b as one group: b begins at a row, its low parts `low_rows` behind it.  TF32X3 begins a new
// sum, which is to be added outside.
template <Precision P>
__device__ __forceinline__ void multiply_unit(float (&d)[8][4], const Operands<P>& a, const unsigned* b, int low_rows) {
  begin_products();
#pragma unroll
  for (int step = 0; step < STEPS; ++step) {
    const auto b_high = rows_of(b, step * 8);
    if constexpr (P == TF32X3) {
      multiply_tf32(d, a.low[step], b_high, step > 0);
      multiply_tf32(d, a.high[step], rows_of(b + low_rows * WORDS, step * 8), true);
    }
    multiply_tf32(d, a.high[step], b_high, true);
  }
  commit_products();
}

// sums += a b over blocks `first` to `last` of 32 terms.  In STAGES slots of shared memory, from bs on, lie
// rows of b, of TF32X3 those of low parts behind them; the first STAGES - 1 blocks are on their way.
//
//   read(a, mt, slot)     the operands of units mt from shared memory
//   copy(block, slot)     begin to bring a block, if there is one
//   store(block, slot)    end it; may be late
//
// The products of a unit are a group, and while groups are under way a warpgroup copies, adds what TF32X3
// left in a unit, so that no sum there is longer than 32 terms, and reads what comes next: tensor cores
// wait for the last addition only.  (ptxas lets products overlap only where it sees in one turn of a loop
// what is waited for.)
template <Precision P, int NT, int STAGES, int UNITS, class Read, class Copy, class Store>
__device__ __forceinline__ void multiply_blocks(float (&sums)[UNITS][8][4], int first, int last, const unsigned* bs,
                                                const Read& read, const Copy& copy, const Store& store) {
  constexpr int AHEAD = STAGES - 1, BN = NT * 64, B_ROWS = P == TF32X3 ? 2 * BN : BN;
  static_assert(UNITS >= 2 && UNITS <= 4);
  if (first >= last) return;
  float inside[P == TF32X3 ? UNITS : 1][8][4];
  Operands<P> a[UNITS / NT];
  wait<AHEAD - 1>();
  show_shared();
  __syncthreads();
  read(a[0], 0, 0);
  for (int block = first, slot = 0; block < last; ++block) {
#pragma unroll
    for (int u = 0; u < UNITS; ++u) {
      const int mt = u / NT, nt = u % NT;
      if (mt > 0 && nt == 0) read(a[mt], mt, slot);
      auto& unit = P == TF32X3 ? inside[P == TF32X3 ? u : 0] : sums[u];
      multiply_unit<P>(unit, a[mt], bs + (slot * B_ROWS + nt * 64) * WORDS, BN);
    }
    wait<AHEAD - 2>();
    show_shared();
    __syncthreads();  // the next block is there, and nobody multiplies the last one any more
    const int free = slot > 0 ? slot - 1 : STAGES - 1;
    copy(block + AHEAD, free);
    slot = slot + 1 < STAGES ? slot + 1 : 0;
#pragma unroll
    for (int u = 0; u < UNITS; ++u) {
      auto& unit = P == TF32X3 ? inside[P == TF32X3 ? u : 0] : sums[u];
      wait_products(UNITS - 1 - u, unit);
      if constexpr (P == TF32X3)
#pragma unroll
        for (int i = 0; i < 32; ++i) sums[u][i / 4][i % 4] += unit[i / 4][i % 4];
      if (u % NT == NT - 1) a[u / NT].keep_all();
      if (u == NT - 1 && block + 1 < last) read(a[0], 0, slot);
      if (u == UNITS - 2) store(block + AHEAD, free);
    }
  }
}

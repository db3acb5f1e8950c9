// The instructions that CUDA C++ has no word for, each beside what it means.
//
//   copy_async<B, KEPT>(to, from, take)  B bytes from global to shared memory, zeros unless take; KEPT
//                                    in the first cache, as fewer than 16 always are
//   commit(), wait<N>()              copies form groups; wait until at most N are under way
//   load_matrices(r, row)            four 8x8 matrices of 16-bit pairs, one row's address a lane
//   multiply_tf32(d, a, b)           d (16x8) += a (16x8) b (8x8): operands cut to 10 bits of mantissa
//   high_part(x), low_part(x)        what TF32 keeps of a value, and what it drops: exact in float32
//   round_tf32(x)                    bits of which such a cut leaves x rounded to nearest, ties away
//   multiply_bf16(d, a, b)           d (16x8) += a (16x16) b (16x8) of bfloat16 pairs
//   pack_bf16(low, high)             two floats, rounded to nearest even, in one word
//
// Lane l of a warp holds, with g = l / 4 and t = l % 4: of d rows g and g + 8, columns 2t and 2t + 1;
// of a TF32 (a) rows g and g + 8, columns t and t + 4; (b) rows t and t + 4, column g.
// Tensor cores add exact products, but cut the sum to float32 instead of rounding it: long sums in
// the unit drift, so kernels that promise float32 add short sums outside.
#pragma once

// How tensor cores multiply float32:
//   TF32     operands rounded to 10 bits of mantissa: a cut would make every product a little too small
//   TF32X3   operands split as high + low, three products; sums leave the unit after 32 terms, and are
//            added outside: float32's accuracy
//   BF16     operands rounded to 8 bits on their way
enum Precision { TF32, TF32X3, BF16 };

constexpr int WORDS = 32;  // of a row of operands in shared memory, where rows are read as matrices

// Where the 16-byte chunks of such rows lie: permuted by the row's number, so that neither copies nor
// load_matrices meet in a bank.  Eight rows further the permutation is the same, and two chunks further
// one bit of it changes: so addresses are a base, a constant and, for each step, one exclusive or.
__device__ __forceinline__ int swizzled(int row, int chunk) { return row * WORDS + ((chunk ^ (row & 7)) << 2); }

// as cvt.rna, which is slower on some cards; NaN and infinity stay what they are
__device__ __forceinline__ unsigned round_tf32(float x) {
  const unsigned bits = __float_as_uint(x);
  return fabsf(x) <= 3.402823466e+38f ? bits + 0x1000u : bits;
}
__device__ __forceinline__ unsigned round_tf32(unsigned bits) { return round_tf32(__uint_as_float(bits)); }

__device__ __forceinline__ unsigned high_part(unsigned bits) { return bits & 0xffffe000u; }
__device__ __forceinline__ unsigned low_part(unsigned bits) {
  return __float_as_uint(__uint_as_float(bits) - __uint_as_float(high_part(bits)));
}

#ifndef EMULATOR

__device__ __forceinline__ unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

template <int BYTES, bool KEPT = BYTES != 16> __device__ __forceinline__ void copy_async(void* to, const void* from, bool take) {
  const int taken = take ? BYTES : 0;
  if constexpr (!KEPT)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(taken) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(BYTES), "r"(taken) : "memory");
}
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

__device__ __forceinline__ void load_matrices(unsigned (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}

__device__ __forceinline__ void multiply_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void multiply_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
  unsigned packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

#else

inline unsigned shared_address(const void* p) { return reinterpret_cast<uintptr_t>(p) & 0x3ffff; }

template <int BYTES, bool KEPT = BYTES != 16> inline void copy_async(void* to, const void* from, bool take, EMULATOR_CALLER) {
  emulator::copy_async(to, from, BYTES, take ? BYTES : 0, {file, line});
}
inline void commit() { emulator::commit_copies(); }
template <int N> inline void wait() { emulator::wait_copies(N); }

inline void load_matrices(unsigned (&r)[4], const void* row, EMULATOR_CALLER) {
  emulator::Lane in;
  in.put(row);
  const auto meaning = [](unsigned, const emulator::Lane* in, emulator::Lane* out, emulator::Place here) {
    for (int lane = 0; lane < 32; ++lane) {
      unsigned words[4];
      for (int m = 0; m < 4; ++m) {
        const auto* row = in[8 * m + lane / 4].get<const char*>();
        if (reinterpret_cast<uintptr_t>(row) % 16) emulator::fail(here, "a matrix row is misaligned");
        memcpy(&words[m], row + 4 * (lane % 4), 4);
      }
      memcpy(out[lane].bytes, words, sizeof words);
    }
  };
  memcpy(r, emulator::collective(~0u, in, meaning, {file, line}).bytes, sizeof r);
}

namespace emulator {
struct Fragments {
  float d[4];
  unsigned a[4], b[2];
};
inline float cut_to_float(double x) {  // round toward zero
  uint64_t bits;
  memcpy(&bits, &x, 8);
  bits &= ~((1ull << 29) - 1);
  memcpy(&x, &bits, 8);
  return static_cast<float>(x);
}
inline double tf32(unsigned bits) { return __uint_as_float(bits & 0xffffe000u); }
inline double bf16(unsigned pair, int which) { return __uint_as_float(which ? pair & 0xffff0000u : pair << 16); }

// K = 8 words of TF32 or 16 halves of bfloat16 a row
template <int K> void multiply(unsigned, const Lane* in, Lane* out, Place) {
  double a[16][K], b[K][8], d[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto f = in[lane].get<Fragments>();
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i) d[g + i / 2 * 8][2 * t + i % 2] = f.d[i];
    for (int half = 0; half < 2; ++half)
      if constexpr (K == 8) {
        a[g][t + 4 * half] = tf32(f.a[2 * half]);
        a[g + 8][t + 4 * half] = tf32(f.a[2 * half + 1]);
        b[t + 4 * half][g] = tf32(f.b[half]);
      } else {
        for (int w = 0; w < 2; ++w) {
          a[g][2 * t + w + 8 * half] = bf16(f.a[2 * half], w);
          a[g + 8][2 * t + w + 8 * half] = bf16(f.a[2 * half + 1], w);
          b[2 * t + w + 8 * half][g] = bf16(f.b[half], w);
        }
      }
  }
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < K; ++k)
      for (int j = 0; j < 8; ++j) d[i][j] += a[i][k] * b[k][j];
  for (int lane = 0; lane < 32; ++lane) {
    float sums[4];
    for (int i = 0; i < 4; ++i) sums[i] = cut_to_float(d[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2]);
    memcpy(out[lane].bytes, sums, sizeof sums);
  }
}
template <int K> void multiply(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, Place here) {
  Lane in;
  in.put(Fragments{{d[0], d[1], d[2], d[3]}, {a[0], a[1], a[2], a[3]}, {b0, b1}});
  memcpy(d, collective(~0u, in, multiply<K>, here).bytes, sizeof d);
}
}  // namespace emulator

inline void multiply_tf32(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, EMULATOR_CALLER) {
  emulator::multiply<8>(d, a, b0, b1, {file, line});
}
inline void multiply_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, EMULATOR_CALLER) {
  emulator::multiply<16>(d, a, b0, b1, {file, line});
}
inline unsigned pack_bf16(float low, float high) {
  const auto round = [](float x) {
    const unsigned u = __float_as_uint(x);
    return x != x ? 0x7fffu : (u + 0x7fffu + (u >> 16 & 1)) >> 16;
  };
  return round(high) << 16 | round(low);
}

#endif

// Convolution by tensor cores, as an implicit matrix product (geometry.cuh): float32 in memory.
//
//   TF32     one product of operands cut to 10 bits of mantissa (weights arrive rounded)
//   TF32X3   operands split as high + low, three products; every 32 terms the sums leave the unit,
//            which cuts where float32 rounds, and are added outside: float32's accuracy
//   BF16     operands rounded to 8 bits on their way into shared memory
//
// x has unit channel stride, and its channels and other strides are multiples of four; at most 31
// taps.  Weights come packed (weights.cu): a row for each output, c fastest, zeros up to a multiple of
// a block.
//
// A block of threads makes BM pixels x BN outputs; its warps WM x WN each.  Shared memory holds
// STAGES blocks of 32 words of the reduction: rows of 128 bytes, whose 16-byte chunks are permuted by
// the row's number so that neither copies nor load_matrices meet in a bank.
#include "geometry.cuh"
#include "ptx.cuh"

enum Precision { TF32, TF32X3, BF16 };

constexpr int WORDS = 32;  // of a row in one block of the reduction

__device__ __forceinline__ int swizzled(int row, int chunk) { return row * WORDS + ((chunk ^ (row & 7)) << 2); }

// what TF32 drops of a value: exact in float32
__device__ __forceinline__ unsigned low_part(unsigned bits) {
  return __float_as_uint(__uint_as_float(bits) - __uint_as_float(bits & 0xffffe000u));
}

template <int BM, int BN, int WM, int WN, int STAGES, Precision P>
__global__ void __launch_bounds__((BM / WM) * (BN / WN) * 32)
convolve(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
         float* __restrict__ y, float* __restrict__ planes, const Geometry g) {
  constexpr int THREADS = (BM / WM) * (BN / WN) * 32;
  constexpr int QUADS = P == BF16 ? 16 : 8;  // of four channels, in a row of one block
  constexpr int ROWS_A = BM * QUADS / THREADS, ROWS_B = BN * 8 / THREADS;
  constexpr int MT = WM / 16, NT = WN / 8;
  extern __shared__ __align__(128) unsigned shared[];
  __shared__ int tap_quads[32];
  unsigned* const as = shared;
  unsigned* const bs = shared + STAGES * BM * WORDS;

  const int tid = threadIdx.x, lane = tid % 32, warp = tid / 32;
  const int warp_m = warp % (BM / WM) * WM, warp_n = warp / (BM / WM) * WN;
  const int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN;
  const int group = blockIdx.z / g.splits, split = blockIdx.z % g.splits;
  x += group * g.channels * g.x_channel;
  const int row_words = g.reduction / (P == BF16 ? 2 : 1);
  w += static_cast<long long>(group) * g.outputs * row_words;

  if (tid < 32) tap_quads[tid] = tid < g.taps ? static_cast<int>(tap_offset(g, tid) / 4) : 0;

  // this thread copies one quad of some rows: of pixels, whose window starts and counting taps it
  // keeps, and (16 bytes) of weights
  const int quad = tid % QUADS, row_a = tid / QUADS;
  int start[ROWS_A];
  unsigned taken[ROWS_A];
#pragma unroll
  for (int i = 0; i < ROWS_A; ++i) {
    const int p = m0 + row_a + i * (THREADS / QUADS);
    const Pixel pixel = pixel_of(min(p, g.pixels - 1), g.out);
    start[i] = static_cast<int>(window_start(g, pixel) / 4);
    taken[i] = p < g.pixels ? counting_taps(g, pixel) : 0;
  }
  const int chunk = tid % 8, row_b = tid / 8;
  const float* weights[ROWS_B];
#pragma unroll
  for (int i = 0; i < ROWS_B; ++i)
    weights[i] = w + static_cast<long long>(min(n0 + row_b + i * (THREADS / 8), g.outputs - 1)) * row_words + chunk * 4;

  const int blocks = row_words / WORDS;
  const int first = part_start(blocks, split, g.splits), last = part_start(blocks, split + 1, g.splits);
  const int quads = g.channels / 4;  // of one tap
  int tap = (first * QUADS + quad) / quads, c = (first * QUADS + quad) % quads;
  const auto advance = [&] {
    for (c += QUADS; c >= quads; c -= quads) ++tap;
  };
  const auto copy_pixels = [&](int slot) {
    const int known = min(tap, 31), offset = tap_quads[known] + c;
#pragma unroll
    for (int i = 0; i < ROWS_A; ++i) {
      const bool take = taken[i] >> known & 1;
      copy_async<16>(as + slot * BM * WORDS + swizzled(row_a + i * (THREADS / QUADS), quad),
                     x + (take ? 4ll * (start[i] + offset) : 0), take);
    }
    advance();
  };
  const auto copy_weights = [&](int block, int slot) {
#pragma unroll
    for (int i = 0; i < ROWS_B; ++i)
      copy_async<16>(bs + slot * BN * WORDS + swizzled(row_b + i * (THREADS / 8), chunk), weights[i] + block * WORDS, true);
  };
  float4 fetched[P == BF16 ? ROWS_A : 1];
  const auto fetch_pixels = [&] {
    const int known = min(tap, 31), offset = tap_quads[known] + c;
#pragma unroll
    for (int i = 0; i < ROWS_A; ++i)
      fetched[P == BF16 ? i : 0] = taken[i] >> known & 1 ? *reinterpret_cast<const float4*>(x + 4ll * (start[i] + offset))
                                                         : make_float4(0, 0, 0, 0);
    advance();
  };
  const auto store_pixels = [&](int slot) {
#pragma unroll
    for (int i = 0; i < ROWS_A; ++i) {
      const float4 v = fetched[P == BF16 ? i : 0];
      unsigned* to = as + slot * BM * WORDS + swizzled(row_a + i * (THREADS / QUADS), quad / 2) + quad % 2 * 2;
      *reinterpret_cast<uint2*>(to) = make_uint2(pack_bf16(v.x, v.y), pack_bf16(v.z, v.w));
    }
  };

  __syncthreads();  // tap_quads
  if (P == BF16 && first < last) {
    fetch_pixels();
    store_pixels(0);
  }
#pragma unroll
  for (int s = 0; s < STAGES - 1; ++s) {
    if (first + s < last) {
      if (P != BF16) copy_pixels(s);
      copy_weights(first + s, s);
    }
    commit();
  }

  float sums[MT][NT][4] = {};
  for (int block = first; block < last; ++block) {
    const int slot = (block - first) % STAGES;
    wait<STAGES - 2>();
    __syncthreads();
    if (P == BF16 && block + 1 < last) fetch_pixels();
    if (block + STAGES - 1 < last) {
      const int next = (block - first + STAGES - 1) % STAGES;
      if (P != BF16) copy_pixels(next);
      copy_weights(block + STAGES - 1, next);
    }
    commit();

    const unsigned* const a = as + slot * BM * WORDS;
    const unsigned* const b = bs + slot * BN * WORDS;
    float inside[P == TF32X3 ? MT : 1][P == TF32X3 ? NT : 1][4] = {};
#pragma unroll
    for (int step = 0; step < WORDS / 8; ++step) {
      unsigned fa[MT][4], fb[NT / 2][4];
#pragma unroll
      for (int i = 0; i < MT; ++i) load_matrices(fa[i], a + swizzled(warp_m + i * 16 + lane % 16, step * 2 + lane / 16));
#pragma unroll
      for (int j = 0; j < NT / 2; ++j)
        load_matrices(fb[j], b + swizzled(warp_n + j * 16 + lane % 8 + lane / 16 * 8, step * 2 + lane / 8 % 2));
      if constexpr (P == TF32X3) {
        unsigned la[MT][4];
#pragma unroll
        for (int i = 0; i < MT; ++i)
#pragma unroll
          for (int q = 0; q < 4; ++q) la[i][q] = low_part(fa[i][q]);
#pragma unroll
        for (int j = 0; j < NT; ++j) {
          const unsigned b0 = fb[j / 2][j % 2 * 2], b1 = fb[j / 2][j % 2 * 2 + 1];
          const unsigned l0 = low_part(b0), l1 = low_part(b1);
#pragma unroll
          for (int i = 0; i < MT; ++i) {
            multiply_tf32(inside[i][j], la[i], b0, b1);
            multiply_tf32(inside[i][j], fa[i], l0, l1);
            multiply_tf32(inside[i][j], fa[i], b0, b1);
          }
        }
      } else {
#pragma unroll
        for (int j = 0; j < NT; ++j)
#pragma unroll
          for (int i = 0; i < MT; ++i)
            if constexpr (P == BF16)
              multiply_bf16(sums[i][j], fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]);
            else
              multiply_tf32(sums[i][j], fa[i], fb[j / 2][j % 2 * 2], fb[j / 2][j % 2 * 2 + 1]);
      }
    }
    if constexpr (P == TF32X3)
#pragma unroll
      for (int i = 0; i < MT; ++i)
#pragma unroll
        for (int j = 0; j < NT; ++j)
#pragma unroll
          for (int q = 0; q < 4; ++q) sums[i][j][q] += inside[i][j][q];
    if (P == BF16 && block + 1 < last) store_pixels((slot + 1) % STAGES);
  }

  long long at[MT][2];
#pragma unroll
  for (int i = 0; i < MT; ++i)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int p = m0 + warp_m + i * 16 + h * 8 + lane / 4;
      at[i][h] = p >= g.pixels  ? -1
                 : g.splits > 1 ? (static_cast<long long>(blockIdx.z) * g.pixels + p) * g.outputs
                                : output_start(g, pixel_of(p, g.out));
    }
#pragma unroll
  for (int j = 0; j < NT; ++j) {
    const int n = n0 + warp_n + j * 8 + lane % 4 * 2;
    long long offset[2] = {n, n + 1};
    float b[2] = {};
#pragma unroll
    for (int e = 0; e < 2; ++e)
      if (g.splits == 1 && n + e < g.outputs) {
        const int output = output_of(g, group, n + e, offset[e]);
        if (g.biased) b[e] = bias[output];
      }
#pragma unroll
    for (int i = 0; i < MT; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        if (at[i][h] < 0) continue;
        float v[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          v[e] = sums[i][j][2 * h + e];
          if (g.splits == 1) v[e] = rectify(v[e] + b[e], g.slope);
        }
        float* const to = (g.splits > 1 ? planes : y) + at[i][h];
        if (g.paired && n + 1 < g.outputs) {
          *reinterpret_cast<float2*>(to + offset[0]) = make_float2(v[0], v[1]);
        } else {
          if (n < g.outputs) to[offset[0]] = v[0];
          if (n + 1 < g.outputs) to[offset[1]] = v[1];
        }
      }
  }
}

// Convolution by tensor cores, as an implicit matrix product (geometry.cuh): float32 in memory.
//
// x has unit channel stride, and its channels and other strides are multiples of four; at most 31
// taps.  Weights come packed (weights.cu): a row for each output, c fastest, zeros up to a multiple of
// a block.
//
// A block of threads makes BM pixels x BN outputs; its warps WM x WN each.  Shared memory holds
// STAGES blocks of the reduction, of 32 words in a row.
#include "geometry.cuh"
#include "ptx.cuh"

template <int BM, int BN, int WM, int WN, int STAGES, Precision P>
__global__ void __launch_bounds__((BM / WM) * (BN / WN) * 32, P == TF32 ? 2 : 1)  // registers for so many blocks
convolve(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
         float* __restrict__ y, float* __restrict__ planes, const float* __restrict__ sign, const Geometry g) {
  constexpr int THREADS = (BM / WM) * (BN / WN) * 32;
  constexpr int QUADS = P == BF16 ? 16 : 8;  // of four channels, in a row of one block
  constexpr int ROWS_A = BM * QUADS / THREADS, ROWS_B = BN * 8 / THREADS;
  constexpr int MT = WM / 16, NT = WN / 8;
  static_assert(THREADS / QUADS % 8 == 0 && THREADS % 64 == 0, "rows of a thread must share a permutation");
  extern __shared__ __align__(128) unsigned shared[];
  __shared__ Windows<BM> windows;
  unsigned* const as = shared;
  unsigned* const bs = shared + STAGES * BM * WORDS;

  const int tid = threadIdx.x, lane = tid % 32, warp = tid / 32;
  const int warp_m = warp % (BM / WM) * WM, warp_n = warp / (BM / WM) * WN;
  const int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN;
  const int group = blockIdx.z / g.splits, split = blockIdx.z % g.splits;
  x += group * g.channels * g.x_channel;
  const int row_words = g.reduction / (P == BF16 ? 2 : 1);
  w += static_cast<long long>(group) * g.outputs * row_words;

  windows.fill(g, m0);
  __syncthreads();

  // this thread copies one quad of some rows of pixels, and 16 bytes of some rows of weights
  const int quad = tid % QUADS, row_a = tid / QUADS;
  int start[ROWS_A];
  unsigned taken[ROWS_A];
#pragma unroll
  for (int i = 0; i < ROWS_A; ++i) {
    start[i] = windows.row[row_a + i * (THREADS / QUADS)].start;
    taken[i] = windows.row[row_a + i * (THREADS / QUADS)].taken;
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
    const int known = min(tap, 31), offset = windows.tap[known] + c;
    unsigned* const to = as + slot * BM * WORDS + swizzled(row_a, quad);
#pragma unroll
    for (int i = 0; i < ROWS_A; ++i) {
      const bool take = taken[i] >> known & 1;
      copy_async<16>(to + i * (THREADS / QUADS) * WORDS, x + 4ll * (start[i] + offset), take);
    }
    advance();
  };
  const auto copy_weights = [&](int block, int slot) {
    unsigned* const to = bs + slot * BN * WORDS + swizzled(row_b, chunk);
#pragma unroll
    for (int i = 0; i < ROWS_B; ++i) copy_async<16>(to + i * (THREADS / 8) * WORDS, weights[i] + block * WORDS, true);
  };
  float4 fetched[P == BF16 ? ROWS_A : 1];
  const auto fetch_pixels = [&] {
    const int known = min(tap, 31), offset = windows.tap[known] + c;
#pragma unroll
    for (int i = 0; i < ROWS_A; ++i)
      fetched[P == BF16 ? i : 0] = taken[i] >> known & 1 ? *reinterpret_cast<const float4*>(x + 4ll * (start[i] + offset))
                                                         : make_float4(0, 0, 0, 0);
    advance();
  };
  const auto store_pixels = [&](int slot) {
    unsigned* const to = as + slot * BM * WORDS + swizzled(row_a, quad / 2) + quad % 2 * 2;
#pragma unroll
    for (int i = 0; i < ROWS_A; ++i) {
      const float4 v = fetched[P == BF16 ? i : 0];
      *reinterpret_cast<uint2*>(to + i * (THREADS / QUADS) * WORDS) = make_uint2(pack_bf16(v.x, v.y), pack_bf16(v.z, v.w));
    }
  };

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

    const int a = slot * BM * WORDS + swizzled(warp_m + lane % 16, lane / 16);
    const int b = slot * BN * WORDS + swizzled(warp_n + lane % 8 + lane / 16 * 8, lane / 8 % 2);
    float inside[P == TF32X3 ? MT : 1][P == TF32X3 ? NT : 1][4] = {};
#pragma unroll P == TF32X3 ? 2 : WORDS / 8  // three times as many products a step
    for (int step = 0; step < WORDS / 8; ++step) {
      unsigned fa[MT][4], fb[NT / 2][4];
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        load_matrices(fa[i], as + (a ^ step << 3) + i * 16 * WORDS);
        if constexpr (P == TF32)
#pragma unroll
          for (int q = 0; q < 4; ++q) fa[i][q] = round_tf32(fa[i][q]);
      }
#pragma unroll
      for (int j = 0; j < NT / 2; ++j) load_matrices(fb[j], bs + (b ^ step << 3) + j * 16 * WORDS);
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

  wait<0>();
  __syncthreads();  // nobody reads operands any more
  auto& targets = *reinterpret_cast<Targets<BM, BN>*>(shared);
  targets.fill(g, bias, m0, n0);
  __syncthreads();
#pragma unroll
  for (int j = 0; j < NT; ++j) {
    const auto columns = targets.pair(warp_n + j * 8 + lane % 4 * 2);
#pragma unroll
    for (int i = 0; i < MT; ++i)
#pragma unroll
      for (int h = 0; h < 2; ++h)
        columns.put(y, planes, sign, g, targets.row[warp_m + i * 16 + h * 8 + lane / 4], sums[i][j][2 * h],
                    sums[i][j][2 * h + 1]);
  }
}

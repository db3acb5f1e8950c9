// Convolution by CUDA cores, as an implicit matrix product (geometry.cuh): every term is one fused
// multiply-add in float32, in the order of the reduction.  Any strides, channels and kernels; QUADS
// says that four channels are 16 aligned bytes.  Weights come packed (weights.cu): a row for each
// term of the reduction, outputs fastest, zeros up to a multiple of a block.
//
// A block of threads makes BM pixels x BN outputs, each thread TM x TN of them, with the next block
// of DEPTH terms on its way from memory while this one is multiplied.
#include "geometry.cuh"

enum { DEPTH = 8 };  // terms in a block

// Blocks of a multiprocessor.  From compute capability 11 on the compiler takes more registers for
// the large tile than two have, and would spill.
constexpr int resident(int rows) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1100
  return rows > 64 ? 1 : 2;
#else
  return 2;
#endif
}

template <int BM, int BN, int TM, int TN, bool QUADS>
__global__ void __launch_bounds__((BM / TM) * (BN / TN), resident(BM))
convolve_simt(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
              float* __restrict__ y, float* __restrict__ planes, const float* __restrict__ sign, const Geometry g) {
  constexpr int THREADS = (BM / TM) * (BN / TN);
  constexpr int WIDE = QUADS ? 4 : 1;                            // channels that one read brings
  constexpr int READS_A = BM * DEPTH / WIDE / THREADS, STEP_A = THREADS / BM;
  constexpr int READS_B = DEPTH * BN / THREADS;
  static_assert(THREADS % BM == 0 && READS_A > 0 && READS_B > 0);
  __shared__ __align__(16) float as[2][DEPTH][BM], bs[2][DEPTH][BN];
  __shared__ Targets<BM, BN> targets;
  extern __shared__ Tap taps[];

  const int tid = threadIdx.x;
  const int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN;
  const int group = blockIdx.z / g.splits, split = blockIdx.z % g.splits;
  x += group * g.channels * g.x_channel;
  w += static_cast<long long>(group) * g.reduction * g.outputs;

  // neighbouring threads read neighbouring pixels
  const int row = tid % BM, first_read = tid / BM;
  const bool there = m0 + row < g.pixels;
  const Pixel pixel = pixel_of(min(m0 + row, g.pixels - 1), g.out);
  const long long start = window_start(g, pixel);
  for (int k = tid; k < g.taps; k += THREADS) taps[k] = Tap::of(g, k);
  __syncthreads();

  float next_a[READS_A][WIDE], next_b[READS_B];
  const auto fetch = [&](int block) {
#pragma unroll
    for (int i = 0; i < READS_A; ++i) {
      const int term = block * DEPTH + (first_read + i * STEP_A) * WIDE;
      const int tap = term / g.channels, c = term - tap * g.channels;
      const bool take = there && tap < g.taps && taps[tap].counts(g, pixel);
      const float* from = x + (take ? start + taps[tap].offset + c * g.x_channel : 0);
      if constexpr (QUADS) {
        const float4 v = take ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
        next_a[i][0] = v.x, next_a[i][1] = v.y, next_a[i][2] = v.z, next_a[i][3] = v.w;
      } else {
        next_a[i][0] = take ? *from : 0;
      }
    }
#pragma unroll
    for (int i = 0; i < READS_B; ++i) {
      const int e = tid + i * THREADS, n = n0 + e % BN;
      next_b[i] = n < g.outputs ? w[static_cast<long long>(block * DEPTH + e / BN) * g.outputs + n] : 0;
    }
  };
  const auto store = [&](int slot) {
#pragma unroll
    for (int i = 0; i < READS_A; ++i)
#pragma unroll
      for (int k = 0; k < WIDE; ++k) as[slot][(first_read + i * STEP_A) * WIDE + k][row] = next_a[i][k];
#pragma unroll
    for (int i = 0; i < READS_B; ++i) bs[slot][(tid + i * THREADS) / BN][(tid + i * THREADS) % BN] = next_b[i];
  };

  const int blocks = g.reduction / DEPTH;
  const int first = part_start(blocks, split, g.splits), last = part_start(blocks, split + 1, g.splits);
  const int tm = tid % (BM / TM), tn = tid / (BM / TM);  // rows tm + i BM / TM in quads, columns alike
  float sums[TM][TN] = {};
  if (first < last) {
    fetch(first);
    store(0);
  }
  __syncthreads();
  for (int block = first; block < last; ++block) {
    const int slot = (block - first) % 2;
    if (block + 1 < last) fetch(block + 1);
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
      float a[TM], b[TN];
#pragma unroll
      for (int i = 0; i < TM; i += 4) {
        const float4 v = *reinterpret_cast<const float4*>(&as[slot][k][i / 4 * (BM * 4 / TM) + tm * 4]);
        a[i] = v.x, a[i + 1] = v.y, a[i + 2] = v.z, a[i + 3] = v.w;
      }
#pragma unroll
      for (int j = 0; j < TN; j += 4) {
        const float4 v = *reinterpret_cast<const float4*>(&bs[slot][k][j / 4 * (BN * 4 / TN) + tn * 4]);
        b[j] = v.x, b[j + 1] = v.y, b[j + 2] = v.z, b[j + 3] = v.w;
      }
#pragma unroll
      for (int i = 0; i < TM; ++i)
#pragma unroll
        for (int j = 0; j < TN; ++j) sums[i][j] = fmaf(a[i], b[j], sums[i][j]);
    }
    if (block + 1 < last) store(1 - slot);
    __syncthreads();
  }

  targets.fill(g, bias, m0, n0);
  __syncthreads();
#pragma unroll
  for (int i = 0; i < TM; ++i) {
    const long long row = targets.row[i / 4 * (BM * 4 / TM) + tm * 4 + i % 4];
    if (row < 0) continue;
#pragma unroll
    for (int j = 0; j < TN; ++j) {
      const int n = j / 4 * (BN * 4 / TN) + tn * 4 + j % 4;
      const long long at = row + targets.column[n];
      if (targets.column[n] < 0) continue;
      if (g.splits > 1)
        planes[at] = sums[i][j];
      else
        y[at] = cut(g, rectify(sums[i][j] + targets.bias[n], g.slope), sign + at);
    }
  }
}

// Convolution by warpgroups, as an implicit matrix product: what convolution.cu computes in TF32 and
// TF32X3, where channels come in whole blocks of 32.
//
// The reduction runs over (block of channels, tap, channel): the taps of a block of channels read
// nearly the same pixels one after the other, which are then in the first cache.  Weights come packed
// in that order; for TF32X3 their high parts, and behind all of these their low parts.
//
// A block of threads is two warpgroups, each of which makes WM pixels x BN outputs.
#include "geometry.cuh"
#include "warpgroup.cuh"

constexpr int THREADS = 256, QUADS = 8, ROWS = THREADS / QUADS;  // rows that are copied at once

template <int WM, int BN, int STAGES, Precision P>
__global__ void __launch_bounds__(THREADS, 1)
convolve_by_warpgroups(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
                       float* __restrict__ y, float* __restrict__ planes, const float* __restrict__ sign,
                       const Geometry g) {
  constexpr int BM = 2 * WM, NT = BN / 64, UNITS = WM / 64 * NT;
  constexpr int B_ROWS = P == TF32X3 ? 2 * BN : BN;
  extern __shared__ __align__(128) unsigned shared[];
  __shared__ Windows<BM> windows;
  unsigned* const bs = shared + (-shared_address(shared) % 1024) / 4;
  unsigned* const as = bs + STAGES * B_ROWS * WORDS;

  const int tid = threadIdx.x, lane = tid % 32, warp = tid / 32;
  const int m0 = blockIdx.x * BM, n0 = blockIdx.y * BN;
  const int group = blockIdx.z / g.splits, split = blockIdx.z % g.splits;
  x += group * g.channels * g.x_channel;
  const long long part = static_cast<long long>(g.outputs) * g.reduction;  // of the packed weights
  w += group * part;
  windows.fill(g, m0);

  // this thread copies one quad of some rows
  const int quad = tid % QUADS, row = tid / QUADS;
  const float* weights[B_ROWS / ROWS];
#pragma unroll
  for (int i = 0; i < B_ROWS / ROWS; ++i) {
    const int n = row + i * ROWS, low = n / BN;
    weights[i] = w + low * g.groups * part + static_cast<long long>(min(n0 + n % BN, g.outputs - 1)) * g.reduction + quad * 4;
  }
  const int blocks = g.reduction / WORDS;
  const int first = part_start(blocks, split, g.splits), last = part_start(blocks, split + 1, g.splits);
  int tap = first % g.taps, c = first / g.taps * QUADS + quad;  // of what is copied next
  const auto copy = [&](int block, int slot) {
    if (block < last) {
      const int to = swizzled(row, quad), offset = windows.tap[tap] + c;
#pragma unroll
      for (int i = 0; i < BM / ROWS; ++i) {
        const auto from = windows.row[row + i * ROWS];
        copy_async<16, true>(as + (slot * BM + i * ROWS) * WORDS + to, x + 4ll * (from.start + offset), from.taken >> tap & 1);
      }
#pragma unroll
      for (int i = 0; i < B_ROWS / ROWS; ++i)
        copy_async<16>(bs + (slot * B_ROWS + i * ROWS) * WORDS + to, weights[i] + block * WORDS, true);
      if (++tap == g.taps) tap = 0, c += QUADS;
    }
    commit();
  };
  __syncthreads();
#pragma unroll
  for (int s = 0; s < STAGES - 1; ++s) copy(first + s, s);

  const int warp_m = warp / 4 * WM + warp % 4 * 16;
  const int a = swizzled(warp_m + lane % 16, lane / 16);
  float sums[UNITS][8][4] = {};
  const auto read = [&](Operands<P>& operands, int mt, int slot) {
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
      unsigned bits[4];
      load_matrices(bits, as + slot * BM * WORDS + (a ^ step << 3) + mt * 64 * WORDS);
#pragma unroll
      for (int q = 0; q < 4; ++q) operands.set(step, q, bits[q]);
    }
  };
  multiply_blocks<P, NT, STAGES>(sums, first, last, bs, read, copy, [](int, int) {});

  wait<0>();
  __syncthreads();  // nobody reads operands any more
  auto& targets = *reinterpret_cast<Targets<BM, BN>*>(bs);
  targets.fill(g, bias, m0, n0);
  __syncthreads();
#pragma unroll
  for (int u = 0; u < UNITS; ++u)
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const auto columns = targets.pair(u % NT * 64 + j * 8 + lane % 4 * 2);
#pragma unroll
      for (int h = 0; h < 2; ++h)
        columns.put(y, planes, sign, g, targets.row[warp_m + u / NT * 64 + h * 8 + lane / 4], sums[u][j][2 * h],
                    sums[u][j][2 * h + 1]);
    }
}

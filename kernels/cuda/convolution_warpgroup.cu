// Convolution by warpgroups, as an implicit matrix product: what convolution.cu computes in TF32 and
// TF32X3, where channels come in whole blocks of 32.
//
// The reduction runs over (block of channels, tap, channel): the taps of a block of channels read
// nearly the same pixels one after the other, which are then in the first cache.  Weights come packed
// in that order; for TF32X3 their high parts, and behind all of these their low parts.
//
// A block of threads is two warpgroups, each of which makes WM pixels x BN outputs in units of 64 x 64.
// The products of a unit are a group, and while groups are under way a warpgroup copies the block after
// the next, adds what TF32X3 left in the unit, so that no sum there is longer than 32 terms, and reads
// the next pixels: tensor cores wait for the last addition only.  (ptxas lets products overlap only
// where it sees in one turn of a loop what is waited for.)
#include "geometry.cuh"
#include "warpgroup.cuh"

constexpr int THREADS = 256, QUADS = 8, ROWS = THREADS / QUADS;  // rows that are copied at once

template <int WM, int BN, int STAGES, Precision P>
__global__ void __launch_bounds__(THREADS, 1)
convolve_by_warpgroups(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
                       float* __restrict__ y, float* __restrict__ planes, const float* __restrict__ sign,
                       const Geometry g) {
  constexpr int BM = 2 * WM, MT = WM / 64, NT = BN / 64, UNITS = MT * NT;
  constexpr int B_ROWS = P == TF32X3 ? 2 * BN : BN;
  constexpr int AHEAD = STAGES - 1;  // blocks that are copied
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
  int next = first, tap = first % g.taps, c = first / g.taps * QUADS + quad;  // what is copied next
  const auto copy = [&](int slot) {
    if (next < last) {
      const int to = swizzled(row, quad), offset = windows.tap[tap] + c;
#pragma unroll
      for (int i = 0; i < BM / ROWS; ++i) {
        const auto from = windows.row[row + i * ROWS];
        copy_async<16, true>(as + (slot * BM + i * ROWS) * WORDS + to, x + 4ll * (from.start + offset), from.taken >> tap & 1);
      }
#pragma unroll
      for (int i = 0; i < B_ROWS / ROWS; ++i)
        copy_async<16>(bs + (slot * B_ROWS + i * ROWS) * WORDS + to, weights[i] + next * WORDS, true);
      ++next;
      if (++tap == g.taps) tap = 0, c += QUADS;
    }
    commit();
  };
  __syncthreads();
#pragma unroll
  for (int s = 0; s < AHEAD; ++s) copy(s);

  const int warp_m = warp / 4 * WM + warp % 4 * 16;
  const int a = swizzled(warp_m + lane % 16, lane / 16);
  float sums[UNITS][8][4] = {}, inside[P == TF32X3 ? UNITS : 1][8][4];
  unsigned high[MT][STEPS][4], low[MT][P == TF32X3 ? STEPS : 1][4];
  const auto read = [&](int mt, int slot) {
#pragma unroll
    for (int step = 0; step < STEPS; ++step) {
      unsigned bits[4];
      load_matrices(bits, as + slot * BM * WORDS + (a ^ step << 3) + mt * 64 * WORDS);
#pragma unroll
      for (int q = 0; q < 4; ++q) take<P>(bits[q], high[mt][step][q], low[mt][P == TF32X3 ? step : 0][q]);
    }
  };
  if (first < last) {
    wait<AHEAD - 1>();
    show_shared();
    __syncthreads();
    read(0, 0);
  }
  for (int block = first, slot = 0; block < last; ++block) {
    const unsigned* const b = bs + slot * B_ROWS * WORDS;
#pragma unroll
    for (int u = 0; u < UNITS; ++u) {
      const int mt = u / NT, nt = u % NT;
      if (mt > 0 && nt == 0) read(mt, slot);
      auto& unit = P == TF32X3 ? inside[P == TF32X3 ? u : 0] : sums[u];
      multiply_unit<P>(unit, high[mt], low[mt], b + nt * 64 * WORDS, BN);
    }
    wait<AHEAD - 2>();
    show_shared();
    __syncthreads();  // the next block is there, and nobody multiplies the last one any more
    copy(slot > 0 ? slot - 1 : STAGES - 1);
    slot = slot + 1 < STAGES ? slot + 1 : 0;
#pragma unroll
    for (int u = 0; u < UNITS; ++u) {
      auto& unit = P == TF32X3 ? inside[P == TF32X3 ? u : 0] : sums[u];
      wait_products(UNITS - 1 - u, unit);
      if constexpr (P == TF32X3) add(sums[u], unit);
      if (u % NT == NT - 1) {
        keep(high[u / NT]);
        if constexpr (P == TF32X3) keep(low[u / NT]);
      }
      if (u == NT - 1 && block + 1 < last) read(0, slot);
    }
  }

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

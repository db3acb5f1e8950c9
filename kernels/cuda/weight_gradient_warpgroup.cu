// The weight gradient of a convolution by warpgroups, as a product over pixels: what weight_gradient.cu
// computes in TF32 and TF32X3, where channels come in whole blocks of 32.
//
//   planes[z, m, k, c] = sum over the z-th part of all o of dy[n, m, o] x[n, c, step o + tap k + shift]
//   sums[z, m] = sum over the z-th part of all o of dy[n, m, o], for the bias, if biased
//
// A row is (block of channels, tap, channel), so the taps of a block read nearly the same pixels and
// find them in the first cache; a column is an output m.  x lies in shared memory a pixel to a row and
// is read into registers across; dy must lie an output to a row, and is turned on its way there.
//
// A block of threads is two warpgroups, each of which makes WM rows x BN columns of one plane.
#include "geometry.cuh"
#include "warpgroup.cuh"

constexpr int PIXELS = WORDS, THREADS = 256;
constexpr int KNOWN = THREADS / PIXELS;  // blocks of pixels whose places are kept

template <int WM, int BN, int STAGES, Precision P>
__global__ void __launch_bounds__(THREADS, 1)
weight_gradient_by_warpgroups(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ planes,
                              float* __restrict__ sums_of_dy, const Geometry g) {
  constexpr int BM = 2 * WM, NT = BN / 64, UNITS = WM / 64 * NT;
  constexpr int ROW = BM + 8;  // words, so that a fragment's lanes meet in no bank
  constexpr int B_ROWS = P == TF32X3 ? 2 * BN : BN;
  constexpr int STEP = THREADS / (BM / 4);             // pixels of x that are copied at once
  constexpr int TURNS = BN / 32, ABREAST = 8 / TURNS;  // warps along outputs; chunks of four pixels turned at once
  extern __shared__ __align__(128) unsigned shared[];
  struct __align__(16) Place {
    int y, x;        // where a pixel and its window start, in quads; no pixel: y is negative
    unsigned taken;  // the taps that count for it
  };
  __shared__ Place places[THREADS];
  __shared__ float of_warps[8][32];
  unsigned* const bs = shared + (-shared_address(shared) % 1024) / 4;
  float* const as = reinterpret_cast<float*>(bs + STAGES * B_ROWS * PIXELS);

  const int tid = threadIdx.x, lane = tid % 32, warp = tid / 32;
  const int n0 = blockIdx.x * BN, m0 = blockIdx.y * BM;
  const int group = blockIdx.z / g.splits, split = blockIdx.z % g.splits;
  const int rows = g.taps * g.channels;
  const auto tap_of_row = [&](int m) { return m / 32 % g.taps; };
  const auto channel_of_row = [&](int m) { return m / 32 / g.taps * 32 + m % 32; };

  // of x this thread copies one quad for some pixels: the tap is always the same
  const int quad = tid % (BM / 4) * 4, row = tid / (BM / 4);
  const bool has_m = m0 + quad < rows;
  const int k = has_m ? tap_of_row(m0 + quad) : 0;
  const unsigned tap = has_m ? 1u << k : 0;
  if (has_m) x += group * g.channels + channel_of_row(m0 + quad) + tap_offset(g, k);
  // of dy it turns one quad for some pixels; its lanes begin at different elements, which lie in
  // different banks
  const int n = warp % TURNS * 32 + lane % 8 * 4, pixel = warp / TURNS * 4 + lane / 8, begin = lane % 8 / 2;
  const bool has_n = n0 + n < g.outputs;
  if (has_n) dy += group * g.outputs + n0 + n;
  int turned[4];
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int to = n + (begin + e) % 4;
    turned[e] = to * PIXELS + ((pixel / 4 ^ (to & 7)) << 2) + pixel % 4;
  }

  const int blocks = (g.pixels + PIXELS - 1) / PIXELS;
  const int first = part_start(blocks, split, g.splits), last = part_start(blocks, split + 1, g.splits);
  const bool sums_too = g.biased && blockIdx.y == 0;
  float total[4] = {}, part[4] = {};  // of what this thread has turned; of the last few blocks
  float4 fetched[8 / ABREAST];
  const auto fetch = [&](int block, int slot) {
    if (block < last) {
      const int known = (block - first) % KNOWN;
      if (known == 0) {
#pragma unroll
        for (int e = 0; e < 4; ++e) total[e] += part[e], part[e] = 0;
        // where the next pixels are, one for each thread; a barrier is behind the last reads
        const int p = block * PIXELS + tid;
        const Pixel at = pixel_of(min(p, g.pixels - 1), g.out);
        places[tid].y = p < g.pixels ? static_cast<int>(output_start(g, at) / 4) : -1;
        places[tid].x = static_cast<int>(window_start(g, at) / 4);
        places[tid].taken = p < g.pixels ? counting_taps(g, at) : 0;
        __syncthreads();
      }
#pragma unroll
      for (int i = 0; i < PIXELS / STEP; ++i) {
        const Place place = places[known * PIXELS + row + i * STEP];
        copy_async<16, true>(as + (slot * PIXELS + row + i * STEP) * ROW + quad, x + 4ll * place.x, place.taken & tap);
      }
#pragma unroll
      for (int i = 0; i < 8 / ABREAST; ++i) {
        const int at = places[known * PIXELS + pixel + i * ABREAST * 4].y;
        fetched[i] = has_n && at >= 0 ? *reinterpret_cast<const float4*>(dy + 4ll * at) : make_float4(0, 0, 0, 0);
      }
    }
    commit();
  };
  const auto store = [&](int block, int slot) {
    if (block >= last) return;
    unsigned* const to = bs + slot * B_ROWS * PIXELS;
#pragma unroll
    for (int i = 0; i < 8 / ABREAST; ++i) {
      float4 v = fetched[i];
      if (sums_too) part[0] += v.x, part[1] += v.y, part[2] += v.z, part[3] += v.w;
      if (begin & 1) v = make_float4(v.y, v.z, v.w, v.x);
      if (begin & 2) v = make_float4(v.z, v.w, v.x, v.y);
      const float values[] = {v.x, v.y, v.z, v.w};
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int at = turned[e] ^ i * ABREAST << 2;
        unsigned high, low;
        take<P>(__float_as_uint(values[e]), high, low);
        to[at] = high;
        if (P == TF32X3) to[BN * PIXELS + at] = low;
      }
    }
  };
#pragma unroll
  for (int s = 0; s < STAGES - 1; ++s) {
    fetch(first + s, s);
    store(first + s, s);
  }

  const int warp_m = warp / 4 * WM + warp % 4 * 16;
  float sums[UNITS][8][4] = {};
  const auto read = [&](Operands<P>& operands, int mt, int slot) {
    const float* const a = as + (slot * PIXELS + lane % 4) * ROW + warp_m + mt * 64 + lane / 4;
#pragma unroll
    for (int step = 0; step < STEPS; ++step)
#pragma unroll
      for (int q = 0; q < 4; ++q)
        operands.set(step, q, __float_as_uint(a[(step * 8 + q / 2 * 4) * ROW + q % 2 * 8]));
  };
  multiply_blocks<P, NT, STAGES>(sums, first, last, bs, read, fetch, store);

  if (sums_too) {  // over the lanes and warps that turned the same outputs
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      float sum = total[e] + part[e];
      for (int d = 8; d < 32; d *= 2) sum += __shfl_xor_sync(~0u, sum, d);
      if (lane < 8) of_warps[warp][lane * 4 + e] = sum;
    }
    __syncthreads();
    if (tid < BN && n0 + tid < g.outputs) {
      float sum = 0;
      for (int w = tid / 32; w < 8; w += TURNS) sum += of_warps[w][tid % 32];
      sums_of_dy[(static_cast<long long>(split) * g.groups + group) * g.outputs + n0 + tid] = sum;
    }
  }
  planes += (static_cast<long long>(split) * g.groups + group) * g.outputs * rows;
#pragma unroll
  for (int u = 0; u < UNITS; ++u)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int m = m0 + warp_m + u / NT * 64 + h * 8 + lane / 4;
      if (m >= rows) continue;
      const int at = tap_of_row(m) * g.channels + channel_of_row(m);
#pragma unroll
      for (int j = 0; j < 8; ++j) {
        const int output = n0 + u % NT * 64 + j * 8 + lane % 4 * 2;  // outputs are a multiple of four
        if (output >= g.outputs) continue;
        float* const to = planes + static_cast<long long>(output) * rows + at;
        to[0] = sums[u][j][2 * h];
        to[rows] = sums[u][j][2 * h + 1];
      }
    }
}

// Weight gradients that wait for memory, not for arithmetic (weight_gradient.cu), in float32 by CUDA
// cores: of one array there are few values for a pixel, and the other is read once.
//
//   NARROW   few outputs of one pixel's channels: the score.  One tap that never misses
//   else     few columns (k, c): the first layer.  The sums of dy, for the bias, are one more
//
//   planes[z, m, k, c] as weight_gradient.cu has them        sums[z, m], if biased
//
// Any strides; QUADS: four channels of the array that has many are 16 aligned bytes.  One group.
#include "geometry.cuh"

constexpr int THREADS = 256, PIXELS = 64;  // that are brought at once
constexpr int FEW = 10, ROW = 12;          // values of a pixel that a block takes, and in whole quads

// A thread has a quad of the many and every so many-th pixel, with a sum for each of the few; in the
// end those of a block are added, in the order of threads.
template <bool NARROW, bool QUADS>
__global__ void __launch_bounds__(THREADS, 2)
weight_gradient_direct(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ planes,
                       float* __restrict__ sums_of_dy, const Geometry g) {
  constexpr int WIDE = QUADS ? 4 : 1, EACH = PIXELS * ROW / THREADS, STEP = ROW / EACH;
  static_assert(STEP * PIXELS == THREADS);
  __shared__ __align__(16) float few[2][PIXELS][ROW];
  __shared__ long long place[2][PIXELS];  // in the array that has many
  __shared__ Tap taps[ROW];               // of the few columns; offset: that of their channel as well
  __shared__ __align__(16) float parts[THREADS * WIDE];

  const int tid = threadIdx.x, columns = g.taps * g.channels;
  const int many = (NARROW ? columns : g.outputs) / WIDE, count = NARROW ? g.outputs : columns;
  const int few0 = blockIdx.y * FEW, split = blockIdx.z;
  const int lanes = (many + gridDim.x - 1) / gridDim.x, lane = tid % lanes, row = tid / lanes, rows = THREADS / lanes;
  const int quad = blockIdx.x * lanes + lane;
  const bool works = row < rows && quad < many;
  const float* const from = NARROW ? x + quad * WIDE * g.x_channel : dy + quad * WIDE * g.y_channel;
  if (!NARROW && tid < ROW && few0 + tid < columns) {
    const int k = (few0 + tid) / g.channels, c = few0 + tid - k * g.channels;
    taps[tid] = Tap::of(g, k);
    taps[tid].offset += c * g.x_channel;
  }
  __syncthreads();

  // this thread brings every STEP-th of the few values of one pixel
  const int blocks = (g.pixels + PIXELS - 1) / PIXELS;
  const int first = part_start(blocks, split, g.splits), last = part_start(blocks, split + 1, g.splits);
  const int mine = tid / STEP, value0 = tid % STEP;
  Pixel pixel = pixel_of(first * PIXELS + mine, g.out);
  float next[EACH];
  long long next_place;
  const auto fetch = [&](int block) {
    const bool there = block * PIXELS + mine < g.pixels;
    const long long of_x = window_start<false>(g, pixel), of_y = output_start(g, pixel);
    next_place = NARROW ? of_x : of_y;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
      const int e = value0 + i * STEP, n = few0 + e;
      next[i] = 0;
      if (!there || e >= FEW) continue;
      if (NARROW) {
        if (n < count) next[i] = dy[of_y + n * g.y_channel];
      } else if (n < count) {
        if (taps[e].counts<false>(g, pixel)) next[i] = x[of_x + taps[e].offset];
      } else if (n == count) {
        next[i] = 1;
      }
    }
    advance(pixel, PIXELS, g.out);
  };
  const auto store = [&](int slot) {
#pragma unroll
    for (int i = 0; i < EACH; ++i) few[slot][mine][value0 + i * STEP] = next[i];
    if (value0 == 0) place[slot][mine] = next_place;
  };

  float sums[FEW][WIDE] = {};
  if (first < last) {
    fetch(first);
    store(0);
  }
  for (int block = first; block < last; ++block) {
    const int slot = (block - first) % 2, end = min(PIXELS, g.pixels - block * PIXELS);
    __syncthreads();
    if (block + 1 < last) fetch(block + 1);
    if (works)
#pragma unroll 4
      for (int p = row; p < end; p += rows) {
        float v[WIDE], f[ROW];
        const float* const at = from + place[slot][p];
        if constexpr (QUADS) {
          const float4 four = *reinterpret_cast<const float4*>(at);
          v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
        } else {
          v[0] = *at;
        }
#pragma unroll
        for (int i = 0; i < ROW; i += 4) {
          const float4 four = *reinterpret_cast<const float4*>(&few[slot][p][i]);
          f[i] = four.x, f[i + 1] = four.y, f[i + 2] = four.z, f[i + 3] = four.w;
        }
#pragma unroll
        for (int i = 0; i < FEW; ++i)
#pragma unroll
          for (int e = 0; e < WIDE; ++e) sums[i][e] = fmaf(f[i], v[e], sums[i][e]);
      }
    if (block + 1 < last) store(1 - slot);
  }

  planes += static_cast<long long>(split) * g.outputs * columns;
  const int across = lanes * WIDE, at = blockIdx.x * across + tid;
#pragma unroll
  for (int i = 0; i < FEW; ++i) {
    __syncthreads();
#pragma unroll
    for (int e = 0; e < WIDE; ++e) parts[tid * WIDE + e] = sums[i][e];
    __syncthreads();
    const int n = few0 + i;
    if (tid >= across || at >= many * WIDE || n > count) continue;
    float sum = 0;
#pragma unroll 4
    for (int r = 0; r < rows; ++r) sum += parts[r * across + tid];
    if (n < count)
      planes[NARROW ? static_cast<long long>(n) * columns + at : static_cast<long long>(at) * columns + n] = sum;
    else if (!NARROW && g.biased)
      sums_of_dy[static_cast<long long>(split) * g.outputs + at] = sum;
  }
}

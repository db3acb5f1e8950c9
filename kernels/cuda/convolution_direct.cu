// Convolutions that wait for memory, not for arithmetic (geometry.cuh), in float32 by CUDA cores.
//
//   convolve_short    few terms: the first layer, and what a score's gradient spreads
//   convolve_narrow   few outputs of one pixel's channels: the score
//
// Both keep all weights in shared memory.  convolve_narrow takes a row for each output, as Caffe keeps
// a convolution's weights and weights.cu packs others; convolve_short takes them packed by term.
#include "geometry.cuh"

constexpr int TERMS = 32;  // of convolve_short, at most (table.py)

// A thread makes PIXELS pixels of WIDE neighbouring outputs; neighbouring threads have neighbouring
// outputs.  One group.
template <int WIDE, int PIXELS>
__global__ void __launch_bounds__(256, 3)
convolve_short(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
               float* __restrict__ y, const float* __restrict__ sign, const Geometry g) {
  extern __shared__ __align__(16) float weights[];  // [term][outputs], then the bias
  struct __align__(16) Term {
    long long offset;  // in bytes, behind a pixel's window
    unsigned tap;      // its bit
  };
  __shared__ Term of_term[TERMS];
  const int terms = g.taps * g.channels;
  for (int i = threadIdx.x; i < terms; i += blockDim.x) {
    const int k = i / g.channels;
    of_term[i].offset = (tap_offset(g, k) + (i - k * g.channels) * g.x_channel) * 4;
    of_term[i].tap = 1u << k;
  }
  for (int i = threadIdx.x; i < terms * g.outputs; i += blockDim.x) weights[i] = w[i];
  float* const biases = weights + terms * g.outputs;
  for (int i = threadIdx.x; i < g.outputs; i += blockDim.x) biases[i] = g.biased ? bias[i] : 0;
  __syncthreads();

  const int lanes = g.outputs / WIDE;
  const long long thread = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
  int n;
  const long long first = divide(thread, lanes, n) * PIXELS;
  if (first >= g.pixels) return;
  n *= WIDE;
  const int there = static_cast<int>(min(static_cast<long long>(PIXELS), g.pixels - first));
  Pixel pixel[PIXELS];
  const char* window[PIXELS];
  unsigned taken[PIXELS];  // the taps that count
  float sums[PIXELS][WIDE] = {};
#pragma unroll
  for (int i = 0; i < PIXELS; ++i) {
    if (i == 0) {
      pixel[i] = pixel_of(static_cast<int>(first), g.out);
    } else {
      pixel[i] = pixel[i - 1];
      next(pixel[i], g.out);
    }
    window[i] = reinterpret_cast<const char*>(x + window_start(g, pixel[i]));
    taken[i] = i < there ? counting_taps(g, pixel[i]) : 0;
  }
#pragma unroll 2
  for (int term = 0; term < terms; ++term) {
    const long long offset = of_term[term].offset;
    const unsigned tap = of_term[term].tap;
    float v[WIDE], value[PIXELS];
#pragma unroll
    for (int i = 0; i < PIXELS; ++i) value[i] = taken[i] & tap ? *reinterpret_cast<const float*>(window[i] + offset) : 0;
    const float* const row = weights + term * g.outputs + n;
    if constexpr (WIDE == 4) {
      const float4 four = *reinterpret_cast<const float4*>(row);
      v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
    } else {
      v[0] = *row;
    }
#pragma unroll
    for (int i = 0; i < PIXELS; ++i)
#pragma unroll
      for (int e = 0; e < WIDE; ++e) sums[i][e] = fmaf(value[i], v[e], sums[i][e]);
  }
#pragma unroll
  for (int i = 0; i < PIXELS; ++i) {
    if (i >= there) break;
    const long long at = output_start(g, pixel[i]) + n * g.y_channel;
#pragma unroll
    for (int e = 0; e < WIDE; ++e) sums[i][e] = cut(g, rectify(sums[i][e] + biases[n + e], g.slope), sign + at + e);
    if constexpr (WIDE == 4)
      *reinterpret_cast<float4*>(y + at) = make_float4(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
    else
      y[at] = sums[i][0];
  }
}

// Eight lanes share a pixel, each reads every eighth quad of its channels; up to OUTPUTS sums are added
// across them.  One tap that never misses, one group, w (outputs, channels).
template <int OUTPUTS>
__global__ void __launch_bounds__(256, 3)
convolve_narrow(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ bias,
                float* __restrict__ y, const float* __restrict__ sign, const Geometry g) {
  constexpr int LANES = 8;
  static_assert(OUTPUTS <= LANES);
  extern __shared__ __align__(16) float weights[];  // zeros for outputs that are not there
  for (int i = threadIdx.x; i < OUTPUTS * g.channels; i += blockDim.x)
    weights[i] = i < g.outputs * g.channels ? w[i] : 0;
  __syncthreads();
  const int lane = threadIdx.x % LANES;
  const long long p = (blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x) / LANES;
  const Pixel pixel = pixel_of(static_cast<int>(min(p, static_cast<long long>(g.pixels - 1))), g.out);
  const float* const from = x + window_start(g, pixel);
  float sums[OUTPUTS] = {};
  const auto read = [&](int c) { return *reinterpret_cast<const float4*>(from + min(c, g.channels - 4)); };
  float4 ahead = read(lane * 4);
#pragma unroll 1
  for (int c = lane * 4; c < g.channels; c += LANES * 4) {
    const float4 v = ahead;
    ahead = read(c + LANES * 4);
#pragma unroll
    for (int n = 0; n < OUTPUTS; ++n) {
      const float4 k = *reinterpret_cast<const float4*>(weights + n * g.channels + c);
      sums[n] = fmaf(v.x, k.x, fmaf(v.y, k.y, fmaf(v.z, k.z, fmaf(v.w, k.w, sums[n]))));
    }
  }
  float sum = 0;  // of output `lane`
#pragma unroll
  for (int n = 0; n < OUTPUTS; ++n) {
#pragma unroll
    for (int d = LANES / 2; d; d /= 2) sums[n] += __shfl_xor_sync(~0u, sums[n], d);
    if (n == lane) sum = sums[n];
  }
  if (p >= g.pixels || lane >= g.outputs) return;
  const long long at = output_start(g, pixel) + lane * g.y_channel;
  y[at] = cut(g, rectify(sum + (g.biased ? bias[lane] : 0), g.slope), sign + at);
}

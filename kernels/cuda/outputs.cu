// What happens to a gradient dy (N, M, *O) before the products: what did not get through the
// rectifier is taken away, and the rest is summed for the bias.
//
//   dy'[n, m, o] = dy where y > 0, else slope dy          (in place, if RECTIFY)
//   sums[z, m] = sum over the z-th part of all pixels of dy'
//   add_sums     db[m] += sum_z sums[z, m], in their order
//
// Any strides; where four channels are 16 aligned bytes in both arrays, sum_outputs<.., true>.
#include "geometry.cuh"

struct Outputs {
  int pixels, outputs, part;  // pixels of each part
  int size[3];
  float slope;
  long long y_image, y_channel, y_axis[3], dy_image, dy_channel, dy_axis[3];
};

__device__ __forceinline__ long long place(const Pixel& p, long long image, const long long (&axis)[3]) {
  return p.image * image + p.at[0] * axis[0] + p.at[1] * axis[1] + p.at[2] * axis[2];
}

// Eight warps; a block takes one part of the pixels.  QUADS: lanes are quads of channels, warps take
// turns with the pixels.  Else lanes are pixels, and each warp has one channel.
template <bool RECTIFY, bool QUADS>
__global__ void __launch_bounds__(256)
sum_outputs(const float* __restrict__ y, float* __restrict__ dy, float* __restrict__ sums, const Outputs g) {
  constexpr int WARPS = 8, WIDE = QUADS ? 4 : 1;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int step = QUADS ? WARPS : 32;
  const int m = QUADS ? (blockIdx.y * 32 + lane) * 4 : blockIdx.y * WARPS + warp;
  const int first = blockIdx.x * g.part, last = first + min(g.part, g.pixels - first);
  float sum[WIDE] = {};
  if (m < g.outputs) {
    int p = first + (QUADS ? warp : lane);
    for (Pixel pixel = pixel_of(p, g.size); p < last; p += step, advance(pixel, step, g.size)) {
      float* const at = dy + place(pixel, g.dy_image, g.dy_axis) + m * g.dy_channel;
      const float* const made = y + place(pixel, g.y_image, g.y_axis) + m * g.y_channel;
      float v[WIDE];
      if constexpr (QUADS) {
        const float4 four = *reinterpret_cast<const float4*>(at);
        v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
      } else {
        v[0] = *at;
      }
      if constexpr (RECTIFY) {
        if constexpr (QUADS) {
          const float4 four = *reinterpret_cast<const float4*>(made);
          if (!(four.x > 0)) v[0] *= g.slope;
          if (!(four.y > 0)) v[1] *= g.slope;
          if (!(four.z > 0)) v[2] *= g.slope;
          if (!(four.w > 0)) v[3] *= g.slope;
          *reinterpret_cast<float4*>(at) = make_float4(v[0], v[1], v[2], v[3]);
        } else {
          if (!(*made > 0)) v[0] *= g.slope;
          *at = v[0];
        }
      }
#pragma unroll
      for (int e = 0; e < WIDE; ++e) sum[e] += v[e];
    }
  }
  float* const to = sums + static_cast<long long>(blockIdx.x) * g.outputs;
  if constexpr (QUADS) {
    __shared__ float of_warp[WARPS][32 * 4];
#pragma unroll
    for (int e = 0; e < WIDE; ++e) of_warp[warp][lane * 4 + e] = sum[e];
    __syncthreads();
    const int output = blockIdx.y * 32 * 4 + threadIdx.x;
    if (threadIdx.x >= 32 * 4 || output >= g.outputs) return;
    float all = 0;
    for (int w = 0; w < WARPS; ++w) all += of_warp[w][threadIdx.x];
    to[output] = all;
  } else {
    for (int d = 16; d; d /= 2) sum[0] += __shfl_xor_sync(~0u, sum[0], d);
    if (m < g.outputs && lane == 0) to[m] = sum[0];
  }
}

// a warp for each output
__global__ void add_sums(const float* __restrict__ sums, float* __restrict__ db, int outputs, int parts) {
  const int lane = threadIdx.x % 32, m = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
  float sum = 0;
  if (m < outputs)
    for (int z = lane; z < parts; z += 32) sum += sums[static_cast<long long>(z) * outputs + m];
  for (int d = 16; d; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
  if (m < outputs && lane == 0) db[m] += sum;
}

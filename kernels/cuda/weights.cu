// Weights between Caffe's order and what the products read and make.
//
//   pack         Caffe's (M, C, *k) -> rows of the reduction: (k, c), c fastest, with zeros behind; or for
//                each block of channels
//   add_planes   dw += the sum of planes of partial products, in their order
//   finish       y = f(b + the sum of planes), in their order (geometry.cuh)
#include "geometry.cuh"
#include "ptx.cuh"

struct Packing {  // of one group
  int outputs, channels, taps, groups;
  int reduction;            // terms of a row, those of zeros included
  int columns;              // outputs of one spread position: column q columns + m takes w[.., q]
  int by_term;              // whether a row belongs to a term, not to an output
  int block;                // channels whose taps stand together: all, or a part without rest
  long long w_output, w_channel, w_group;  // strides in elements; from tap to tap it is 1
};

// as it is; to TF32; two bfloat16 in a word; what TF32 keeps, and behind all that what it drops
enum Operand { FLOAT, ROUNDED, PAIRS, SPLIT };

// a thread for each channel (pair of channels) of each output
template <Operand O> __global__ void pack(const float* __restrict__ w, float* __restrict__ packed, const Packing g) {
  constexpr int WIDE = O == PAIRS ? 2 : 1;
  const int channels = g.channels / WIDE, terms = g.reduction / WIDE;
  const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
  const int c = static_cast<int>(i % channels);
  const long long row = i / channels;
  const int n = static_cast<int>(row % g.outputs), group = static_cast<int>(row / g.outputs);
  if (group >= g.groups) return;
  const int q = n / g.columns, output = n - q * g.columns;
  const bool spread = g.columns != g.outputs;
  w += group * g.w_group + output * g.w_output + c * WIDE * g.w_channel + q;
  packed += static_cast<long long>(group) * g.outputs * terms;
  const int block = g.block / WIDE, taps = spread ? 1 : g.taps;
  int tap = 0;
  for (int term = c / block * taps * block + c % block; term < terms; term += block, ++tap) {
    if (block < channels && tap == taps) break;  // behind them are the next channels
    const bool real = tap < taps;
    const float low = real ? w[tap] : 0, high = real && WIDE == 2 ? w[tap + g.w_channel] : 0;
    const float value = O == PAIRS     ? __uint_as_float(pack_bf16(low, high))
                        : O == ROUNDED ? __uint_as_float(round_tf32(low))
                                       : low;
    const long long at = g.by_term ? static_cast<long long>(term) * g.outputs + n : static_cast<long long>(n) * terms + term;
    packed[at] = O == SPLIT ? __uint_as_float(high_part(__float_as_uint(value))) : value;
    if (O == SPLIT)
      packed[static_cast<long long>(g.groups) * g.outputs * terms + at] = __uint_as_float(low_part(__float_as_uint(value)));
  }
}

// planes (splits, rows, taps, columns), dw (rows, columns, taps); a thread for each element of dw, or
// where there are MANY planes eight, in different warps, which take turns with them
template <bool MANY>
__global__ void add_planes(const float* __restrict__ planes, float* __restrict__ dw, int rows, int columns, int taps,
                           int splits) {
  constexpr int TURNS = MANY ? 8 : 1;
  const int lanes = blockDim.x / TURNS, lane = threadIdx.x % lanes, turn = threadIdx.x / lanes;
  const long long i = blockIdx.x * static_cast<long long>(lanes) + lane;
  const long long plane = static_cast<long long>(rows) * taps * columns;
  float sum = 0;
  if (i < plane) {
    int k, column;
    const long long row = divide(divide(i, taps, k), columns, column);
    const float* part = planes + (row * taps + k) * columns + column;
    for (int z = turn; z < splits; z += TURNS) sum += part[z * plane];
  }
  if constexpr (MANY) {
    __shared__ float of_turn[TURNS][32];
    of_turn[turn][lane] = sum;
    __syncthreads();
    if (turn) return;
    for (int t = 1; t < TURNS; ++t) sum += of_turn[t][lane];
  }
  if (i < plane) dw[i] += sum;
}

// planes (groups, splits, pixels, outputs); a thread for each pixel and output, or for four outputs
// next to each other, where these are a word in planes, y and sign
template <bool QUADS>
__global__ void finish(const float* __restrict__ planes, const float* __restrict__ bias, float* __restrict__ y,
                       const float* __restrict__ sign, const Geometry g) {
  constexpr int WIDE = QUADS ? 4 : 1;
  const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
  const long long plane = static_cast<long long>(g.pixels) * g.outputs;
  int n, p;
  const int group = static_cast<int>(divide(divide(i, g.outputs / WIDE, n), g.pixels, p));
  if (group >= g.groups) return;
  n *= WIDE;
  const float* part = planes + group * g.splits * plane + static_cast<long long>(p) * g.outputs + n;
  float sums[WIDE] = {};
  for (int z = 0; z < g.splits; ++z, part += plane)
    if constexpr (QUADS) {
      const float4 v = *reinterpret_cast<const float4*>(part);
      sums[0] += v.x, sums[1] += v.y, sums[2] += v.z, sums[3] += v.w;
    } else {
      sums[0] += *part;
    }
  long long offset;
  const int output = output_of(g, group, n, offset);
  const long long at = output_start(g, pixel_of(p, g.out)) + offset;
#pragma unroll
  for (int e = 0; e < WIDE; ++e) sums[e] = cut(g, rectify(sums[e] + (g.biased ? bias[output + e] : 0), g.slope), sign + at + e);
  if constexpr (QUADS)
    *reinterpret_cast<float4*>(y + at) = make_float4(sums[0], sums[1], sums[2], sums[3]);
  else
    y[at] = sums[0];
}

// Which input a convolution reads for an output: one record for every pass.
//
//   y[n, m, o] = f(b[m] + sum_{c, k} w[m, c, k] x[n, c, (step o + tap k + shift) / divide])
//
// over up to three axes; a term counts only where the division leaves no rest and the input has such
// an element.  Forward: step = stride, tap = dilation, shift = -pad, divide = 1.  Data gradient, from
// dy to dx: step = 1, tap = -dilation, shift = pad, divide = stride.  Where windows tile the larger
// array, what is painted there is a product of pixels with `spread` times as many columns: column
// q columns + m goes to output `step` o + q.  f(v) = v where v > 0, else slope v; of a data gradient
// that lies behind a rectifier only what got through it is kept: where `sign`, an array like y, is above 0.
//
// As a matrix product: row p is one output pixel of one image, column j one output, and the
// reduction runs over (k, c), c fastest.
#pragma once

struct Geometry {  // counts of channels and outputs are those of one group
  int pixels, channels, outputs, groups;
  int taps, reduction;   // positions of the kernel; length of a packed row of weights
  int columns;           // outputs that belong to one of the spread positions
  int splits;            // parts of the reduction, summed later from planes; 1: none
  int biased, paired;    // is there a bias; may outputs be written two at a time
  int plain;             // no term ever misses: no padding, no division
  int cut;               // is there a sign
  float slope;
  int in[3], out[3], kernel[3], spread[3];
  int step[3], tap[3], shift[3], divide[3];
  long long x_image, x_channel, x_axis[3];           // strides in elements
  long long y_image, y_channel, y_axis[3], y_tap[3]; // y_tap: from one spread position to the next
};

// a / b and what is left, where possible by a division of 32 bits, which takes a quarter of the time
__device__ __forceinline__ long long divide(long long a, int b, int& rest) {
  const long long quotient = a >> 32 ? a / b : static_cast<unsigned>(a) / static_cast<unsigned>(b);
  rest = static_cast<int>(a - quotient * b);
  return quotient;
}

struct Pixel {
  int image, at[3];
};

__device__ __forceinline__ Pixel pixel_of(int p, const int (&size)[3]) {
  Pixel found;
  int rest = p / size[2];
  found.at[2] = p - rest * size[2];
  const int above = rest / size[1];
  found.at[1] = rest - above * size[1];
  found.image = above / size[0];
  found.at[0] = above - found.image * size[0];
  return found;
}

// the next pixel
__device__ __forceinline__ void next(Pixel& p, const int (&size)[3]) {
  if (++p.at[2] < size[2]) return;
  p.at[2] = 0;
  if (++p.at[1] < size[1]) return;
  p.at[1] = 0;
  if (++p.at[0] < size[0]) return;
  p.at[0] = 0;
  ++p.image;
}

// `by` pixels on, without a division where rows are not much shorter than that
__device__ __forceinline__ void advance(Pixel& p, int by, const int (&size)[3]) {
  p.at[2] += by;
  while (p.at[2] >= size[2]) {
    p.at[2] -= size[2];
    if (++p.at[1] < size[1]) continue;
    p.at[1] = 0;
    if (++p.at[0] < size[0]) continue;
    p.at[0] = 0;
    ++p.image;
  }
}

__device__ __forceinline__ int floor_divide(int a, int b) {
  if (b == 1) return a;
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

// the k-th position along each axis
__device__ __forceinline__ void tap_of(int k, const int (&kernel)[3], int (&at)[3]) {
  at[2] = k % kernel[2];
  const int rest = k / kernel[2];
  at[1] = rest % kernel[1];
  at[0] = rest / kernel[1];
}

// where a pixel's window begins in x; what a tap adds to it, wherever its term counts.  DIVIDES:
// whether divide may be other than 1, here and below
template <bool DIVIDES = true> __device__ __forceinline__ long long window_start(const Geometry& g, const Pixel& p) {
  long long at = p.image * g.x_image;
#pragma unroll
  for (int a = 0; a < 3; ++a) {
    const int scaled = g.step[a] * p.at[a] + g.shift[a];
    at += (DIVIDES ? floor_divide(scaled, g.divide[a]) : scaled) * g.x_axis[a];
  }
  return at;
}
__device__ __forceinline__ long long tap_offset(const Geometry& g, int k) {
  int at[3];
  tap_of(k, g.kernel, at);
  long long offset = 0;
#pragma unroll
  for (int a = 0; a < 3; ++a) offset += g.tap[a] * at[a] / g.divide[a] * g.x_axis[a];
  return offset;
}
template <bool DIVIDES = true> __device__ __forceinline__ bool lies_inside(const Geometry& g, int axis, int scaled) {
  if (scaled < 0) return false;
  if (!DIVIDES || g.divide[axis] == 1) return scaled < g.in[axis];
  return scaled % g.divide[axis] == 0 && scaled / g.divide[axis] < g.in[axis];
}
// a tap, as far as it is the same for all pixels
struct Tap {
  long long offset;
  int shift[3];

  __device__ __forceinline__ static Tap of(const Geometry& g, int k) {
    Tap tap;
    int at[3];
    tap_of(k, g.kernel, at);
    tap.offset = tap_offset(g, k);
#pragma unroll
    for (int a = 0; a < 3; ++a) tap.shift[a] = g.tap[a] * at[a] + g.shift[a];
    return tap;
  }
  template <bool DIVIDES = true> __device__ __forceinline__ bool counts(const Geometry& g, const Pixel& p) const {
    if (g.plain) return true;
    bool inside = true;
#pragma unroll
    for (int a = 0; a < 3; ++a) inside = inside && lies_inside<DIVIDES>(g, a, g.step[a] * p.at[a] + shift[a]);
    return inside;
  }
};
// which taps count, as bits, for at most 32 of them
__device__ __forceinline__ unsigned counting_taps(const Geometry& g, const Pixel& p) {
  if (g.plain) return ~0u >> (32 - g.taps);
  unsigned along[3] = {};
#pragma unroll
  for (int a = 0; a < 3; ++a)
#pragma unroll 1
    for (int k = 0; k < g.kernel[a]; ++k)
      along[a] |= (lies_inside(g, a, g.step[a] * p.at[a] + g.tap[a] * k + g.shift[a]) ? 1u : 0u) << k;
  unsigned bits = 0;
  int place = 0;
#pragma unroll 1
  for (int i = 0; i < g.kernel[0]; ++i)
#pragma unroll 1
    for (int j = 0; j < g.kernel[1]; ++j, place += g.kernel[2])
      if (along[0] >> i & along[1] >> j & 1) bits |= along[2] << place;
  return bits;
}

__device__ __forceinline__ long long output_start(const Geometry& g, const Pixel& p) {
  long long at = p.image * g.y_image;
#pragma unroll
  for (int a = 0; a < 3; ++a) at += p.at[a] * g.y_axis[a];
  return at;
}
// column j of a group: which output it is, and where that lies behind output_start
__device__ __forceinline__ int output_of(const Geometry& g, int group, int j, long long& offset) {
  int q = 0, output = j;
  if (g.columns != g.outputs) {
    q = j / g.columns;
    output = j - q * g.columns;
  }
  output += group * g.columns;
  offset = output * g.y_channel;
  if (q) {
    int at[3];
    tap_of(q, g.spread, at);
#pragma unroll
    for (int a = 0; a < 3; ++a) offset += at[a] * g.y_tap[a];
  }
  return output;
}

__device__ __forceinline__ float rectify(float v, float slope) { return v > 0 ? v : slope * v; }
__device__ __forceinline__ float cut(const Geometry& g, float v, const float* sign) {
  return !g.cut || *sign > 0 ? v : 0;
}

// Where a block of threads reads what its BM pixels need, in quads of channels.  Filled by the whole
// block; at most 32 taps.
template <int BM> struct Windows {
  struct Row {
    int start;       // of the pixel's window
    unsigned taken;  // the taps that count for it; none where there is no such pixel
  };
  Row row[BM];
  int tap[32];  // what a tap adds

  __device__ __forceinline__ void fill(const Geometry& g, int m0) {
    if (threadIdx.x < 32) tap[threadIdx.x] = threadIdx.x < g.taps ? static_cast<int>(tap_offset(g, threadIdx.x) / 4) : 0;
    for (int i = threadIdx.x; i < BM; i += blockDim.x) {
      const Pixel pixel = pixel_of(min(m0 + i, g.pixels - 1), g.out);
      row[i].start = static_cast<int>(window_start(g, pixel) / 4);
      row[i].taken = m0 + i < g.pixels ? counting_taps(g, pixel) : 0;
    }
  }
};

// Where a block of threads writes its BM pixels x BN columns: to y, or where the reduction is split to
// a plane of partial sums.  Filled by the whole block.
template <int BM, int BN> struct Targets {
  long long row[BM], column[BN];  // offsets of elements; negative where there is nothing to write
  float bias[BN];

  __device__ __forceinline__ void fill(const Geometry& g, const float* b, int m0, int n0) {
    const int group = blockIdx.z / g.splits;
    for (int i = threadIdx.x; i < BM; i += blockDim.x) {
      const int p = m0 + i;
      row[i] = p >= g.pixels  ? -1
               : g.splits > 1 ? (static_cast<long long>(blockIdx.z) * g.pixels + p) * g.outputs
                              : output_start(g, pixel_of(p, g.out));
    }
    for (int j = threadIdx.x; j < BN; j += blockDim.x) {
      const int n = n0 + j;
      long long offset = n < g.outputs ? n : -1;
      bias[j] = 0;
      if (g.splits == 1 && n < g.outputs) {
        const int output = output_of(g, group, n, offset);
        if (g.biased) bias[j] = b[output];
      }
      column[j] = offset;
    }
  }

  // f(sums + bias) of a pixel, for column j and the next
  struct Pair {
    long long at[2];
    float bias[2];

    __device__ __forceinline__ void put(float* y, float* planes, const float* sign, const Geometry& g, long long row,
                                        float v0, float v1) const {
      if (row < 0 || at[0] < 0) return;
      const bool two = at[1] >= 0;
      float* to = planes;
      if (g.splits == 1) {
        to = y;
        v0 = rectify(v0 + bias[0], g.slope), v1 = rectify(v1 + bias[1], g.slope);
        if (g.cut) {
          const float2 s = g.paired ? *reinterpret_cast<const float2*>(sign + row + at[0])
                                    : make_float2(sign[row + at[0]], two ? sign[row + at[1]] : 0);
          v0 = s.x > 0 ? v0 : 0, v1 = s.y > 0 ? v1 : 0;
        }
      }
      if (g.paired) {
        *reinterpret_cast<float2*>(to + row + at[0]) = make_float2(v0, v1);
      } else {
        to[row + at[0]] = v0;
        if (two) to[row + at[1]] = v1;
      }
    }
  };
  __device__ __forceinline__ Pair pair(int j) const { return {{column[j], column[j + 1]}, {bias[j], bias[j + 1]}}; }
};

// the part of a range of `count` that split z of `splits` takes
__device__ __forceinline__ int part_start(int count, int z, int splits) {
  return static_cast<int>(static_cast<long long>(count) * z / splits);
}

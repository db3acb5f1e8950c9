// The weight gradient of a convolution, as a product over pixels (geometry.cuh):
//
//   planes[z, m, k, c] = sum over the z-th part of all o of dy[n, m, o] x[n, c, step o + tap k + shift]
//
// which add_planes (weights.cu) adds up in a fixed order.  A row is an output m, a column (k, c), c
// fastest.  The geometry is that of the forward pass: it says where x is read, and its y is dy; divide
// is 1.  Both arrays have their channels next to each other where a block of the product has its
// reduction, so operands lie in shared memory a pixel to a row.
#include "geometry.cuh"
#include "ptx.cuh"

// By tensor cores: unit channel strides, channels and other strides multiples of four, at most 31 taps.
// A block of threads makes SIZE x SIZE of one plane, its warps WM x WN each.
template <int SIZE, int WM, int WN, int STAGES, Precision P>
__global__ void __launch_bounds__((SIZE / WM) * (SIZE / WN) * 32)
weight_gradient(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ planes, const Geometry g) {
  constexpr int THREADS = (SIZE / WM) * (SIZE / WN) * 32, PIXELS = 16;
  constexpr int ROW = SIZE + (P == BF16 ? 4 : 8);  // words, so that a fragment's lanes meet in no bank
  constexpr int QUADS = SIZE / 4, STEP = THREADS / QUADS, READS = PIXELS / STEP;
  constexpr int MT = WM / 16, NT = WN / 8;
  constexpr int KNOWN = THREADS / PIXELS;  // blocks whose pixels' places are kept
  static_assert(THREADS % QUADS == 0 && READS > 0 && KNOWN >= STAGES);
  extern __shared__ __align__(128) float shared[];
  struct __align__(16) Place {
    int y, x;        // where a pixel and its window start, in quads; no pixel: y is negative
    unsigned taken;  // the taps that count for it
  };
  __shared__ Place places[THREADS];
  float* const as = shared;
  float* const bs = shared + STAGES * PIXELS * ROW;

  const int tid = threadIdx.x, lane = tid % 32, warp = tid / 32;
  const int warp_m = warp % (SIZE / WM) * WM, warp_n = warp / (SIZE / WM) * WN;
  const int m0 = blockIdx.x * SIZE, n0 = blockIdx.y * SIZE;
  const int group = blockIdx.z / g.splits, split = blockIdx.z % g.splits;
  const int columns = g.taps * g.channels;

  // this thread copies one quad of dy and one of x for some pixels: the tap is always the same
  const int quad = tid % QUADS * 4, row = tid / QUADS;
  const int m = m0 + quad, n = n0 + quad;
  const bool has_m = m < g.outputs, has_n = n < columns;
  const int k = has_n ? n / g.channels : 0;
  const unsigned tap = has_n ? 1u << k : 0;
  if (has_m) dy += group * g.outputs + m;
  if (has_n) x += group * g.channels + n - k * g.channels + tap_offset(g, k);

  const int blocks = (g.pixels + PIXELS - 1) / PIXELS;
  const int first = part_start(blocks, split, g.splits), last = part_start(blocks, split + 1, g.splits);
  const auto copy = [&](int block) {
    const int known = (block - first) % KNOWN;
    if (known == 0) {  // where the next pixels are, one for each thread; a barrier is behind the last reads
      const int p = block * PIXELS + tid;
      const Pixel pixel = pixel_of(min(p, g.pixels - 1), g.out);
      places[tid].y = p < g.pixels ? static_cast<int>(output_start(g, pixel) / 4) : -1;
      places[tid].x = static_cast<int>(window_start<false>(g, pixel) / 4);
      places[tid].taken = p < g.pixels ? counting_taps(g, pixel) : 0;
      __syncthreads();
    }
    const int to = ((block - first) % STAGES * PIXELS + row) * ROW + quad;
#pragma unroll
    for (int i = 0; i < READS; ++i) {
      const Place place = places[known * PIXELS + row + i * STEP];
      copy_async<16>(as + to + i * STEP * ROW, dy + 4ll * place.y, has_m && place.y >= 0);
      copy_async<16>(bs + to + i * STEP * ROW, x + 4ll * place.x, place.taken & tap);
    }
  };

#pragma unroll
  for (int s = 0; s < STAGES - 1; ++s) {
    if (first + s < last) copy(first + s);
    commit();
  }
  float sums[MT][NT][4] = {};
  const int high = lane / 4, low = lane % 4;
  for (int block = first; block < last; ++block) {
    wait<STAGES - 2>();
    __syncthreads();
    if (block + STAGES - 1 < last) copy(block + STAGES - 1);
    commit();
    const float* const a = as + (block - first) % STAGES * PIXELS * ROW + warp_m + high;
    const float* const b = bs + (block - first) % STAGES * PIXELS * ROW + warp_n + high;
    if constexpr (P == BF16) {
      unsigned fa[MT][4];
#pragma unroll
      for (int i = 0; i < MT; ++i)
#pragma unroll
        for (int q = 0; q < 4; ++q) {
          const float* const from = a + (2 * low + q / 2 * 8) * ROW + i * 16 + q % 2 * 8;
          fa[i][q] = pack_bf16(from[0], from[ROW]);
        }
#pragma unroll
      for (int j = 0; j < NT; ++j) {
        const float* const from = b + 2 * low * ROW + j * 8;
        const unsigned b0 = pack_bf16(from[0], from[ROW]), b1 = pack_bf16(from[8 * ROW], from[9 * ROW]);
#pragma unroll
        for (int i = 0; i < MT; ++i) multiply_bf16(sums[i][j], fa[i], b0, b1);
      }
    } else {
      const auto operand = [](float x) { return P == TF32 ? round_tf32(x) : __float_as_uint(x); };
      float inside[P == TF32X3 ? MT : 1][P == TF32X3 ? NT : 1][4] = {};
#pragma unroll
      for (int step = 0; step < PIXELS; step += 8) {
        unsigned fa[MT][4], la[P == TF32X3 ? MT : 1][4];
#pragma unroll
        for (int i = 0; i < MT; ++i)
#pragma unroll
          for (int q = 0; q < 4; ++q) {
            fa[i][q] = operand(a[(step + low + q / 2 * 4) * ROW + i * 16 + q % 2 * 8]);
            if constexpr (P == TF32X3) la[i][q] = low_part(fa[i][q]);
          }
#pragma unroll
        for (int j = 0; j < NT; ++j) {
          const unsigned b0 = operand(b[(step + low) * ROW + j * 8]);
          const unsigned b1 = operand(b[(step + low + 4) * ROW + j * 8]);
          if constexpr (P == TF32X3) {
            const unsigned l0 = low_part(b0), l1 = low_part(b1);
#pragma unroll
            for (int i = 0; i < MT; ++i) {
              multiply_tf32(inside[i][j], la[i], b0, b1);
              multiply_tf32(inside[i][j], fa[i], l0, l1);
              multiply_tf32(inside[i][j], fa[i], b0, b1);
            }
          } else {
#pragma unroll
            for (int i = 0; i < MT; ++i) multiply_tf32(sums[i][j], fa[i], b0, b1);
          }
        }
      }
      if constexpr (P == TF32X3)
#pragma unroll
        for (int i = 0; i < MT; ++i)
#pragma unroll
          for (int j = 0; j < NT; ++j)
#pragma unroll
            for (int q = 0; q < 4; ++q) sums[i][j][q] += inside[i][j][q];
    }
  }

  planes += (static_cast<long long>(split) * g.groups + group) * g.outputs * columns;
#pragma unroll
  for (int i = 0; i < MT; ++i)
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = m0 + warp_m + i * 16 + h * 8 + high;
      if (row >= g.outputs) continue;
#pragma unroll
      for (int j = 0; j < NT; ++j) {
        const int column = n0 + warp_n + j * 8 + low * 2;  // columns are a multiple of four
        if (column < columns)
          *reinterpret_cast<float2*>(planes + static_cast<long long>(row) * columns + column) =
              make_float2(sums[i][j][2 * h], sums[i][j][2 * h + 1]);
      }
    }
}

constexpr int CHAIN = 1 << 13;  // pixels that are summed in one go: as many roundings stay within 2e-6

// By CUDA cores: any strides and channels; QUADS as in convolution_simt.cu.  A thread makes TILE x TILE.
template <int SIZE_M, int SIZE_N, int TILE, bool QUADS>
__global__ void __launch_bounds__((SIZE_M / TILE) * (SIZE_N / TILE), 2)
weight_gradient_simt(const float* __restrict__ x, const float* __restrict__ dy, float* __restrict__ planes,
                     const Geometry g) {
  constexpr int THREADS = (SIZE_M / TILE) * (SIZE_N / TILE), PIXELS = SIZE_N < 128 ? 16 : 8, WIDE = QUADS ? 4 : 1;
  constexpr int LANES_M = SIZE_M / WIDE, LANES_N = SIZE_N / WIDE;
  constexpr int STEP_M = THREADS / LANES_M, STEP_N = THREADS / LANES_N;  // pixels that are read at once
  constexpr int READS_M = PIXELS / STEP_M, READS_N = PIXELS / STEP_N;
  constexpr int KNOWN = THREADS / PIXELS;  // blocks whose pixels' places are kept
  static_assert(THREADS % LANES_M == 0 && THREADS % LANES_N == 0 && READS_M > 0 && READS_N > 0);
  __shared__ __align__(16) float as[2][PIXELS][SIZE_M], bs[2][PIXELS][SIZE_N];
  struct __align__(16) Place {
    long long y, x;  // where a pixel and its window start; no pixel: y is negative
    int at[3];       // what counts adds a tap's shift to
  };
  __shared__ Place places[THREADS];

  const int tid = threadIdx.x;
  const int group = blockIdx.z / g.splits, split = blockIdx.z % g.splits;
  const int columns = g.taps * g.channels;
  const int lane_m = tid % LANES_M * WIDE, row_m = tid / LANES_M, lane_n = tid % LANES_N * WIDE, row_n = tid / LANES_N;
  const int m = blockIdx.x * SIZE_M + lane_m, n = blockIdx.y * SIZE_N + lane_n;
  const bool has_m = m < g.outputs, has_n = n < columns;
  const int k = has_n ? n / g.channels : 0;
  dy += has_m ? (group * g.outputs + m) * g.y_channel : 0;
  const Tap tap = Tap::of(g, k);
  x += has_n ? (group * g.channels + n - k * g.channels) * g.x_channel + tap.offset : 0;

  float next_a[READS_M][WIDE], next_b[READS_N][WIDE];
  const auto read = [](const float* from, bool take, float (&to)[WIDE]) {
    if constexpr (QUADS) {
      const float4 v = take ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
      to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
    } else {
      to[0] = take ? *from : 0;
    }
  };
  const int blocks = (g.pixels + PIXELS - 1) / PIXELS;
  const int first = part_start(blocks, split, g.splits), last = part_start(blocks, split + 1, g.splits);
  const auto fetch = [&](int block) {
    const int known = (block - first) % KNOWN;
    if (known == 0) {  // where the next pixels are, one for each thread; a barrier is behind the last reads
      const int p = block * PIXELS + tid;
      const Pixel pixel = pixel_of(min(p, g.pixels - 1), g.out);
      places[tid].y = p < g.pixels ? output_start(g, pixel) : -1;
      places[tid].x = window_start<false>(g, pixel);
#pragma unroll
      for (int a = 0; a < 3; ++a) places[tid].at[a] = g.step[a] * pixel.at[a];
      __syncthreads();
    }
    const Place* const of_block = places + known * PIXELS;
#pragma unroll
    for (int i = 0; i < READS_M; ++i) {
      const long long y = of_block[row_m + i * STEP_M].y;
      const bool take = has_m && y >= 0;
      read(dy + (take ? y : 0), take, next_a[i]);
    }
#pragma unroll
    for (int i = 0; i < READS_N; ++i) {
      const Place& place = of_block[row_n + i * STEP_N];
      bool take = has_n && place.y >= 0;
#pragma unroll
      for (int a = 0; a < 3; ++a) take = take && (g.plain || lies_inside<false>(g, a, place.at[a] + tap.shift[a]));
      read(x + (take ? place.x : 0), take, next_b[i]);
    }
  };
  const auto store = [&](int slot) {
#pragma unroll
    for (int i = 0; i < READS_M; ++i)
#pragma unroll
      for (int e = 0; e < WIDE; ++e) as[slot][row_m + i * STEP_M][lane_m + e] = next_a[i][e];
#pragma unroll
    for (int i = 0; i < READS_N; ++i)
#pragma unroll
      for (int e = 0; e < WIDE; ++e) bs[slot][row_n + i * STEP_N][lane_n + e] = next_b[i][e];
  };

  const int tm = tid % (SIZE_M / TILE), tn = tid / (SIZE_M / TILE);
  float sums[TILE][TILE] = {};
  planes += (static_cast<long long>(split) * g.groups + group) * g.outputs * columns;
  const auto write = [&](bool more) {
#pragma unroll
    for (int i = 0; i < TILE; ++i) {
      const int row = blockIdx.x * SIZE_M + i / 4 * (SIZE_M * 4 / TILE) + tm * 4 + i % 4;
#pragma unroll
      for (int j = 0; j < TILE; ++j) {
        const int column = blockIdx.y * SIZE_N + j / 4 * (SIZE_N * 4 / TILE) + tn * 4 + j % 4;
        if (row >= g.outputs || column >= columns) continue;
        float& to = planes[static_cast<long long>(row) * columns + column];
        to = more ? to + sums[i][j] : sums[i][j];
        sums[i][j] = 0;
      }
    }
  };
  int left = CHAIN / PIXELS;
  bool written = false;
  if (first < last) {
    fetch(first);
    store(0);
  }
  __syncthreads();
  for (int block = first; block < last; ++block) {
    const int slot = (block - first) % 2;
    if (block + 1 < last) fetch(block + 1);
#pragma unroll
    for (int p = 0; p < PIXELS; ++p) {
      float a[TILE], b[TILE];
#pragma unroll
      for (int i = 0; i < TILE; i += 4) {
        const float4 u = *reinterpret_cast<const float4*>(&as[slot][p][i / 4 * (SIZE_M * 4 / TILE) + tm * 4]);
        const float4 v = *reinterpret_cast<const float4*>(&bs[slot][p][i / 4 * (SIZE_N * 4 / TILE) + tn * 4]);
        a[i] = u.x, a[i + 1] = u.y, a[i + 2] = u.z, a[i + 3] = u.w;
        b[i] = v.x, b[i + 1] = v.y, b[i + 2] = v.z, b[i + 3] = v.w;
      }
#pragma unroll
      for (int i = 0; i < TILE; ++i)
#pragma unroll
        for (int j = 0; j < TILE; ++j) sums[i][j] = fmaf(a[i], b[j], sums[i][j]);
    }
    if (block + 1 < last) store(1 - slot);
    __syncthreads();
    if (--left == 0) {
      write(written);
      written = true;
      left = CHAIN / PIXELS;
    }
  }
  write(written);
}

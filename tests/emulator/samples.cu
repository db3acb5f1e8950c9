// Small kernels for the emulator's own tests: right ones, and such with one planted fault each.
#include "../../kernels/cuda/warpgroup.cuh"

extern "C" __global__ void scale(float* x, float factor, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] *= factor;
}

struct Line {
  float slope, offset;
  int n;
};
template <int STRIDE> __global__ void line(const float* x, float* y, const Line l) {
  for (int i = threadIdx.x; i < l.n; i += blockDim.x) y[i * STRIDE] = l.slope * x[i] + l.offset;
}

__global__ void reversed_by_shared(float* x) {
  extern __shared__ __align__(16) float held[];
  held[threadIdx.x] = x[threadIdx.x];
#ifndef MISSING_BARRIER
  __syncthreads();
#endif
  x[threadIdx.x] = held[blockDim.x - 1 - threadIdx.x];
}

__global__ void block_sum(const float* x, float* sum, int n) {
  __shared__ float of_warp[32];
  float s = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) s += x[i];
  for (int d = 16; d; d >>= 1) s += __shfl_down_sync(~0u, s, d);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = s;
  __syncthreads();
  if (threadIdx.x) return;
  for (int w = 1; w < blockDim.x / 32; ++w) s += of_warp[w];
  *sum = s;
}

__global__ void all_shuffles(const int* x, int* down, int* up, int* across, int* one, unsigned* votes) {
  const int i = threadIdx.x, v = x[i];
  down[i] = __shfl_down_sync(~0u, v, 3, 16);
  up[i] = __shfl_up_sync(~0u, v, 3, 16);
  across[i] = __shfl_xor_sync(~0u, v, 5);
  one[i] = __shfl_sync(~0u, v, 2, 8);
  votes[i] = __ballot_sync(~0u, v % 3 == 0);
}

__global__ void histogram(const int* x, int* counts) {
  atomicAdd(&counts[x[blockIdx.x * blockDim.x + threadIdx.x]], 1);
}

// a (16 x 8) b (8 x 8), over and over into the same sums
__global__ void products_tf32(const float* a, const float* b, float* d, int times) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  const float values[] = {a[g * 8 + t], a[(g + 8) * 8 + t], a[g * 8 + t + 4], a[(g + 8) * 8 + t + 4]};
  unsigned fa[4];
  for (int i = 0; i < 4; ++i) fa[i] = __float_as_uint(values[i]);
  float sums[4] = {};
  for (int i = 0; i < times; ++i)
    multiply_tf32(sums, fa, __float_as_uint(b[t * 8 + g]), __float_as_uint(b[(t + 4) * 8 + g]));
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums[i];
}

// a (16 x 16) b^T, b (8 x 16), of bfloat16, through shared memory and load_matrices
__global__ void products_bf16(const float* a, const float* b, float* d) {
  __shared__ __align__(16) unsigned as[16][8], bs[8][8];
  const int lane = threadIdx.x;
  for (int i = lane; i < 128; i += 32) as[i / 8][i % 8] = pack_bf16(a[2 * i], a[2 * i + 1]);
  for (int i = lane; i < 64; i += 32) bs[i / 8][i % 8] = pack_bf16(b[2 * i], b[2 * i + 1]);
  __syncwarp();
  unsigned fa[4], fb[4];
  load_matrices(fa, &as[lane % 16][lane / 16 * 4]);
  load_matrices(fb, &bs[lane % 8][lane / 8 % 2 * 4]);
  float sums[4] = {};
  multiply_bf16(sums, fa, fb[0], fb[1]);
  for (int i = 0; i < 4; ++i) d[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

// sums over rows of 64, each brought by asynchronous copies into a ring of slots; every warp sums what
// the other one copied
#ifndef SLOTS  // with one, the next row is copied to where this one is still read
#define SLOTS 2
#endif
__global__ void pipeline(const float* x, float* sums, int rows) {
  __shared__ __align__(16) float slots[SLOTS][64];
  const int i = threadIdx.x, from = (i + 32) % 64;
  float s = 0;
  copy_async<4>(&slots[0][i], x + i, true);
  commit();
  for (int row = 0; row < rows; ++row) {
    wait<0>();
#ifndef MISSING_BARRIER
    __syncthreads();
#endif
    if (row + 1 < rows) copy_async<4>(&slots[(row + 1) % SLOTS][i], x + (row + 1) * 64 + i, true);
    commit();
    s += slots[row % SLOTS][from];
  }
  sums[i] = s;
}

// d (128 x 64) = a (128 x 32n) b^T, b (64 x 32n), by two groups of warps; n tiles of b, each with products
// of its own, into two arrays in turn (32n words: floats, or pairs rounded to bfloat16)
#ifndef CHANGED  // in a descriptor
#define CHANGED(rows) (rows)
#endif
template <bool BF16> __global__ void products_of_warpgroups(const float* a, const float* b, float* d, int tiles) {
  constexpr int PER_WORD = BF16 ? 2 : 1;
  extern __shared__ __align__(16) unsigned held[];
  unsigned* rows = held + (1024 - shared_address(held) % 1024) % 1024 / 4;
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, row = threadIdx.x / 32 * 16 + g;
  const int width = tiles * 32 * PER_WORD;
  for (int i = threadIdx.x; i < tiles * 512; i += blockDim.x) {
    const int r = i / 8 % 64, c = i % 8;
    const float* from = b + r * width + (i / 512 * 8 + c) * 4 * PER_WORD;
    unsigned* to = rows + i / 512 * 2048 + r * 32 + (c ^ r % 8) * 4;
#ifdef MISSING_ROWS
    if (i < 512)
#endif
    if (BF16)
      for (int k = 0; k < 4; ++k) to[k] = pack_bf16(from[2 * k], from[2 * k + 1]);
    else
      copy_async<16>(to, from, true);
  }
  commit();
#ifndef MISSING_COPY_WAIT
  wait<0>();
#endif
#ifdef MISSING_BARRIER_BEFORE_SHOW
  __syncthreads();
#endif
#ifndef MISSING_SHOW
  show_shared();
#endif
#if !defined(MISSING_BARRIER) && !defined(MISSING_BARRIER_BEFORE_SHOW)
  __syncthreads();
#endif
  float sums[2][8][4], total[8][4] = {};
  unsigned operands[8][4][4];  // of each tile
  for (int tile = 0; tile < tiles; ++tile) {
    float(&now)[8][4] = sums[tile % 2], (&before)[8][4] = sums[(tile + 1) % 2];
#ifdef MISSING_BEGIN
    if (!tile)
#endif
    begin_products();
    for (int k = 0; k < 32; k += 8) {
#ifdef MISSING_WAIT_BEFORE_OPERANDS
      unsigned(&f)[4] = operands[0][k / 8];
#else
      unsigned(&f)[4] = operands[tile][k / 8];
#endif
      for (int i = 0; i < 4; ++i) {
        const float* from = a + (row + i % 2 * 8) * width + (tile * 32 + k + t + i / 2 * 4) * PER_WORD;
        f[i] = BF16 ? pack_bf16(from[0], from[1]) : __float_as_uint(from[0]);
      }
#ifdef MISSING_LANE
      if (lane == 5) return;
#endif
#ifdef MISSING_WARP
      if (threadIdx.x / 32 == 6 && tile == tiles - 1 && k == 24) break;
#endif
      const auto of_b = CHANGED(rows_of(rows + tile * 2048, k));
      BF16 ? multiply_bf16(now, f, of_b, k > 0) : multiply_tf32(now, f, of_b, k > 0);
    }
#ifdef MISSING_WAIT_BEFORE_SUMS
    now[7][3] += 1;
#endif
#ifdef MISSING_COMMIT
    if (tile < tiles - 1)
#endif
    commit_products();
    if (tile) {
#ifndef MISSING_WAIT_BEFORE_READ
      wait_products(1, before);
#endif
      for (int i = 0; i < 32; ++i) total[i / 4][i % 4] += before[i / 4][i % 4];
    }
  }
#ifdef MISSING_WAIT_BEFORE_STORE
  __syncthreads();
  rows[(tiles - 1) * 2048 + threadIdx.x] = 0;
#endif
#ifdef MISSING_WAIT_BEFORE_COPY
  __syncthreads();
  copy_async<4>(&rows[(tiles - 1) * 2048 + threadIdx.x], a, true);
#endif
#ifdef MISSING_WAIT
  if (threadIdx.x < 128)
#endif
  wait_products(0, sums[0]);
#ifdef MISSING_BARRIER_BEHIND
  rows[(tiles - 1) * 2048 + threadIdx.x] = 0;
#endif
  for (int j = 0; j < 8; ++j)
    for (int i = 0; i < 4; ++i)
      d[(row + i / 2 * 8) * 64 + j * 8 + 2 * t + i % 2] = total[j][i] + sums[(tiles + 1) % 2][j][i];
}
// all products of two groups into two arrays, and one wait that names one of them
__global__ void one_wait_for_two_groups(const float* b, float* d) {
  extern __shared__ __align__(16) float held[];
  float* rows = held + (1024 - shared_address(held) % 1024) % 1024 / 4;
  for (int i = threadIdx.x; i < 2048; i += blockDim.x) rows[i / 32 * 32 + (i / 4 ^ i / 32) % 8 * 4 + i % 4] = b[i];
  show_shared();
  __syncthreads();
  const int lane = threadIdx.x % 32;
  unsigned one[4] = {};  // the first 8 rows of 16 pick the first words of b's
  if (lane / 4 % 4 == lane % 4) one[lane / 16 * 2] = __float_as_uint(1);
  float low[8][4], high[8][4];
  begin_products();
  multiply_tf32(low, one, rows_of(rows, 0), false);
  commit_products();
  multiply_tf32(high, one, rows_of(rows, 24), false);
  commit_products();
  wait_products(0, low);
  for (int j = 0; j < 8; ++j)
    for (int i = 0; i < 2; ++i) {
      float* to = d + (threadIdx.x / 32 * 16 + lane / 4) * 64 + j * 8 + lane % 4 * 2 + i;
      to[0] = low[j][i];
      to[8 * 64] = high[j][i];
    }
}

// ---------------------------------------------------------------- one fault each
__global__ void reads_behind(const float* x, float* y, int by) { y[threadIdx.x] = x[threadIdx.x + by]; }
__global__ void writes_behind(float* x, int by) { x[threadIdx.x + by] = 1; }
__global__ void writes_before(float* x, int by) { x[(int)threadIdx.x - by] = 1; }
__global__ void shared_behind(float* x) {
  extern __shared__ float held[];
  held[threadIdx.x] = x[threadIdx.x];
}
__global__ void index_outside(float* x, int i) {
  __shared__ float held[8];
  held[i] = x[threadIdx.x];
  x[threadIdx.x] = held[0];
}
__global__ void divergent_barrier(float* x) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  x[threadIdx.x] = 1;
}
__global__ void barrier_without_all(float* x, int n) {
  if ((int)threadIdx.x >= n) return;
  __syncthreads();
  x[threadIdx.x] = 1;
}
__global__ void shuffle_from_absent(float* x, int n) {
  if ((int)threadIdx.x < n) x[threadIdx.x] = __shfl_down_sync(~0u, x[threadIdx.x], 1);
}
__global__ void shuffle_from_masked(float* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(0xffffu, x[threadIdx.x], 16);
}
__global__ void diverged_warp(float* x) {
  if (threadIdx.x % 2)
    x[threadIdx.x] = __shfl_sync(~0u, 1.f, 0);
  else
    x[threadIdx.x] = __shfl_sync(~0u, 2.f, 0);
}
__global__ void warp_against_barrier(float* x) {
  if (threadIdx.x % 2) __syncthreads();
  __syncwarp();
  x[threadIdx.x] = 1;
}
__global__ void misaligned(const float* x, float* y, int by) {
  *reinterpret_cast<float4*>(y) = *reinterpret_cast<const float4*>(x + by);
}
__global__ void misaligned_copy(const float* x, float* y, int by) {
  __shared__ __align__(16) float held[8];
  copy_async<16>(held, x + by, true);
  commit();
  wait<0>();
  y[0] = held[0];
}
__global__ void unwaited_copy(const float* x, float* y) {
  __shared__ __align__(16) float held[64];
  copy_async<4>(&held[threadIdx.x], x + threadIdx.x, true);
  commit();
  y[threadIdx.x] = held[threadIdx.x];
}
__global__ void unwritten_shared(float* x) {
  __shared__ float held[64];
  if (threadIdx.x) held[threadIdx.x] = 1;
  __syncthreads();
  x[threadIdx.x] = held[threadIdx.x];
}
__global__ void neighbours_of_a_warp(float* x) {
  __shared__ float held[64];
  held[threadIdx.x] = x[threadIdx.x];
#ifndef MISSING_BARRIER
  __syncwarp();
#endif
  x[threadIdx.x] = held[threadIdx.x ^ 1];
}
__global__ void reads_what_others_write(float* x) { x[threadIdx.x] = x[(threadIdx.x + 1) % blockDim.x]; }
__global__ void overflow(int* x) { x[threadIdx.x] *= 1 << 20; }
__global__ void divides(int* x) { x[threadIdx.x] = 7 / x[threadIdx.x]; }

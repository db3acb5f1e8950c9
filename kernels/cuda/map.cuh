// Where the elements of a blob are: (images, channels, places), in any order of memory.
//
//   each<LAST>(map, f)   f(image, channel, place) once for every element, neighbouring threads at
//                        neighbouring addresses; LAST: the channels of a place are neighbours
#pragma once

typedef long long Long;

struct Map {
  int images, channels;
  Long places;
  Long image, channel, place;  // strides, in elements

  __device__ Long at(int n, int c, unsigned p) const { return n * image + c * channel + p * place; }
};

template <bool LAST, class F> __device__ void each(const Map& m, F f) {
  const unsigned channels = m.channels, places = m.places, step = gridDim.x * blockDim.x;
  const unsigned first = blockIdx.x * blockDim.x + threadIdx.x;
  if (LAST) {  // a step is so many places and channels: elements may be more than 32 bits count
    const unsigned along = step / channels, across = step % channels;
    for (int n = blockIdx.y; n < m.images; n += gridDim.y)
      for (unsigned p = first / channels, c = first % channels; p < places; p += along) {
        f(n, c, p);
        c += across;
        if (c < channels) continue;
        c -= channels;
        ++p;
      }
  } else {
    for (unsigned plane = blockIdx.y; plane < m.images * channels; plane += gridDim.y)
      for (unsigned p = first; p < places; p += step) f(plane / channels, plane % channels, p);
  }
}

// one thread a place, which goes over the channels itself
template <class F> __device__ void each_place(const Map& m, F f) {
  const unsigned places = m.places, step = gridDim.x * blockDim.x;
  for (int n = blockIdx.y; n < m.images; n += gridDim.y)
    for (unsigned p = blockIdx.x * blockDim.x + threadIdx.x; p < places; p += step) f(n, p);
}

// The sum over a block, in an order that never changes; thread 0 has it.
template <class T> __device__ T block_sum(T value) {
  __shared__ T of_warp[32];
  for (int d = 16; d; d >>= 1) value += __shfl_down_sync(~0u, value, d);
  __syncthreads();  // of_warp may still be read from an earlier sum
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int w = 1; w < blockDim.x / 32; ++w) value += of_warp[w];
  return value;
}

// kernels/pooling.py: the maximum or the mean of windows over up to three axes.
//
// Backward gathers: every element of the bottom adds up what it gets from the windows that see it, in
// their order, so nothing is added by several threads.  Where no two windows see the same element,
// max_spread lets each of them write its own.
//
// LAST: the channels of a place are neighbours, and a thread has WIDE of them, which are one word in
// every array; else WIDE is 1.
#include "map.cuh"

struct Windows {
  int size[3], out[3], kernel[3], stride[3], pad[3];
};

template <class T, int WIDE> struct alignas(WIDE * sizeof(T)) Word {
  T of[WIDE];
};
template <int WIDE, class T> __device__ Word<T, WIDE> word(const T* at) {
  return *reinterpret_cast<const Word<T, WIDE>*>(at);
}
template <int WIDE> __device__ Long at(const Map& m, int n, int c, unsigned p) {
  return WIDE > 1 ? n * m.image + c + p * m.place : m.at(n, c, p);
}
template <class T, int WIDE> __device__ void put(T* at, const Word<T, WIDE>& w) {
  *reinterpret_cast<Word<T, WIDE>*>(at) = w;
}

__device__ void split(unsigned p, const int (&size)[3], int (&at)[3]) {
  const unsigned rest = p / size[2];
  at[2] = p - rest * size[2];
  at[0] = rest / size[1];
  at[1] = rest - at[0] * size[1];
}

// f(image, channel, where, place) for every WIDE channels of a place, as `each` has them (map.cuh);
// where: the place along each axis, found by additions from one to the next
template <bool LAST, int WIDE, class F> __device__ void each_word(const Map& m, const int (&size)[3], F f) {
  const unsigned words = LAST ? m.channels / WIDE : 1, planes = LAST ? m.images : m.images * m.channels;
  const unsigned first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
  const unsigned along = step / words, across = step % words, places = m.places;
  int from[3], by[3];
  split(first / words, size, from);
  split(along, size, by);
  for (unsigned plane = blockIdx.y; plane < planes; plane += gridDim.y) {
    const int n = LAST ? plane : plane / m.channels, channel = LAST ? 0 : plane % m.channels;
    int at[3] = {from[0], from[1], from[2]};
    unsigned c = first % words;
    for (unsigned p = first / words; p < places; p += along) {
      f(n, LAST ? c * WIDE : channel, at, p);
      c += across;
      int more = c >= words;
      if (more) c -= words, ++p;
      for (int a = 2; a >= 0; --a) {
        at[a] += by[a] + more;
        more = a && at[a] >= size[a];
        if (more) at[a] -= size[a];
      }
    }
  }
}

// a / b of small strides without a division
__device__ int divided(int a, int b) { return b == 1 ? a : b == 2 ? a >> 1 : a / b; }

// the positions of window o that lie inside, along one axis, and where the first one is
__device__ int inside(const Windows& w, int axis, int o, int& first, int& end) {
  const int start = o * w.stride[axis] - w.pad[axis];
  first = max(0, -start);
  end = min(w.kernel[axis], w.size[axis] - start);
  return start;
}

// f(offset, position) for every element that window o sees, in their order
template <class F> __device__ void each_seen(const Windows& w, const int (&o)[3], Long step, F f) {
  int start[3], first[3], end[3];
  for (int a = 0; a < 3; ++a) start[a] = inside(w, a, o[a], first[a], end[a]);
#pragma unroll 1
  for (int i = first[0]; i < end[0]; ++i)
#pragma unroll 1
    for (int j = first[1]; j < end[1]; ++j) {
      const int row = ((start[0] + i) * w.size[1] + start[1] + j) * w.size[2] + start[2];
      Long offset = (row + first[2]) * step;
      const int position = (i * w.kernel[1] + j) * w.kernel[2];
#pragma unroll 2
      for (int k = first[2]; k < end[2]; ++k, offset += step) f(offset, position + k);
    }
}

// f(window, position) for every window that sees the element at i of the bottom, in their order
template <class F> __device__ void each_window(const Windows& w, const int (&i)[3], F f) {
  int first[3], last[3], o[3];
  for (int a = 0; a < 3; ++a) {
    const int end = i[a] + w.pad[a], begin = end - w.kernel[a];  // windows that start behind begin, up to end
    first[a] = begin < 0 ? 0 : divided(begin, w.stride[a]) + 1;
    last[a] = min(divided(end, w.stride[a]), w.out[a] - 1);
  }
#pragma unroll 1
  for (o[0] = first[0]; o[0] <= last[0]; ++o[0])
#pragma unroll 1
    for (o[1] = first[1]; o[1] <= last[1]; ++o[1])
#pragma unroll 1
      for (o[2] = first[2]; o[2] <= last[2]; ++o[2]) {
        int j = 0;
        for (int a = 0; a < 3; ++a) j = j * w.kernel[a] + i[a] + w.pad[a] - o[a] * w.stride[a];
        f(o, j);
      }
}

__device__ int place_of(const Windows& w, const int (&o)[3]) { return (o[0] * w.out[1] + o[1]) * w.out[2] + o[2]; }

// how many elements a window has within the padded bottom, at least 1 on each axis
__device__ int counted(const Windows& w, const int (&o)[3]) {
  int count = 1;
  for (int a = 0; a < 3; ++a) {
    const int start = o[a] * w.stride[a] - w.pad[a];
    const int end = min(start + w.kernel[a], w.size[a] + w.pad[a]);
    count *= max(end - start, 1);
  }
  return count;
}

template <class T, class A, bool LAST, int WIDE>
__global__ void max_forward(const T* x, const Map of_x, T* y, const Map of_y, A* arg, const Map of_arg,
                            const Windows w) {
  each_word<LAST, WIDE>(of_y, w.out, [&](int n, int c, const int (&o)[3], unsigned p) {
    const T* const from = x + at<WIDE>(of_x, n, c, 0);
    Word<T, WIDE> best;
    Word<A, WIDE> winner;
    for (int e = 0; e < WIDE; ++e) best.of[e] = -3.40282347e+38f, winner.of[e] = 0;
    each_seen(w, o, of_x.place, [&](Long offset, int j) {
      const auto v = word<WIDE>(from + offset);
      for (int e = 0; e < WIDE; ++e)
        if (v.of[e] > best.of[e]) best.of[e] = v.of[e], winner.of[e] = j + 1;
    });
    put(y + at<WIDE>(of_y, n, c, p), best);
    put(arg + at<WIDE>(of_arg, n, c, p), winner);
  });
}

// A window writes what lies before the next one's first element, the last one all that is left.
template <class T, class A, bool LAST, int WIDE>
__global__ void max_spread(const T* dy, const Map of_dy, const A* arg, const Map of_arg, T* dx, const Map of_dx,
                           const Windows w) {
  each_word<LAST, WIDE>(of_dy, w.out, [&](int n, int c, const int (&o)[3], unsigned p) {
    const auto winner = word<WIDE>(arg + at<WIDE>(of_arg, n, c, p));
    const auto v = word<WIDE>(dy + at<WIDE>(of_dy, n, c, p));
    T* const to = dx + at<WIDE>(of_dx, n, c, 0);
    int start[3], first[3], end[3];
    for (int a = 0; a < 3; ++a) {
      start[a] = o[a] * w.stride[a] - w.pad[a];
      first[a] = max(0, start[a]);
      end[a] = o[a] + 1 < w.out[a] ? min(start[a] + w.stride[a], w.size[a]) : w.size[a];
    }
#pragma unroll 1
    for (int i = first[0]; i < end[0]; ++i)
#pragma unroll 1
      for (int j = first[1]; j < end[1]; ++j) {
        const bool seen = i - start[0] < w.kernel[0] && j - start[1] < w.kernel[1];
        T* here = to + ((i * w.size[1] + j) * w.size[2] + first[2]) * of_dx.place;
        const int position = ((i - start[0]) * w.kernel[1] + j - start[1]) * w.kernel[2] - start[2];
#pragma unroll 2
        for (int k = first[2]; k < end[2]; ++k, here += of_dx.place) {
          const int wins = seen && k - start[2] < w.kernel[2] ? position + k + 1 : -1;
          Word<T, WIDE> part;
          for (int e = 0; e < WIDE; ++e) part.of[e] = winner.of[e] == wins ? v.of[e] : 0;
          put(here, part);
        }
      }
  });
}

template <class T, class A, bool LAST, int WIDE>
__global__ void max_backward(const T* dy, const Map of_dy, const A* arg, const Map of_arg, T* dx,
                             const Map of_dx, const Windows w) {
  each_word<LAST, WIDE>(of_dx, w.size, [&](int n, int c, const int (&i)[3], unsigned p) {
    Word<T, WIDE> sum = {};
    each_window(w, i, [&](const int (&o)[3], int j) {
      const int place = place_of(w, o);
      const auto winner = word<WIDE>(arg + at<WIDE>(of_arg, n, c, place));
      const auto v = word<WIDE>(dy + at<WIDE>(of_dy, n, c, place));
      for (int e = 0; e < WIDE; ++e)
        if ((int)winner.of[e] == j + 1) sum.of[e] += v.of[e];
    });
    put(dx + at<WIDE>(of_dx, n, c, p), sum);
  });
}

template <class T, bool LAST, int WIDE>
__global__ void average_forward(const T* x, const Map of_x, T* y, const Map of_y, const Windows w) {
  each_word<LAST, WIDE>(of_y, w.out, [&](int n, int c, const int (&o)[3], unsigned p) {
    const T* const from = x + at<WIDE>(of_x, n, c, 0);
    Word<T, WIDE> sum = {};
    each_seen(w, o, of_x.place, [&](Long offset, int) {
      const auto v = word<WIDE>(from + offset);
      for (int e = 0; e < WIDE; ++e) sum.of[e] += v.of[e];
    });
    const int count = counted(w, o);
    for (int e = 0; e < WIDE; ++e) sum.of[e] /= count;
    put(y + at<WIDE>(of_y, n, c, p), sum);
  });
}

template <class T, bool LAST, int WIDE>
__global__ void average_backward(const T* dy, const Map of_dy, T* dx, const Map of_dx, const Windows w) {
  each_word<LAST, WIDE>(of_dx, w.size, [&](int n, int c, const int (&i)[3], unsigned p) {
    Word<T, WIDE> sum = {};
    each_window(w, i, [&](const int (&o)[3], int) {
      const auto v = word<WIDE>(dy + at<WIDE>(of_dy, n, c, place_of(w, o)));
      const int count = counted(w, o);
      for (int e = 0; e < WIDE; ++e) sum.of[e] += v.of[e] / count;
    });
    put(dx + at<WIDE>(of_dx, n, c, p), sum);
  });
}

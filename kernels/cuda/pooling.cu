// kernels/pooling.py: the maximum or the mean of windows over up to three axes.
//
// Backward gathers: every element of the bottom adds up what it gets from the windows that see it, in
// their order, so nothing is added by several threads.
#include "map.cuh"

struct Windows {
  int size[3], out[3], kernel[3], stride[3], pad[3];
};

// the element of the bottom that position k of window o sees; -1 outside
__device__ int seen(const Windows& w, const int (&o)[3], const int (&k)[3]) {
  int at = 0;
  for (int a = 0; a < 3; ++a) {
    const int i = o[a] * w.stride[a] - w.pad[a] + k[a];
    if (i < 0 || i >= w.size[a]) return -1;
    at = at * w.size[a] + i;
  }
  return at;
}

__device__ void split(unsigned p, const int (&size)[3], int (&at)[3]) {
  at[2] = p % size[2];
  at[1] = p / size[2] % size[1];
  at[0] = p / size[2] / size[1];
}

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

template <class T, class A, bool LAST>
__global__ void max_forward(const T* x, const Map of_x, T* y, const Map of_y, A* arg, const Map of_arg,
                            const Windows w) {
  each<LAST>(of_y, [&](int n, int c, unsigned p) {
    int o[3], k[3], winner = 0, j = 0;
    split(p, w.out, o);
    T best = -3.40282347e+38f;
    for (k[0] = 0; k[0] < w.kernel[0]; ++k[0])
      for (k[1] = 0; k[1] < w.kernel[1]; ++k[1])
        for (k[2] = 0; k[2] < w.kernel[2]; ++k[2]) {
          ++j;
          const int at = seen(w, o, k);
          if (at < 0) continue;
          const T v = x[of_x.at(n, c, at)];
          if (v > best) {
            best = v;
            winner = j;
          }
        }
    y[of_y.at(n, c, p)] = best;
    arg[of_arg.at(n, c, p)] = winner;
  });
}

// f(window, position) for every window that sees element p of the bottom, in their order
template <class F> __device__ void each_window(const Windows& w, unsigned p, F f) {
  int i[3], first[3], last[3], o[3];
  split(p, w.size, i);
  for (int a = 0; a < 3; ++a) {
    const int from = i[a] + w.pad[a] - w.kernel[a] + 1;
    first[a] = from > 0 ? (from + w.stride[a] - 1) / w.stride[a] : 0;
    last[a] = min((i[a] + w.pad[a]) / w.stride[a], w.out[a] - 1);
  }
  for (o[0] = first[0]; o[0] <= last[0]; ++o[0])
    for (o[1] = first[1]; o[1] <= last[1]; ++o[1])
      for (o[2] = first[2]; o[2] <= last[2]; ++o[2]) {
        int j = 0;
        for (int a = 0; a < 3; ++a) j = j * w.kernel[a] + i[a] + w.pad[a] - o[a] * w.stride[a];
        f(o, j);
      }
}

template <class T, class A, bool LAST>
__global__ void max_backward(const T* dy, const Map of_dy, const A* arg, const Map of_arg, T* dx,
                             const Map of_dx, const Windows w) {
  each<LAST>(of_dx, [&](int n, int c, unsigned p) {
    T sum = 0;
    each_window(w, p, [&](const int (&o)[3], int j) {
      const int at = (o[0] * w.out[1] + o[1]) * w.out[2] + o[2];
      if ((int)arg[of_arg.at(n, c, at)] == j + 1) sum += dy[of_dy.at(n, c, at)];
    });
    dx[of_dx.at(n, c, p)] = sum;
  });
}

template <class T, bool LAST>
__global__ void average_forward(const T* x, const Map of_x, T* y, const Map of_y, const Windows w) {
  each<LAST>(of_y, [&](int n, int c, unsigned p) {
    int o[3], k[3];
    split(p, w.out, o);
    T sum = 0;
    for (k[0] = 0; k[0] < w.kernel[0]; ++k[0])
      for (k[1] = 0; k[1] < w.kernel[1]; ++k[1])
        for (k[2] = 0; k[2] < w.kernel[2]; ++k[2]) {
          const int at = seen(w, o, k);
          if (at >= 0) sum += x[of_x.at(n, c, at)];
        }
    y[of_y.at(n, c, p)] = sum / counted(w, o);
  });
}

template <class T, bool LAST>
__global__ void average_backward(const T* dy, const Map of_dy, T* dx, const Map of_dx, const Windows w) {
  each<LAST>(of_dx, [&](int n, int c, unsigned p) {
    T sum = 0;
    each_window(w, p, [&](const int (&o)[3], int) {
      sum += dy[of_dy.at(n, c, (o[0] * w.out[1] + o[1]) * w.out[2] + o[2])] / counted(w, o);
    });
    dx[of_dx.at(n, c, p)] = sum;
  });
}

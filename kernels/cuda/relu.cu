// kernels/relu.py: the rectifier, its gradient, and what a convolution's backward pass wants of it.
#include "map.cuh"

template <class T, bool LAST>
__global__ void relu(const T* x, const Map of_x, T* y, const Map of_y, T slope) {
  each<LAST>(of_x, [&](int n, int c, unsigned p) {
    const T v = x[of_x.at(n, c, p)];
    y[of_y.at(n, c, p)] = v > 0 ? v : slope * v;
  });
}

template <class T, bool LAST>
__global__ void gradient(const T* sign, const Map of_sign, const T* dy, const Map of_dy, T* dx,
                         const Map of_dx, T slope) {
  each<LAST>(of_dx, [&](int n, int c, unsigned p) {
    const T v = dy[of_dy.at(n, c, p)];
    dx[of_dx.at(n, c, p)] = sign[of_sign.at(n, c, p)] > 0 ? v : slope * v;
  });
}

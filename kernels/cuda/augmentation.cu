// kernels/deformation.py and kernels/lookup.py: fields made and applied, and grey values changed.
//
// Sizes are three, the first ones 1 where there are fewer axes.  Fields are computed in double, as in
// the specification, and stored as T.
#include "map.cuh"

struct Field {
  int size[3], points[3], spacing[3], axes, k, curved;
  double a[9], b[3];
};

// the weights of the four control points of voxel i of an axis; returns the first of them
__device__ int spline(int i, int spacing, double (&b)[4]) {
  const double t = i % spacing / (double)spacing, t2 = t * t, t3 = t * t * t;
  b[0] = (1 - 3 * t + 3 * t2 - t3) / 6;
  b[1] = (4 - 6 * t2 + 3 * t3) / 6;
  b[2] = (1 + 3 * t + 3 * t2 - 3 * t3) / 6;
  b[3] = t3 / 6;
  return i / spacing;
}

// field (size, k) = A x + b + the spline of `control` (points, k), which holds A c
template <class T> __global__ void create(const double* control, const Field f, T* field) {
  const unsigned count = f.size[0] * f.size[1] * f.size[2], step = gridDim.x * blockDim.x;
  for (unsigned v = blockIdx.x * blockDim.x + threadIdx.x; v < count; v += step) {
    const int x[3] = {(int)(v / f.size[2] / f.size[1]), (int)(v / f.size[2] % f.size[1]), (int)(v % f.size[2])};
    double sum[3];
    for (int i = 0; i < f.k; ++i) {
      sum[i] = f.b[i];
      for (int j = 0; j < f.k; ++j) sum[i] += f.a[i * f.k + j] * x[3 - f.k + j];
    }
    if (f.curved) {
      double b[3][4] = {{1, 0, 0, 0}, {1, 0, 0, 0}, {1, 0, 0, 0}};
      int first[3] = {0, 0, 0};
      for (int axis = 3 - f.axes; axis < 3; ++axis) first[axis] = spline(x[axis], f.spacing[axis], b[axis]);
      const int planes = f.axes > 2 ? 4 : 1;
      for (int p = 0; p < planes; ++p)
        for (int q = 0; q < 4; ++q)
          for (int r = 0; r < 4; ++r) {
            const double w = b[0][p] * b[1][q] * b[2][r];
            const int at = ((first[0] + p) * f.points[1] + first[1] + q) * f.points[2] + first[2] + r;
            for (int i = 0; i < f.k; ++i) sum[i] += w * control[at * f.k + i];
          }
    }
    for (int i = 0; i < f.k; ++i) field[v * f.k + i] = sum[i];
  }
}

struct Warp {
  int source[3], field[3], corner[3], out[3], channels, k, linear, mirror;
};

__device__ int mirrored(int i, int size) {
  if (size == 1) return 0;
  i = abs(i) % (2 * size - 2);
  return min(i, 2 * size - 2 - i);
}

// out (channels, out) = source (channels, source) where the field says; NaN where that is nowhere
template <class T> __global__ void apply(const T* source, const T* field, T* out, const Warp w) {
  const unsigned count = w.out[0] * w.out[1] * w.out[2], step = gridDim.x * blockDim.x;
  const Long all = (Long)w.source[0] * w.source[1] * w.source[2];
  for (unsigned v = blockIdx.x * blockDim.x + threadIdx.x; v < count; v += step) {
    const int x[3] = {(int)(v / w.out[2] / w.out[1]) + w.corner[0], (int)(v / w.out[2] % w.out[1]) + w.corner[1],
                      (int)(v % w.out[2]) + w.corner[2]};
    const Long at = ((Long)x[0] * w.field[1] + x[1]) * w.field[2] + x[2];
    int low[3] = {x[0], 0, 0};  // of a field of planes, the slice is its own
    T rest[3] = {0, 0, 0};
    bool found = true;
    for (int i = 0; i < w.k; ++i) {
      const T f = field[at * w.k + i];
      if (!(fabs(f) < T(1 << 30))) {
        found = false;
        continue;
      }
      const T whole = floor(w.linear ? f : f + T(0.5));
      low[3 - w.k + i] = (int)whole;
      rest[3 - w.k + i] = f - whole;
    }
    for (int c = 0; c < w.channels; ++c) {
      T total = 0;
      for (int corner = 0; corner < (w.linear ? 1 << w.k : 1); ++corner) {
        Long place = 0;
        T weight = 1;
        bool inside = true;
        for (int axis = 0; axis < 3; ++axis) {
          const int up = axis < 3 - w.k ? 0 : corner >> (2 - axis) & 1, size = w.source[axis];
          int i = low[axis] + up;
          if (w.mirror)
            i = mirrored(i, size);
          else if (i < 0 || i >= size) {
            inside = false;
            i = 0;
          }
          place = place * size + i;
          if (w.linear && axis >= 3 - w.k) weight *= up ? rest[axis] : 1 - rest[axis];
        }
        if (inside && found) total += source[c * all + place] * weight;
      }
      out[c * (Long)count + v] = found ? total : T(__int_as_float(0x7fc00000));
    }
  }
}

// y = the table at x, linear between its entries
template <class T> __global__ void look_up(const T* x, const T* table, T* y, int last, Long count) {
  const Long step = (Long)gridDim.x * blockDim.x;
  for (Long i = blockIdx.x * (Long)blockDim.x + threadIdx.x; i < count; i += step) {
    T at = x[i] * T(last);
    at = at < 0 ? T(0) : at > last ? T(last) : at;
    const int k = (int)at;
    const T here = table[k], rise = k < last ? table[k + 1] - here : T(0);
    y[i] = here + (at - k) * rise;
  }
}

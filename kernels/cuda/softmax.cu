// kernels/softmax.py and kernels/softmax_loss.py: one thread a place, no atomics, sums in double.
//
// The loss is two kernels: partial sums of blocks, then one block that adds them in their order and
// divides.  An illegal label makes the loss NaN: the host finds out where when it looks.
#include "map.cuh"

template <class T> __global__ void softmax(const T* x, const Map of_x, T* y, const Map of_y) {
  each_place(of_x, [&](int n, unsigned p) {
    T most = x[of_x.at(n, 0, p)], sum = 0;
    for (int c = 1; c < of_x.channels; ++c) {
      const T v = x[of_x.at(n, c, p)];
      most = v > most || v != v ? v : most;
    }
    for (int c = 0; c < of_x.channels; ++c) {
      const T e = exp(x[of_x.at(n, c, p)] - most);
      y[of_y.at(n, c, p)] = e;
      sum += e;
    }
    for (int c = 0; c < of_x.channels; ++c) y[of_y.at(n, c, p)] /= sum;
  });
}

template <class T>
__global__ void gradient(const T* y, const Map of_y, const T* dy, const Map of_dy, T* dx, const Map of_dx) {
  each_place(of_y, [&](int n, unsigned p) {
    T dot = 0;
    for (int c = 0; c < of_y.channels; ++c) dot += dy[of_dy.at(n, c, p)] * y[of_y.at(n, c, p)];
    for (int c = 0; c < of_y.channels; ++c)
      dx[of_dx.at(n, c, p)] = (dy[of_dy.at(n, c, p)] - dot) * y[of_y.at(n, c, p)];
  });
}

struct Truth {
  int ignores, ignore, weighted;
};

// the label of a place, and whether it is a class; its weight, 0 where it is ignored
template <class T>
__device__ bool named(const T* labels, const T* weights, const Truth& truth, int classes, Long i, int& label, T& weight) {
  const T given = labels[i];
  label = (int)given;
  weight = truth.weighted ? weights[i] : T(1);
  if (truth.ignores && trunc(given) == truth.ignore) {
    label = 0;
    weight = 0;
    return true;
  }
  const bool legal = given > -1 && given < classes;
  if (!legal) label = 0;
  return legal;
}

// sums (2, blocks): the losses and the weights of each block
template <class T>
__global__ void losses(const T* x, const Map of_x, T* prob, const Map of_prob, const T* labels,
                       const T* weights, const Truth truth, double* sums) {
  double loss = 0, total = 0;
  each_place(of_x, [&](int n, unsigned p) {
    const int classes = of_x.channels;
    T most = x[of_x.at(n, 0, p)], sum = 0;
    for (int c = 1; c < classes; ++c) {
      const T v = x[of_x.at(n, c, p)];
      most = v > most || v != v ? v : most;
    }
    for (int c = 0; c < classes; ++c) {
      const T e = exp(x[of_x.at(n, c, p)] - most);
      prob[of_prob.at(n, c, p)] = e;
      sum += e;
    }
    for (int c = 0; c < classes; ++c) prob[of_prob.at(n, c, p)] /= sum;
    int label;
    T weight;
    const bool legal = named(labels, weights, truth, classes, n * of_x.places + p, label, weight);
    const T least = 1.17549435e-38f;
    const T likely = prob[of_prob.at(n, label, p)];
    const T l = -log(likely < least ? least : likely) * weight;
    loss += legal ? l : __int_as_float(0x7fc00000);
    total += weight;
  });
  loss = block_sum(loss);
  total = block_sum(total);
  const int block = blockIdx.y * gridDim.x + blockIdx.x;
  if (threadIdx.x == 0) {
    sums[block] = loss;
    sums[gridDim.x * gridDim.y + block] = total;
  }
}

// divisor: constant, or where that is 0 the sum of the weights, at least 1
template <class T>
__global__ void finish(const double* sums, int blocks, double constant, T* loss, double* divisor) {
  double of_losses = 0, of_weights = 0;
  for (int i = threadIdx.x; i < blocks; i += blockDim.x) {
    of_losses += sums[i];
    of_weights += sums[blocks + i];
  }
  of_losses = block_sum(of_losses);
  of_weights = block_sum(of_weights);
  if (threadIdx.x) return;
  const double by = constant > 0 ? constant : of_weights > 1 ? of_weights : 1;
  *divisor = by;
  *loss = of_losses / by;
}

template <class T>
__global__ void loss_gradient(const T* prob, const Map of_prob, const T* labels, const T* weights,
                              const Truth truth, const double* divisor, const T* dloss, T* dx, const Map of_dx) {
  const T scale = *dloss / *divisor;
  each_place(of_prob, [&](int n, unsigned p) {
    int label;
    T weight;
    named(labels, weights, truth, of_prob.channels, n * of_prob.places + p, label, weight);
    weight *= scale;
    for (int c = 0; c < of_prob.channels; ++c)
      dx[of_dx.at(n, c, p)] = (prob[of_prob.at(n, c, p)] - T(c == label)) * weight;
  });
}

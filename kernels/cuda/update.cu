// The solvers' updates (solvers/*.py) over the flat parameters, in one pass.
//
//   g <- scale g + decay w (L2) or decay sign(w) (L1);  step from g and the histories;  w <- w - step
//
// Segment k holds elements starts[k] up to starts[k + 1], with its own multiples of the learning rate
// and the decay; a rate below 0 marks parameters that stay.  The learning rate and the gradient's
// scale are read from memory, so that a captured graph can be run with others.  A scale of NaN says
// that the loss or the gradient is not finite: then nothing is changed.
#include "map.cuh"

struct Rule {
  int kind, l1;
  float momentum, momentum2, delta, decay, rms_decay;
};
enum { SGD, NESTEROV, ADAGRAD, RMSPROP, ADADELTA, ADAM };

template <class T>
__global__ void update(T* w, T* g, T* h0, T* h1, const Long* starts, const T* rates, const T* decays,
                       int segments, const Rule rule, const T* given, const T* scaled, Long count) {
  const T rate = given[0], correction = given[1], scale = *scaled;
  if (scale != scale) return;
  const T momentum = rule.momentum, momentum2 = rule.momentum2, delta = rule.delta;
  for (Long i = blockIdx.x * (Long)blockDim.x + threadIdx.x; i < count; i += (Long)gridDim.x * blockDim.x) {
    int low = 0, high = segments;  // starts[low] <= i < starts[high]
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (starts[middle] <= i ? low : high) = middle;
    }
    if (rates[low] < 0) continue;
    const T local = rate * rates[low], decay = T(rule.decay) * decays[low], v = w[i];
    T d = g[i];
    if (scale != 1) d *= scale;
    if (decay != 0) d += rule.l1 ? decay * T((v > 0) - (v < 0)) : decay * v;
    T step;
    if (rule.kind == SGD) {
      step = local * d + momentum * h0[i];
      h0[i] = step;
    } else if (rule.kind == NESTEROV) {
      const T old = h0[i], now = local * d + momentum * old;
      h0[i] = now;
      step = (1 + momentum) * now - momentum * old;
    } else if (rule.kind == ADAGRAD) {
      const T sum = h0[i] + d * d;
      h0[i] = sum;
      step = local * d / (sqrt(sum) + delta);
    } else if (rule.kind == RMSPROP) {
      const T mean = T(rule.rms_decay) * h0[i] + (1 - T(rule.rms_decay)) * d * d;
      h0[i] = mean;
      step = local * d / (sqrt(mean) + delta);
    } else if (rule.kind == ADADELTA) {
      const T mean = momentum * h0[i] + (1 - momentum) * d * d, of_steps = h1[i];
      const T made = d * sqrt((delta + of_steps) / (delta + mean));
      h0[i] = mean;
      h1[i] = momentum * of_steps + (1 - momentum) * made * made;
      step = local * made;
    } else {
      const T m = momentum * h0[i] + (1 - momentum) * d, s = momentum2 * h1[i] + (1 - momentum2) * d * d;
      h0[i] = m;
      h1[i] = s;
      step = local * correction * m / (sqrt(s) + delta);
    }
    g[i] = step;
    w[i] = v - step;
  }
}

// sums (blocks): of the squares, each block's part; then the root of their sum
template <class T> __global__ void squares(const T* g, Long count, double* sums) {
  double sum = 0;
  for (Long i = blockIdx.x * (Long)blockDim.x + threadIdx.x; i < count; i += (Long)gridDim.x * blockDim.x)
    sum += (double)g[i] * g[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// x - x is 0 where x is finite, else NaN.
//
// ... and what the gradient is to be multiplied by: at most `most` long (below 0: as it is), then the
// mean of `passes`
template <class T>
__global__ void root(const double* sums, int blocks, double most, int passes, double* norm, T* scale) {
  double sum = 0;
  for (int i = threadIdx.x; i < blocks; i += blockDim.x) sum += sums[i];
  sum = block_sum(sum);
  if (threadIdx.x != 0) return;
  *norm = sqrt(sum);
  *scale = T((most >= 0 && *norm > most ? most / *norm : 1) / passes) + T(*norm - *norm);
}

// no update where a loss, the sum over its blob, is not finite
template <class T> __global__ void permit(const T* loss, Long count, T* scale) {
  double sum = 0;
  for (Long i = threadIdx.x; i < count; i += blockDim.x) sum += loss[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *scale += T(sum) - T(sum);
}

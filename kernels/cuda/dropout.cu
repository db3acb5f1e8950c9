// kernels/dropout.py: Philox4x64-10 as NumPy runs it, so a mask is the same on every device.
//
// Four 64-bit words come of each counter, eight elements of each four words: the low, then the high
// half of a word.  The first counter is the stream's own plus 1.
// Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011), for the constants.
#include "map.cuh"

typedef unsigned long long Word;

struct Stream {
  Word key[2], counter[4];
};

__device__ void philox(const Stream& s, Word block, Word (&out)[4]) {
  Word c[4] = {s.counter[0] + 1 + block, s.counter[1], s.counter[2], s.counter[3]};
  if (c[0] < s.counter[0] && ++c[1] == 0 && ++c[2] == 0) ++c[3];
  Word k0 = s.key[0], k1 = s.key[1];
  for (int round = 0; round < 10; ++round) {
    const Word a = 0xD2E7470EE14C6C93ull, b = 0xCA5A826395121157ull;
    const Word high_a = __umul64hi(a, c[0]), low_a = a * c[0];
    const Word high_b = __umul64hi(b, c[2]), low_b = b * c[2];
    c[0] = high_b ^ c[1] ^ k0;
    c[1] = low_b;
    c[2] = high_a ^ c[3] ^ k1;
    c[3] = low_a;
    k0 += 0x9E3779B97F4A7C15ull;
    k1 += 0xBB67AE8584CAA73Bull;
  }
  for (int i = 0; i < 4; ++i) out[i] = c[i];
}

// mask (count elements, in the order of the blob's images, channels, places)
__global__ void draw(unsigned char* mask, const Map of, unsigned last, const Stream* stream, Long count) {
  const Long block = blockIdx.x * (Long)blockDim.x + threadIdx.x;
  if (block * 8 >= count) return;
  Word words[4];
  philox(*stream, block, words);
  for (int i = 0; i < 8; ++i) {
    const Long e = block * 8 + i;
    if (e >= count) return;
    const unsigned bits = words[i / 2] >> (i % 2 * 32);
    const Long plane = e / of.places;
    mask[of.at(plane / of.channels, plane % of.channels, e % of.places)] = bits <= last;
  }
}

template <class T, bool LAST>
__global__ void apply(const T* x, const Map of_x, const unsigned char* mask, const Map of_mask, T* y,
                      const Map of_y, T scale) {
  each<LAST>(of_x, [&](int n, int c, unsigned p) {
    const T kept = mask[of_mask.at(n, c, p)];
    y[of_y.at(n, c, p)] = x[of_x.at(n, c, p)] * (kept * scale);
  });
}

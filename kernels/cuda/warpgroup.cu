// Compiles where the compiler has products of warpgroups for this card, and only there (card.py).
#include "warpgroup.cuh"

__global__ void has_warpgroups() {
  begin_products();
  commit_products();
}

// Products of warpgroups, later than any card would do them: operands in shared memory are read, and
// sums are written, when the warp waits for them.  Until then sums are poison.
#include <algorithm>
#include <cstdint>

#include "runtime.h"

namespace emulator {
namespace {

constexpr unsigned poison = 0xffbfffffu;  // a NaN that arithmetic turns into another one
constexpr int row_count = 64, row_bytes = 128, read_bytes = 32, chunk = 16;

Products& mine() { return warps[me().warp].products; }

// a piece of a row that is permuted as a whole
const char* piece(const char* rows, int row, int half) {
  const auto at = reinterpret_cast<uintptr_t>(rows) + row * row_bytes + half * chunk;
  return reinterpret_cast<const char*>(at ^ (at >> 7 & 7) << 4);
}
template <class F> void each_piece(const char* rows, F use) {
  for (int row = 0; row < row_count; ++row)
    for (int half = 0; half < read_bytes / chunk; ++half) use(row, half, piece(rows, row, half));
}

// what the descriptor says, of which only one layout is allowed
const char* decode(unsigned long long d, Place place) {
  const auto bits = [d](int first, int count) { return unsigned(d >> first & ((1u << count) - 1)); };
  if (bits(62, 2) != 1) fail(place, "a product's descriptor says that rows are not permuted within 128 bytes");
  if (bits(32, 14) << 4 != 8 * row_bytes)
    fail(place, "a product's descriptor says that eight rows take %u bytes, not 1024", bits(32, 14) << 4);
  if (bits(49, 3)) fail(place, "a product's descriptor has a base offset");
  if (bits(14, 2) || bits(30, 2) || bits(46, 3) || bits(52, 10))
    fail(place, "a product's descriptor has bits set that mean nothing");
  const unsigned start = bits(0, 14) << 4;
  if (start / row_bytes % 8) fail(place, "a product's rows are not at a multiple of 1024 bytes");
  if (start % row_bytes + read_bytes > row_bytes) fail(place, "a product reads behind the ends of its rows");
  const char *rows = shared_window + start, *tile = rows - start % row_bytes;
  if (tile < shared_start || tile + row_count * row_bytes > shared_end)
    fail(place, "a product reads outside dynamic shared memory");
  return rows;
}

void check_poison(const Sums& s, Place place) {
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 32; ++i)
      if (__float_as_uint(s.d[lane][i / 4][i % 4]) != poison)
        fail(place, "lane %d has written the sums of a product under way", lane);
}

Sums* start_sums(float (*(&d)[32])[4], Place place) {
  Products& all = mine();
  for (Sums& s : all.sums)
    if (std::equal(d, d + 32, s.d)) {
      check_poison(s, place);
      return &s;
    }
  Sums& s = all.sums.emplace_back();
  std::copy(d, d + 32, s.d);
  for (int lane = 0; lane < 32; ++lane) {
    memcpy(s.values[lane], d[lane], sizeof s.values[lane]);
    for (int i = 0; i < 32; ++i) d[lane][i / 4][i % 4] = __uint_as_float(poison);
  }
  return &s;
}

void finish(const Product& p, Place place) {
  unsigned rows[row_count][read_bytes / 4];
  each_piece(p.rows, [&](int row, int half, const char* at) {
    memcpy(&rows[row][half * chunk / 4], at, chunk);
    end_reading(at, chunk);
  });
  for (int lane = 0; lane < 32; ++lane)
    if (memcmp(p.registers[lane], p.a[lane], sizeof p.a[lane]))
      fail(p.place, "lane %d has written an operand of this product, which was under way", lane);
  Sums& s = *p.sums;
  if (!p.add) memset(s.values, 0, sizeof s.values);
  p.multiply(p.a, rows, s.values);
  if (--s.under_way) return;
  check_poison(s, place);
  for (int lane = 0; lane < 32; ++lane) memcpy(s.d[lane], s.values[lane], sizeof s.values[lane]);
  mine().sums.remove_if([&](const Sums& other) { return &other == &s; });
}

}  // namespace

Place reader_of(uintptr_t address) {
  Place found{"", 0};
  const auto look = [&](const std::vector<Product>& products) {
    for (const Product& p : products)
      each_piece(p.rows, [&](int, int, const char* at) {
        if (address - reinterpret_cast<uintptr_t>(at) < chunk) found = p.place;
      });
  };
  for (const Warp& w : warps) {
    look(w.products.open);
    for (const auto& group : w.products.groups) look(group);
  }
  return found;
}

void show_shared() { ++me().shown; }
void begin_products() { mine().begun = true; }

void issue_product(const Lane* in, Multiply multiply, Place place) {
  Products& all = mine();
  if (fibers.size() % 128) fail(place, "products need blocks of a multiple of 128 threads, not %zu", fibers.size());
  if (!all.begun) fail(place, "a product without begin_products() since the last wait_products()");
  const auto first = in[0].get<Given>();
  Product p{place, multiply, decode(first.rows, place), {}, {}, first.add, nullptr};
  float(*d[32])[4];
  for (int lane = 0; lane < 32; ++lane) {
    const auto given = in[lane].get<Given>();
    if (given.rows != first.rows || given.add != first.add) fail(place, "lanes of a warp give different products");
    memcpy(p.a[lane], given.a, sizeof given.a);
    p.registers[lane] = given.registers;
    d[lane] = given.d;
  }
  const size_t number = all.given.size();
  all.given.push_back({first.rows, first.add, multiply, place});
  for (int w = me().warp / 4 * 4, end = w + 4; w < end; ++w) {
    const auto& others = warps[w].products.given;
    if (number < others.size() && !(others[number] == all.given[number]))
      fail(place, "warps of a group give different products: another one did at line %d", others[number].place.line);
  }
  each_piece(p.rows, [&](int, int, const char* at) { start_reading(p, at, chunk); });
  p.sums = start_sums(d, place);
  ++p.sums->under_way;
  all.open.push_back(p);
}

void commit_products() {
  mine().groups.push_back(std::move(mine().open));
  mine().open.clear();
}

void wait_products(int left, Place place) {
  Products& all = mine();
  const size_t done = all.groups.size() > size_t(left) ? all.groups.size() - left : 0;
  for (size_t i = 0; i < done; ++i)
    for (const Product& p : all.groups[i]) finish(p, place);
  all.groups.erase(all.groups.begin(), all.groups.begin() + done);
  all.begun = false;
}

void leave_products() {  // at the end of a block
  for (size_t w = 0; w < warps.size(); ++w) {
    const Products& all = warps[w].products;
    self = &fibers[32 * w];
    if (!all.open.empty()) return note(all.open[0].place, "a product is neither committed nor waited for");
    for (const auto& group : all.groups)
      if (!group.empty()) return note(group[0].place, "a product is not waited for");
    const auto &ours = all.given, &others = warps[w / 4 * 4].products.given;
    if (ours.size() == others.size()) continue;
    const Form& more = ours.size() < others.size() ? others.back() : ours.back();
    return note(more.place, "not all warps of a group give this product");
  }
}

}  // namespace emulator

// A sum of comparisons, as Verilator writes the histograms of line-rate top-k. At -O2 and -O3 g++ 12.2 returns -12 for 12:
// it adds up the masks of the vectorised comparisons, which are -1 where they hold. -fno-tree-slp-vectorize keeps it right.
#include <cstdint>
#include <cstdio>

struct Digits { uint8_t d[16]; };

#define HOLDS(i) static_cast<unsigned char>(s->d[i] > 3)

__attribute__((noinline)) unsigned char count(const Digits* s) {
    return static_cast<unsigned char>(
        HOLDS(0) + HOLDS(1) + HOLDS(2) + HOLDS(3) + HOLDS(4) + HOLDS(5) + HOLDS(6) + HOLDS(7) + HOLDS(8) + HOLDS(9) +
        HOLDS(10) + HOLDS(11) + HOLDS(12) + HOLDS(13) + HOLDS(14) + HOLDS(15));
}

int main() {
    Digits s;
    for (int i = 0; i < 16; ++i) s.d[i] = static_cast<uint8_t>(i);
    std::printf("%d\n", count(&s));
}

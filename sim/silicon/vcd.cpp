// Values of chosen signals of a VCD file in chosen cycles, as words of 64 cycles per bit; called by vcd.py.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define API extern "C" __attribute__((visibility("default")))

namespace {

// An identifier of one to five printable characters as a number, as `code` in vcd.py.
uint64_t code_of(const char*& p) {
    uint64_t code = 0;
    while (*p > ' ') code = code * 95 + uint64_t(*p++ - ' ');
    return code;
}

struct Signal {
    uint64_t width, row;
};

}  // namespace

// `file`: name; `offset`: of the first byte behind its header. `count` signals: their `codes` (below `codes_end`),
// `widths`, and the first `rows` in `out`, the lowest bit first. `windows` pairs of cycles (first, behind the last): values
// are those at time 2·cycle, when all changes of that time have been seen. `out`: rows of `words` words. Returns cycles
// seen, or -1 if the file cannot be read.
API int64_t vcd_read(const char* file, uint64_t offset, uint64_t count, const uint64_t* codes, uint64_t codes_end,
                     const uint64_t* widths, const uint64_t* rows, uint64_t windows, const uint64_t* cycles,
                     uint64_t words, uint64_t* out) {
    FILE* f = std::fopen(file, "rb");
    if (!f) return -1;
    std::fseek(f, long(offset), SEEK_SET);
    std::vector<Signal> of(codes_end, Signal{0, 0});
    uint64_t bits = 0;
    for (uint64_t n = 0; n < count; ++n) {
        of[codes[n]] = Signal{widths[n], rows[n]};
        if (rows[n] + widths[n] > bits) bits = rows[n] + widths[n];
    }
    std::vector<uint8_t> now(bits, 0);
    std::vector<char> line(1 << 16);
    uint64_t window = 0, index = 0, time = 0;
    bool any = false;
    int64_t seen = 0;
    auto sample = [&] {
        if (!any || time % 2) return;
        uint64_t cycle = time / 2;
        while (window < windows && cycle >= cycles[2 * window + 1]) {
            index += cycles[2 * window + 1] - cycles[2 * window];
            ++window;
        }
        if (window == windows || cycle < cycles[2 * window]) return;
        uint64_t at = index + cycle - cycles[2 * window], word = at / 64;
        for (uint64_t b = 0; b < bits; ++b) out[b * words + word] |= uint64_t(now[b]) << (at % 64);
        ++seen;
    };
    while (std::fgets(line.data(), int(line.size()), f)) {
        const char* p = line.data();
        if (*p == '#') {
            sample();
            time = std::strtoull(p + 1, nullptr, 10);
            any = true;
        } else if (*p == 'b') {
            const char* digits = ++p;
            while (*p > ' ') ++p;
            uint64_t size = uint64_t(p - digits);
            ++p;
            uint64_t code = code_of(p);
            if (code >= codes_end || !of[code].width) continue;
            // Leading zeros may be left out.
            for (uint64_t b = 0; b < of[code].width; ++b) now[of[code].row + b] = b < size && digits[size - 1 - b] == '1';
        } else if (*p == '0' || *p == '1') {
            uint8_t value = *p++ == '1';
            uint64_t code = code_of(p);
            if (code < codes_end && of[code].width) now[of[code].row] = value;
        }
    }
    sample();
    std::fclose(f);
    return seen;
}

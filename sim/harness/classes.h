// Classes of memory: named address ranges, the bytes that moved in each, and errors on the n-th access of one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

class Classes {
public:
    struct Span {
        uint64_t lo, hi;
        unsigned number;
    };
    // An answer `resp` to the `count`-th read beat (write burst) of a class from now, once.
    struct ClassFault {
        bool write;
        unsigned number;
        uint64_t count;
        int resp;
    };

    std::vector<uint64_t> read, written;  // bytes in whole beats, by class; class 0: outside all ranges
    std::vector<ClassFault> faults;

    Classes(unsigned channels, unsigned beat_bytes) : beat_(beat_bytes), spans_(channels) { clear(1); }

    // No ranges and no faults, `count` classes, nothing counted.
    void clear(unsigned count) {
        for (auto& s : spans_) s.clear();
        faults.clear();
        read.assign(count, 0);
        written.assign(count, 0);
    }
    // Whole beats [lo, hi) of a channel; ranges must not overlap.
    void add(unsigned channel, uint64_t lo, uint64_t hi, unsigned number) {
        auto& s = spans_[channel];
        Span span{lo, hi, number};
        s.insert(std::upper_bound(s.begin(), s.end(), span, [](auto& a, auto& b) { return a.lo < b.lo; }), span);
    }

    unsigned of(unsigned channel, uint64_t addr) const {
        const auto& s = spans_[channel];
        auto after = std::upper_bound(s.begin(), s.end(), addr, [](uint64_t a, auto& b) { return a < b.lo; });
        return after != s.begin() && addr < std::prev(after)->hi ? std::prev(after)->number : 0;
    }

    // A burst of whole beats.
    void count(bool write, unsigned channel, uint64_t addr, uint64_t bytes) {
        auto& counts = write ? written : read;
        if (spans_[channel].empty()) counts[0] += bytes;
        else
            for (uint64_t at = addr; at < addr + bytes; at += beat_) counts[of(channel, at)] += beat_;
    }

    // The response to a read beat, or to a write burst that begins at `addr`.
    int response(bool write, unsigned channel, uint64_t addr) {
        if (faults.empty()) return 0;
        int resp = 0;
        unsigned number = of(channel, addr);
        for (ClassFault& f : faults) {
            if (f.write != write || f.number != number) continue;
            if (f.count == 0) resp = f.resp;
            if (f.count != ~0ull) --f.count;  // 0 becomes the largest value: spent
        }
        return resp;
    }

private:
    uint64_t beat_;
    std::vector<std::vector<Span>> spans_;  // by channel, ascending
};

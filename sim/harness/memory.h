// What a memory channel is made of: its settings, its random numbers, its bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <unordered_map>

struct Options {
    uint64_t latency = 16;           // cycles from address (last write beat) to first data (response), >= 1
    uint64_t extra = 0;              // random additional latency, 0 .. extra
    uint64_t reorder = 0;            // responses of different ids in random order
    uint64_t interleave = 0;         // beats of read bursts of different ids mixed
    uint64_t stall_ar = 0;           // probability / 256 of a cycle without ready
    uint64_t stall_aw = 0;
    uint64_t stall_w = 0;
    uint64_t gap_r = 0;              // probability / 256 of a cycle without valid
    uint64_t gap_b = 0;
    uint64_t ready_after_valid = 0;  // ready only after valid has been seen waiting
    uint64_t max_reads = 0;          // read bursts accepted and not finished; 0: no limit
    uint64_t seed = 1;
    uint64_t fill = 0;               // value of bytes never written
};

class Random {  // xorshift64*
public:
    explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 0xD1B54A32D192ED03ull) {
        if (!state_) state_ = 1;
    }
    uint64_t next() {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return (state_ * 0x2545F4914F6CDD1Dull) >> 16;
    }
    uint64_t below(uint64_t n) { return n < 2 ? 0 : next() % n; }
    bool chance(uint64_t of256) { return of256 && (next() & 255) < of256; }

private:
    uint64_t state_;
};

class Pages {  // sparse bytes, grown where they are written
public:
    static constexpr uint64_t SIZE = 1 << 16;
    uint8_t fill = 0;

    void write(uint64_t addr, const uint8_t* bytes, uint64_t n) {
        while (n) {
            uint64_t at = addr % SIZE, part = n < SIZE - at ? n : SIZE - at;
            std::memcpy(page(addr / SIZE, true) + at, bytes, part);
            addr += part, bytes += part, n -= part;
        }
    }
    void read(uint64_t addr, uint8_t* bytes, uint64_t n) {
        while (n) {
            uint64_t at = addr % SIZE, part = n < SIZE - at ? n : SIZE - at;
            if (const uint8_t* p = page(addr / SIZE, false)) std::memcpy(bytes, p + at, part);
            else std::memset(bytes, fill, part);
            addr += part, bytes += part, n -= part;
        }
    }

private:
    uint8_t* page(uint64_t number, bool make) {
        if (last_ && number == last_number_) return last_;
        auto found = pages_.find(number);
        if (found == pages_.end()) {
            if (!make) return nullptr;
            found = pages_.emplace(number, std::make_unique<uint8_t[]>(SIZE)).first;
            std::memset(found->second.get(), fill, SIZE);
        }
        last_number_ = number;
        return last_ = found->second.get();
    }
    std::unordered_map<uint64_t, std::unique_ptr<uint8_t[]>> pages_;
    uint8_t* last_ = nullptr;
    uint64_t last_number_ = 0;
};

// An answer that is not OKAY: the `count`-th read beat (write response) from now, once, or, if `ranged`,
// every one whose address is in [lo, hi).
struct Fault {
    bool write, ranged;
    uint64_t count, lo, hi;
    int resp;
};

struct Range {
    uint64_t lo, hi;
};

// Watches the streams of `spatten_hw/probe.py`: counts what each does per cycle and per job, and, if asked to,
// records every vector that passes. `glue.h` (generated) says where the bits are.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

// Bit n of the `valid`, `ready` and `last` words of the port is stream n.
struct ProbeTable {
    unsigned streams;            // 0: this build has no probe
    unsigned words;              // 64-bit words of each of valid, ready, last
    const uint16_t* key_word;    // number of the 64-bit word of the port that holds the key; 0: no key
    const uint64_t* lane_mask;   // bits of the key that tell interleaving vectors apart
    const uint64_t* recorded;    // bit per stream: vectors are recorded
    const uint64_t* moves;       // bit per stream: it carries payloads, and is not a state bit
    const uint64_t* working;     // bit per stream: a state bit that says that there is a job
    const uint64_t* slow;        // bit per stream: a state bit of a unit that works long without moving anything outside
    unsigned job_start, job_end; // streams whose transfers start and end a job
};

// One vector: cycles of the first offer and of the last transfer, both included; in the cycles between in which
// it neither moved nor was blocked, nothing was offered. (Order of `SPAN` in transport.py.)
struct Span {
    uint64_t first, last, key;
    uint32_t stream, rows, blocked, spare;
};

// What a stream did: cycles with a transfer, cycles offered and not taken.
struct Count {
    uint64_t fired, blocked;
};

class Probe {
public:
    std::vector<Count> counts;
    uint64_t cycles = 0;          // counted ones
    std::vector<Span> spans;
    uint64_t dropped = 0;         // spans beyond the limit
    std::vector<uint64_t> jobs;   // per finished job: first cycle (its start, or the end of the job
                                  // before), last cycle, then fired and blocked of each stream

    explicit Probe(const ProbeTable& table) : counts(table.streams), t_(table), before_(table.streams), shown_(2 * table.words) {
        for (unsigned s = 0; s < t_.streams; ++s) {
            offset_.push_back(open_.size());
            open_.resize(open_.size() + t_.lane_mask[s] + 1);
        }
    }
    unsigned streams() const { return t_.streams; }

    void clear() {
        counts.assign(t_.streams, {});
        before_ = counts;
        cycles = 0;
        jobs.clear();
    }
    void record(uint64_t limit) {
        spans.clear();
        dropped = 0;
        limit_ = limit;
        forget();
    }
    // A reset ends every vector and job unfinished; a span of stream ~0 marks it.
    void reset(uint64_t now) {
        if (limit_) store({now, now, 0, ~0u, 0, 0, 0});
        forget();
        running_ = 0;
        taken.clear();
        moved(now);
    }

    // Something moved, or is looked at as if it had.
    void moved(uint64_t now) { moved_ = now; }
    // Cycles up to `now` in which nothing has moved although there is a job, 0 where the host holds it up.
    uint64_t still(uint64_t now) const { return working_ && !held_up_ ? now - moved_ : 0; }
    // Whether a unit is at work that may be silent for long.
    bool slow() const { return slow_; }
    // Of the last cycle, settled: the port's words of `valid`, then those of `ready`.
    const std::vector<uint64_t>& shown() const { return shown_; }
    std::deque<uint64_t> taken;   // keys of the jobs taken and not ended

    // `port`: the settled probe port of cycle `now`.
    void sample(const void* port, uint64_t now) {
        const uint8_t* bits = static_cast<const uint8_t*>(port);
        ++cycles;
        bool ended = false;
        working_ = slow_ = held_up_ = false;
        for (unsigned w = 0; w < t_.words; ++w) {
            uint64_t valid = word(bits, w), ready = word(bits, t_.words + w);
            uint64_t fired = valid & ready;
            shown_[w] = valid, shown_[t_.words + w] = ready;
            if (fired & t_.moves[w]) moved_ = now;
            working_ |= (valid & t_.working[w]) != 0, slow_ |= (valid & t_.slow[w]) != 0;
            held_up_ |= is(valid & ~ready, w, t_.job_end);
            if (is(fired, w, t_.job_start)) {
                if (!running_++) before_ = counts, started_ = now;
                taken.push_back(word(bits, t_.key_word[t_.job_start]));
            }
            ended |= is(fired, w, t_.job_end);
            for (uint64_t left = fired; left; left &= left - 1) ++counts[64 * w + __builtin_ctzll(left)].fired;
            for (uint64_t left = valid & ~ready; left; left &= left - 1)
                ++counts[64 * w + __builtin_ctzll(left)].blocked;
            if (limit_ && (valid & t_.recorded[w])) follow(bits, w, valid & t_.recorded[w], fired, now);
        }
        if (ended && running_) end_job(now);
        if (!working_) moved_ = now;
    }

private:
    struct Open {
        bool active = false;
        Span span;
    };

    static uint64_t word(const uint8_t* bits, unsigned n) {
        uint64_t value;
        std::memcpy(&value, bits + 8 * n, 8);
        return value;
    }
    static bool is(uint64_t bits, unsigned w, unsigned stream) {
        return stream / 64 == w && (bits >> (stream % 64) & 1);
    }

    void follow(const uint8_t* bits, unsigned w, uint64_t valid, uint64_t fired, uint64_t now) {
        uint64_t last = word(bits, 2 * t_.words + w);
        for (; valid; valid &= valid - 1) {
            unsigned bit = __builtin_ctzll(valid), s = 64 * w + bit;
            uint64_t key = t_.key_word[s] ? word(bits, t_.key_word[s]) : 0;
            Open& o = open_[offset_[s] + (key & t_.lane_mask[s])];
            if (!o.active) o = {true, {now, now, key, s, 0, 0, 0}};
            if (!(fired >> bit & 1)) {
                ++o.span.blocked;
                continue;
            }
            ++o.span.rows;
            if (last >> bit & 1) {
                o.span.last = now;
                o.active = false;
                store(o.span);
            }
        }
    }

    void store(const Span& span) {
        if (spans.size() < limit_) spans.push_back(span);
        else ++dropped;
    }
    void forget() {
        for (Open& o : open_) o.active = false;
    }
    void end_job(uint64_t now) {
        jobs.push_back(started_);
        jobs.push_back(now);
        for (unsigned s = 0; s < t_.streams; ++s) {
            jobs.push_back(counts[s].fired - before_[s].fired);
            jobs.push_back(counts[s].blocked - before_[s].blocked);
        }
        --running_;
        if (!taken.empty()) taken.pop_front();
        before_ = counts, started_ = now + 1;
    }

    const ProbeTable& t_;
    std::vector<Count> before_;
    std::vector<size_t> offset_;
    std::vector<Open> open_;
    uint64_t limit_ = 0, started_ = 0, moved_ = 0;
    bool working_ = false, slow_ = false, held_up_ = false;
    std::vector<uint64_t> shown_;
    unsigned running_ = 0;  // jobs taken and not ended
};

// One block's Verilog, compiled, with a driver or a receiver and a watcher on every stream, behind a C interface.
//
// A cycle: inputs are set, everything settles (clk = 0), what is on the ports is looked at, the rising edge commits.
// `glue.h` (generated) names the ports of this block: `Top` and `describe(top, streams, wires)`.
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "contracts.h"
#include "coverage.h"
#include "verilated.h"

#define API extern "C" __attribute__((visibility("default")))

double sc_time_stamp() { return 0; }

namespace {

struct Random {
    uint64_t state = 1;
    void seed(uint64_t s) { state = s * 0x9E3779B97F4A7C15ull | 1; }
    // True with probability `out_of_256`.
    bool chance(unsigned out_of_256) {
        if (!out_of_256) return false;
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        return (state >> 32 & 255) < out_of_256;
    }
};

// A plain port. `high` counts the cycles in which its lowest bit was 1.
struct Wire {
    uint8_t* data;
    size_t size;
    uint64_t high = 0;
};

// A stream and what has moved on it since it was last sent to (input) or received from (output).
struct Stream {
    const char* name;
    bool input;
    CData* valid;
    CData* ready;
    uint8_t* payload;
    size_t size;

    unsigned stall = 0;
    Random random;
    uint64_t blocked = 0, idle = 0;
    std::vector<uint64_t> cycles;  // of every transfer

    // Input: what to send, not before cycle `earliest`, nor before stream `after_stream` has moved `after` payloads.
    std::vector<uint8_t> data;
    std::vector<uint64_t> earliest, after;
    int after_stream = -1;
    size_t count = 0;
    bool offered = false;

    // Output: what was taken, and what waits.
    std::vector<uint8_t> taken, held;
    bool waiting = false;

    void restart(unsigned stalls, uint64_t seed) {
        stall = stalls;
        random.seed(seed);
        blocked = idle = 0;
        cycles.clear();
        taken.clear();
    }
    uint64_t moved() const { return cycles.size(); }
};

// A synchronous memory outside the block: `data` shows the entry that `address` asked for one cycle before.
struct Lookup {
    Wire* address;
    Wire* data;
    std::vector<uint8_t> table;
    size_t at = 0;
};

}  // namespace

#include "glue.h"
#if VM_COVERAGE
#include "Vblock__Syms.h"
#endif

namespace {

struct Block {
    VerilatedContext context;
    std::unique_ptr<Top> top;
    std::vector<Stream> streams;
    std::vector<Wire> wires;
    std::vector<Lookup> lookups;
    uint64_t cycle = 0;
    std::string error;
    Contracts contracts;

    explicit Block(uint64_t seed) {
        context.randSeed(int(seed));
        top = std::make_unique<Top>(&context);
        describe(*top, streams, wires);
        top->clk = 0, top->rst = 0;
    }
    ~Block() {
        // Its scopes leave the context of this thread, which otherwise is that of the simulation made last.
        Verilated::threadContextp(&context);
        top->final();
    }

    void settle() { top->clk = 0, top->eval(); }
    void edge() {
        contracts_now = &contracts;
        top->clk = 1, top->eval();
        if (!contracts.broken.empty()) {
            if (error.empty()) error = "cycle " + std::to_string(cycle) + ", " + contracts.broken;
            contracts.broken.clear();
        }
    }

    void fail(const Stream& s, const char* what) {
        if (error.empty()) error = std::string(s.name) + ", cycle " + std::to_string(cycle) + ": " + what;
    }

    // Forgets what was to be sent; payloads taken stay.
    void reset(uint64_t n) {
        for (auto& s : streams) {
            s.offered = s.waiting = false;
            s.count = s.input ? s.moved() : 0;
            *(s.input ? s.valid : s.ready) = 0;
        }
        top->rst = 1;
        contracts.watched = false;
        for (uint64_t i = 0; i < n; ++i) {
            settle();
            // Registers have their reset values once an edge has passed.
            for (auto& s : streams)
                if (i > 0 && !s.input && *s.valid) fail(s, "valid is high in reset");
            edge();
        }
        top->rst = 0;
        contracts.watched = true;
    }

    void drive() {
        for (auto& s : streams) {
            if (!s.input) {
                *s.ready = !s.random.chance(s.stall);
                continue;
            }
            size_t next = s.moved();
            if (s.offered || next >= s.count) continue;
            if (!s.earliest.empty() && cycle < s.earliest[next]) continue;
            if (s.after_stream >= 0 && streams[s.after_stream].moved() < s.after[next]) continue;
            if (s.random.chance(s.stall)) continue;
            std::memcpy(s.payload, &s.data[next * s.size], s.size);
            *s.valid = s.offered = true;
        }
        for (auto& l : lookups) {
            if ((l.at + 1) * l.data->size <= l.table.size())
                std::memcpy(l.data->data, &l.table[l.at * l.data->size], l.data->size);
        }
    }

    void sample() {
        for (auto& s : streams) {
            bool moves = *s.valid && *s.ready;
            s.blocked += *s.valid && !*s.ready;
            s.idle += !*s.valid;
            if (!s.input) watch(s, moves);
        }
        for (auto& w : wires) w.high += *w.data & 1;
        for (auto& l : lookups) {
            uint64_t at = 0;
            std::memcpy(&at, l.address->data, l.address->size < 8 ? l.address->size : 8);
            l.at = at;
        }
    }

    // The stream contract, then the record.
    void watch(Stream& s, bool moves) {
        if (s.waiting && !*s.valid) fail(s, "valid dropped before ready");
        if (s.waiting && *s.valid && std::memcmp(s.held.data(), s.payload, s.size))
            fail(s, "payload changed while waiting");
        s.waiting = *s.valid && !moves;
        if (s.waiting) s.held.assign(s.payload, s.payload + s.size);
        if (moves) s.taken.insert(s.taken.end(), s.payload, s.payload + s.size);
    }

    // 1: every stream has moved as many payloads as `until` says, 0: `limit` cycles have passed, -1: a rule was broken.
    int run(uint64_t limit, const uint64_t* until) {
        for (uint64_t i = 0; i < limit; ++i) {
            drive();
            settle();
            sample();
            bool done = true;
            for (size_t n = 0; n < streams.size(); ++n) {
                Stream& s = streams[n];
                if (*s.valid && *s.ready) s.cycles.push_back(cycle);
                done &= s.moved() >= until[n];
            }
            edge();
            for (auto& s : streams) {
                if (s.input && s.offered && !s.cycles.empty() && s.cycles.back() == cycle) *s.valid = s.offered = false;
            }
            ++cycle;
            if (!error.empty()) return -1;
            if (done) return 1;
        }
        return 0;
    }
};

}  // namespace

API Block* block_create(uint64_t seed) { return new Block(seed); }
API void block_destroy(Block* b) { retire(b); }
API void block_reset(Block* b, uint64_t cycles) { b->reset(cycles); }
API uint64_t block_cycle(Block* b) { return b->cycle; }
API const char* block_error(Block* b) { return b->error.c_str(); }
API void block_clear_error(Block* b) { b->error.clear(); }
API int block_run(Block* b, uint64_t limit, const uint64_t* until) { return b->run(limit, until); }

API void block_set(Block* b, unsigned wire, const uint8_t* data) {
    std::memcpy(b->wires[wire].data, data, b->wires[wire].size);
}
API void block_get(Block* b, unsigned wire, uint8_t* data) {
    b->settle();
    std::memcpy(data, b->wires[wire].data, b->wires[wire].size);
}
API uint64_t block_high(Block* b, unsigned wire, int clear) {
    uint64_t high = b->wires[wire].high;
    if (clear) b->wires[wire].high = 0;
    return high;
}
API void block_lookup(Block* b, unsigned address, unsigned data, const uint8_t* table, uint64_t entries) {
    Wire *a = &b->wires[address], *d = &b->wires[data];
    for (auto& l : b->lookups) {
        if (l.data == d) {
            l.address = a, l.table.assign(table, table + entries * d->size);
            return;
        }
    }
    b->lookups.push_back({a, d, {table, table + entries * d->size}});
}

// Null `earliest`, `after`: no such condition.
API void block_send(Block* b, unsigned stream, const uint8_t* data, uint64_t count, const uint64_t* earliest,
                    int after_stream, const uint64_t* after, unsigned stall, uint64_t seed) {
    Stream& s = b->streams[stream];
    s.restart(stall, seed);
    s.data.assign(data, data + count * s.size);
    s.count = count;
    s.earliest.assign(earliest, earliest ? earliest + count : earliest);
    s.after_stream = after_stream;
    s.after.assign(after, after ? after + count : after);
    *s.valid = s.offered = false;
}
API void block_receive(Block* b, unsigned stream, unsigned stall, uint64_t seed) {
    b->streams[stream].restart(stall, seed);
}
API uint64_t block_count(Block* b, unsigned stream, int kind) {
    const Stream& s = b->streams[stream];
    return kind == 0 ? s.moved() : kind == 1 ? s.blocked : s.idle;
}
API void block_taken(Block* b, unsigned stream, uint64_t* cycles, uint8_t* payloads) {
    const Stream& s = b->streams[stream];
    std::memcpy(cycles, s.cycles.data(), s.cycles.size() * sizeof(uint64_t));
    std::memcpy(payloads, s.taken.data(), s.taken.size());
}

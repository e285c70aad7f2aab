// What one memory channel does to be in the way: beside `Options`, which are random and the same for all.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_set>

struct Trouble {            // order of `Trouble` in transport.py
    uint64_t extra = 0;     // cycles on top of every latency
    uint64_t newest = 0;    // see `worst` below; 0: off
    uint64_t hold_ar = 0, hold_r = 0, hold_aw = 0, hold_w = 0, hold_b = 0;  // nothing passes
};

// The worst order of answers: nothing for `patience` cycles after an address came (`idle` cycles ago), so that the master
// has asked for all it can, then the newest burst first (of each id the oldest, as AXI demands). Null: not yet.
template <class Burst>
Burst* worst(std::deque<Burst>& bursts, uint64_t now, uint64_t idle, uint64_t patience) {
    if (bursts.empty() || idle < patience) return nullptr;
    std::unordered_set<uint64_t> seen;
    Burst* chosen = nullptr;
    for (Burst& b : bursts)
        if (seen.insert(b.id).second && b.at <= now) chosen = &b;
    return chosen;
}

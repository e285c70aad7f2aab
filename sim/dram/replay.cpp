// A list of requests through one memory channel, without an accelerator: the controller by itself.
#include <algorithm>

#include "dram_controller.h"

extern "C" unsigned dram_words(int stats) { return stats ? DramStats::WORDS : DramTiming::WORDS; }

// Requests enter in order, none before the clock `arrivals[i]` (null: as soon as there is room); a request may span
// bursts. `done[i]`: clock at which its last data came (writes: was accepted). `log`, if not null: room for `room` commands,
// of which the first are kept. Number of commands issued (0 without `log`), or -1: took more than `limit` clocks.
extern "C" int64_t dram_replay(const uint64_t* timing, uint64_t count, const uint64_t* addresses, const uint64_t* sizes,
                               const uint8_t* writes, const uint64_t* arrivals, uint64_t limit, uint64_t* stats,
                               uint64_t* done, DramController::Command* log, uint64_t room) {
    DramTiming t;
    std::memcpy(&t, timing, sizeof t);
    DramController dram(t);
    std::vector<DramController::Command> commands;
    if (log) dram.log = &commands;
    std::vector<uint64_t> left(count), begun(count), answered;
    uint64_t next = 0, piece = 0, open = 0;
    while (next < count || open || !dram.idle()) {
        if (dram.now() >= limit) return -1;
        while (next < count && (!arrivals || arrivals[next] <= dram.now())) {
            bool write = writes && writes[next];
            if (!dram.can_accept(write)) break;
            uint64_t end = addresses[next] + sizes[next];
            uint64_t addr = (addresses[next] / t.burst_bytes + piece) * t.burst_bytes;
            uint64_t from = addresses[next] > addr ? addresses[next] - addr : 0;
            uint64_t bytes = (end < addr + t.burst_bytes ? end - addr : t.burst_bytes) - from;
            if (!piece++) begun[next] = dram.now();
            dram.push(next, addr, (~0ull >> (64 - bytes)) << from, write);
            (write ? dram.stats.bytes_written : dram.stats.bytes_read) += bytes;
            if (!write) ++left[next], ++open;
            if (addr + t.burst_bytes >= end) {
                if (write) done[next] = dram.now();
                ++next, piece = 0;
            }
        }
        answered.clear();
        dram.tick(answered);
        for (uint64_t i : answered) {
            --open;
            if (--left[i] || (i == next && piece)) continue;
            dram.stats.latency((dram.now() - begun[i]) * t.clock_ps);
            done[i] = dram.now();
        }
    }
    std::memcpy(stats, &dram.stats, sizeof dram.stats);
    std::copy_n(commands.begin(), std::min<uint64_t>(commands.size(), room), log);
    return int64_t(commands.size());
}

// What a memory channel is made of and how long its commands take: the C++ side of sim/dram/timing.py.
#pragma once

#include <cstdint>
#include <cstring>

// Times are memory clocks unless named otherwise. Order as in `DramTiming.words` (Python), all 64 bits.
struct DramTiming {
    uint64_t clock_ps, host_clock_ps;  // period of the memory's command clock, of the accelerator's clock
    uint64_t burst_bytes;              // bytes of one RD or WR, a power of two, at most 64
    uint64_t pseudo_channels, bank_groups, banks;  // banks: per group; powers of two, at most 64 banks in all
    uint64_t bl, cl, cwl;
    uint64_t rcdrd, rcdwr, rp, ras, rc;
    uint64_t ccd_s, ccd_l, rrd_s, rrd_l, faw;
    uint64_t rfc, refi;                // refi = 0: no refresh
    uint64_t wtr_s, wtr_l, rtw, wr, rtp;
    uint64_t controller;               // constant latency of controller and PHY, added to every read
    uint64_t command_buses;            // 1: a row or a column command per clock; 2: one of each
    uint64_t act_clocks;               // clocks for which an ACT keeps its command bus
    uint64_t read_queue, write_queue;  // bursts; read_queue = 0: no limit
    uint64_t write_high, write_low;    // writes are drained from `high` down to `low`
    uint64_t age_limit;                // clocks after which a waiting request stops younger ones of its bank
    uint64_t front_queue;              // AXI bursts accepted before the controller has room for them
    uint64_t bank_xor;                 // bank and bank-group number ^= lowest row bits
    // The address from the burst offset upwards, field by field; the row is what is left.
    static constexpr unsigned SEGMENTS = 8;
    struct Segment {
        uint64_t field, bits;
    } map[SEGMENTS];

    static constexpr unsigned WORDS = 36 + 2 * SEGMENTS;
};
static_assert(sizeof(DramTiming) == DramTiming::WORDS * sizeof(uint64_t), "words of DramTiming");

// Where a burst lies in its channel.
struct DramPlace {
    enum Field { PSEUDO_CHANNEL, BANK_GROUP, BANK, COLUMN };
    unsigned pseudo_channel = 0, group = 0, bank = 0;  // `group`: within the pseudo-channel, `bank`: within the group
    uint64_t column = 0, row = 0;

    DramPlace(const DramTiming& t, uint64_t addr) {
        uint64_t rest = addr / t.burst_bytes, part[4] = {}, have[4] = {};
        for (const auto& s : t.map) {
            part[s.field] |= (rest & ((1ull << s.bits) - 1)) << have[s.field];
            have[s.field] += s.bits;
            rest >>= s.bits;
        }
        row = rest;
        column = part[COLUMN];
        pseudo_channel = unsigned(part[PSEUDO_CHANNEL]);
        uint64_t twist = t.bank_xor ? row : 0;
        bank = unsigned((part[BANK] ^ twist) % t.banks);
        group = unsigned((part[BANK_GROUP] ^ twist / t.banks) % t.bank_groups);
    }
};

// What a channel has done since creation or `clear`. Order as in sim/dram/stats.py.
struct DramStats {
    uint64_t clocks = 0;               // memory clocks
    uint64_t reads = 0, writes = 0;    // RD and WR commands
    uint64_t bytes_read = 0, bytes_written = 0;  // what was asked for, not what whole bursts carry
    uint64_t row_hits = 0, row_closed = 0, row_conflicts = 0;  // of reads and writes
    uint64_t activates = 0, precharges = 0, refreshes = 0;
    uint64_t group_waits = 0;          // clocks without a column command that only CCD_L kept from having one
    uint64_t forwarded = 0, merged = 0;  // reads answered from, writes joined to, a waiting write
    uint64_t latencies = 0, latency_ps = 0, latency_max_ps = 0;  // reads answered: number, total, largest

    static constexpr unsigned WORDS = 17;
    void latency(uint64_t ps) {
        ++latencies;
        latency_ps += ps;
        if (ps > latency_max_ps) latency_max_ps = ps;
    }
};
static_assert(sizeof(DramStats) == DramStats::WORDS * sizeof(uint64_t), "words of DramStats");

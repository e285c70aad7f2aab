// What an SDRAM chip does with its pins, without complaints: times are checked in tests/boards (sdram_chip.py).
//
// Its clock is the controller's inverted: a command on the pins in cycle n shows its first word in cycle
// n + CAS latency − 1.
#pragma once
#include <cstdint>
#include <vector>

template <unsigned ROW_BITS, unsigned COLUMN_BITS>
class SdramModel {
    static constexpr unsigned BANKS = 4, QUEUE = 16;
    std::vector<uint16_t> words = std::vector<uint16_t>(size_t(BANKS) << (ROW_BITS + COLUMN_BITS));
    unsigned row[BANKS] = {};
    unsigned burst = 1, latency = 2, left = 0;
    size_t write_at = 0;
    uint16_t coming[QUEUE] = {};
    unsigned now = 0;

public:
    // One cycle of the pins (command: ras, cas, we from bit 0 on); what the chip drives.
    uint16_t step(unsigned command, unsigned bank, unsigned a, unsigned mask, uint16_t dq) {
        enum { ACTIVATE = 1, READ = 2, REFRESH = 3, PRECHARGE = 5, WRITE = 6, MODE = 7 };
        size_t at = ((size_t(row[bank]) * BANKS + bank) << COLUMN_BITS) | (a & ((1u << COLUMN_BITS) - 1));
        if (command == MODE) burst = 1u << (a & 7), latency = a >> 4 & 7;
        if (command == ACTIVATE) row[bank] = a & ((1u << ROW_BITS) - 1);
        if (command == WRITE) write_at = at, left = burst;
        if (command == READ)
            for (unsigned n = 0; n < burst; ++n) coming[(now + latency - 1 + n) % QUEUE] = words[at + n];
        if (left) {
            uint16_t keep = (mask & 1 ? 0x00FF : 0) | (mask & 2 ? 0xFF00 : 0);
            words[write_at] = (words[write_at] & keep) | (dq & ~keep);
            ++write_at, --left;
        }
        uint16_t driven = coming[now % QUEUE];
        ++now;
        return driven;
    }
};

// A DRAM channel behind an AXI port: bursts of AXI become bursts of memory, the accelerator's clock becomes memory's.
//
// Reads wait in a short queue of AXI bursts until the controller has room for their pieces. Writes come when their data
// are complete and are accepted when all their pieces have a place in the write queue.
#pragma once

#include "dram_controller.h"

class DramPort {
public:
    explicit DramPort(const DramTiming& timing) : dram_(timing) {}

    const DramTiming& timing() const { return dram_.timing(); }
    DramStats& stats() { return dram_.stats; }

    // `max`: AXI write bursts that may wait for the controller.
    bool can_accept_read() const { return reads_.size() < timing().front_queue; }
    bool can_accept_write(size_t max) const { return write_ends_.size() < max; }

    // A read burst; returns how many pieces `advance` will report under its number.
    unsigned read(uint64_t number, uint64_t addr, uint64_t bytes) {
        dram_.stats.bytes_read += bytes;
        reads_.push_back({number, addr, addr + bytes});
        uint64_t burst = timing().burst_bytes;
        return unsigned((addr + bytes - 1) / burst - addr / burst + 1);
    }
    // Bytes of a write burst, in ascending order of addresses, and the end of the burst.
    void write_byte(uint64_t addr) {
        uint64_t burst = timing().burst_bytes, first = addr / burst * burst;
        if (writes_.empty() || writes_.back().number != next_write_ || writes_.back().addr != first)
            writes_.push_back({next_write_, first, 0});
        writes_.back().mask |= 1ull << (addr - first);
        ++dram_.stats.bytes_written;
    }
    void end_write() { write_ends_.push_back(next_write_++); }

    // One cycle of the accelerator. Appends the numbers of reads, once for each piece whose data came; returns how many
    // more write bursts, in order, were accepted.
    unsigned advance(std::vector<uint64_t>& pieces) {
        unsigned accepted = 0;
        for (time_ps_ += timing().host_clock_ps; time_ps_ >= timing().clock_ps; time_ps_ -= timing().clock_ps) {
            feed_reads();
            accepted += feed_writes();
            dram_.tick(pieces);
        }
        return accepted;
    }
    // Forgets all that waits; rows stay as they are.
    void reset() {
        reads_.clear(), writes_.clear(), write_ends_.clear();
        dram_.drop();
    }

private:
    struct Read {
        uint64_t number, addr, end;  // `addr`: of the first byte not yet handed on
    };
    struct Write {
        uint64_t number, addr, mask;
    };

    void feed_reads() {
        uint64_t burst = timing().burst_bytes;
        while (!reads_.empty() && dram_.can_accept(false)) {
            Read& r = reads_.front();
            uint64_t first = r.addr / burst * burst, end = std::min(r.end, first + burst);
            dram_.push(r.number, first, (~0ull >> (64 - (end - r.addr))) << (r.addr - first), false);
            r.addr = end;
            if (r.addr == r.end) reads_.pop_front();
        }
    }
    unsigned feed_writes() {
        unsigned accepted = 0;
        while (!write_ends_.empty()) {
            while (!writes_.empty() && writes_.front().number == write_ends_.front()) {
                if (!dram_.can_accept(true)) return accepted;
                dram_.push(0, writes_.front().addr, writes_.front().mask, true);
                writes_.pop_front();
            }
            write_ends_.pop_front();
            ++accepted;
        }
        return accepted;
    }

    DramController dram_;
    std::deque<Read> reads_;
    std::deque<Write> writes_;           // pieces
    std::deque<uint64_t> write_ends_;    // complete bursts
    uint64_t next_write_ = 0, time_ps_ = 0;
};

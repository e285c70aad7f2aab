// One AXI4 memory channel: a slave that behaves as badly as AXI4 allows, watched by a checker, as is its master.
//
// The order of effects is the most hostile one: a read burst takes its data when its address is accepted, a
// write burst reaches memory when its response is sent. A master that reads, or interrupts its host, before its
// write is answered gets old data.
#pragma once

#include <deque>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "axi_checker.h"
#include "classes.h"
#include "memory.h"
#include "trouble.h"

// What the channels of a design have in common.
struct Shared {
    Options options;
    DesignRules rules;
    OpenReads reads;
    Classes classes;
};

// `Pins` holds pointers to the model's ports of one channel; data and strobes as bytes, little endian.
template <class Pins, unsigned BEAT_BYTES>
class Channel {
public:
    Pages pages;
    std::vector<Fault> faults;
    std::vector<Range> may_write, may_read;
    bool guard_writes = false, guard_reads = false;
    uint64_t bytes_read = 0, bytes_written = 0, read_bursts = 0, write_bursts = 0;
    Trouble trouble;

    Channel(Pins pins, Shared& shared, unsigned number)
        : pins_(pins), shared_(shared), options_(shared.options), number_(number), random_(0),
          checker_(pins_, shared.rules, shared.reads, number) { restart(); }

    std::string& error() { return checker_.error; }  // the first rule broken

    // Takes up changed options.
    void restart() {
        random_ = Random(options_.seed * 64 + number_);
        pages.fill = uint8_t(options_.fill);
    }

    // Drops everything in flight, as a memory under the same reset does.
    void reset() {
        reads_.clear(), answers_.clear(), aw_.clear(), w_.clear();
        sending_ = nullptr;
        current_ = Write();
        ar_held_ = aw_held_ = w_held_ = took_r_ = took_b_ = false;
        checker_.reset();
        *pins_.arready = *pins_.awready = *pins_.wready = *pins_.rvalid = *pins_.bvalid = 0;
    }
    void check_quiet(uint64_t now) { checker_.check_quiet(now_ = now); }

    // All signals have settled; the clock edge that ends cycle `now` follows.
    void sample(uint64_t now) {
        now_ = now;
        checker_.sample(now);
        sample_ar();
        sample_aw();
        sample_w();
        took_r_ = *pins_.rvalid && *pins_.rready;
        took_b_ = *pins_.bvalid && *pins_.bready;
    }

    // The edge has passed: what the slave shows in the cycle that begins.
    void drive() {
        ++now_;
        bool room = !options_.max_reads || reads_.size() < options_.max_reads;
        *pins_.arready = !trouble.hold_ar && room && ready(options_.stall_ar, ar_held_);
        *pins_.awready = !trouble.hold_aw && ready(options_.stall_aw, aw_held_);
        *pins_.wready = !trouble.hold_w && w_.size() < MAX_EARLY_BEATS && ready(options_.stall_w, w_held_);
        drive_r();
        drive_b();
    }

private:
    // Write beats taken before their address.
    static constexpr size_t MAX_EARLY_BEATS = 64;

    using Address = AxiAddress;
    using Beat = AxiWriteBeat<BEAT_BYTES>;
    struct Read {
        uint64_t id, addr, at;
        unsigned beats, sent;
        std::vector<uint8_t> data;
    };
    struct Write {
        bool active = false;
        uint64_t id = 0, addr = 0, at = 0;
        unsigned beats = 0;
        std::vector<Beat> data;
    };

    void fail(const std::string& what) { checker_.fail(now_, what); }
    bool ready(uint64_t stall, bool held) {
        return !random_.chance(stall) && (!options_.ready_after_valid || held);
    }
    uint64_t due() { return now_ + options_.latency + trouble.extra + random_.below(options_.extra + 1); }

    static bool covered(const std::vector<Range>& ranges, uint64_t addr, uint64_t n) {
        for (const Range& r : ranges)
            if (addr >= r.lo && addr + n <= r.hi) return true;
        return false;
    }

    int response(bool write, uint64_t addr, uint64_t n) {
        int resp = shared_.classes.response(write, number_, addr);
        for (Fault& f : faults) {
            if (f.write != write) continue;
            if (f.ranged ? (addr < f.hi && addr + n > f.lo) : f.count == 0) resp = f.resp;
            if (!f.ranged && f.count != ~0ull) --f.count;  // 0 becomes the largest value: spent
        }
        return resp;
    }

    void sample_ar() {
        ar_held_ = *pins_.arvalid && !*pins_.arready;
        if (!*pins_.arvalid || ar_held_) return;
        uint64_t id = *pins_.arid, addr = *pins_.araddr, n = uint64_t(*pins_.arlen + 1) * BEAT_BYTES;
        if (guard_reads && !covered(may_read, addr, n))
            fail("reads " + std::to_string(n) + " bytes at " + hex(addr) + ", outside what it may read");
        bytes_read += n, ++read_bursts;
        shared_.classes.count(false, number_, addr, n);
        reads_.push_back({id, addr, due(), *pins_.arlen + 1u, 0, std::vector<uint8_t>(n)});
        pages.read(addr, reads_.back().data.data(), n);
        last_address_ = now_;
    }

    void sample_aw() {
        aw_held_ = *pins_.awvalid && !*pins_.awready;
        if (!*pins_.awvalid || aw_held_) return;
        Address a;
        a.id = *pins_.awid, a.addr = *pins_.awaddr, a.len = *pins_.awlen;
        aw_.push_back(a);
        ++write_bursts;
        shared_.classes.count(true, number_, a.addr, uint64_t(a.len + 1) * BEAT_BYTES);
    }

    void sample_w() {
        w_held_ = *pins_.wvalid && !*pins_.wready;
        if (*pins_.wvalid && !w_held_) {
            Beat beat;
            std::memcpy(beat.data, pins_.wdata, sizeof beat.data);
            std::memcpy(beat.strobe, pins_.wstrb, sizeof beat.strobe);
            beat.last = *pins_.wlast;
            w_.push_back(beat);
        }
        while (!w_.empty() && (current_.active || !aw_.empty())) match();
    }

    // Gives the oldest write beat to the oldest write address.
    void match() {
        if (!current_.active) {
            const Address& a = aw_.front();
            current_.active = true;
            current_.id = a.id, current_.addr = a.addr, current_.beats = a.len + 1;
            aw_.pop_front();
        }
        const Beat& beat = w_.front();  // its `last` is the checker's affair
        uint64_t addr = current_.addr + current_.data.size() * BEAT_BYTES;
        for (unsigned i = 0; i < BEAT_BYTES; ++i) {
            if (!(beat.strobe[i / 8] >> (i % 8) & 1)) continue;
            ++bytes_written;
            if (guard_writes && !covered(may_write, addr + i, 1))
                fail("writes a byte at " + hex(addr + i) + ", outside what it may write");
        }
        current_.data.push_back(beat);
        w_.pop_front();
        if (current_.data.size() < current_.beats) return;
        current_.at = due();
        answers_.push_back(std::move(current_));
        current_ = Write();
    }

    // The next burst to answer: the oldest, or with reordering any that is the oldest of its id; null if not due.
    template <class Burst>
    Burst* choose(std::deque<Burst>& bursts, bool any) {
        if (bursts.empty()) return nullptr;
        if (trouble.newest) return worst(bursts, now_, now_ - last_address_, trouble.newest);
        if (!any) return bursts.front().at <= now_ ? &bursts.front() : nullptr;
        seen_.clear();
        Burst* chosen = nullptr;
        uint64_t count = 0;
        for (Burst& b : bursts)
            if (seen_.insert(b.id).second && b.at <= now_ && random_.below(++count) == 0) chosen = &b;
        return chosen;
    }

    template <class Burst>
    static void erase(std::deque<Burst>& bursts, Burst* burst) {
        for (auto i = bursts.begin(); i != bursts.end(); ++i)
            if (&*i == burst) {
                bursts.erase(i);
                return;
            }
    }

    void drive_r() {
        if (*pins_.rvalid && !took_r_) return;
        if (took_r_ && sending_ && sending_->sent == sending_->beats) {
            erase(reads_, sending_);
            sending_ = nullptr;
        }
        *pins_.rvalid = 0;
        if (trouble.hold_r || random_.chance(options_.gap_r)) return;
        // deque::push_back leaves pointers to elements valid; nothing but erase above removes one.
        if (!sending_ || options_.interleave) sending_ = choose(reads_, options_.reorder || options_.interleave);
        if (!sending_) return;
        Read& r = *sending_;
        uint64_t offset = uint64_t(r.sent) * BEAT_BYTES;
        int resp = response(false, r.addr + offset, BEAT_BYTES);
        for (unsigned i = 0; i < BEAT_BYTES; ++i)  // data of a failed beat is anything
            reinterpret_cast<uint8_t*>(pins_.rdata)[i] = r.data[offset + i] ^ (resp ? uint8_t(random_.next()) : 0);
        *pins_.rid = r.id;
        *pins_.rresp = resp;
        *pins_.rlast = ++r.sent == r.beats;
        *pins_.rvalid = 1;
    }

    void drive_b() {
        if (*pins_.bvalid && !took_b_) return;
        *pins_.bvalid = 0;
        if (trouble.hold_b || random_.chance(options_.gap_b)) return;
        Write* w = choose(answers_, options_.reorder);
        if (!w) return;
        int resp = response(true, w->addr, uint64_t(w->beats) * BEAT_BYTES);
        for (size_t beat = 0; !resp && beat < w->data.size(); ++beat)
            for (unsigned i = 0; i < BEAT_BYTES; ++i)
                if (w->data[beat].strobe[i / 8] >> (i % 8) & 1)
                    pages.write(w->addr + beat * BEAT_BYTES + i, &w->data[beat].data[i], 1);
        *pins_.bid = w->id;
        *pins_.bresp = resp;
        *pins_.bvalid = 1;
        erase(answers_, w);
    }

    Pins pins_;
    Shared& shared_;
    const Options& options_;
    unsigned number_;
    Random random_;
    AxiChecker<Pins, BEAT_BYTES> checker_;
    uint64_t now_ = 0, last_address_ = 0;
    std::deque<Read> reads_;
    Read* sending_ = nullptr;
    std::deque<Write> answers_;
    std::deque<Address> aw_;
    std::deque<Beat> w_;
    Write current_;
    bool ar_held_ = false, aw_held_ = false, w_held_ = false, took_r_ = false, took_b_ = false;
    std::unordered_set<uint64_t> seen_;
};

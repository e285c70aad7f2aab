// One AXI4 memory channel: a slave that behaves as badly as AXI4 allows, watched by a checker, as is its master.
//
// The order of effects is the most hostile one: a read burst takes its data when its address is accepted, a
// write burst reaches memory when its response is sent. A master that reads, or interrupts its host, before its
// write is answered gets old data.
//
// When an answer comes is the business of `Options` (a fixed latency), or, with `set_dram`, of a model of DRAM: a read
// is answered when all its data are there, a write when the memory controller has taken it. What may be added to a
// fixed latency (`extra`, stalls, gaps, disorder) is added to that too.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "axi_checker.h"
#include "classes.h"
#include "dram_port.h"
#include "memory.h"
#include "trouble.h"

// What the channels of a design have in common.
struct Shared {
    Options options;
    DesignRules rules;
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
    bool recording = false;
    std::vector<uint64_t> recorded;  // address and bytes of reads, in the order of their acceptance
    std::unique_ptr<DramPort> dram;  // null: fixed latency

    Channel(Pins pins, Shared& shared, unsigned number)
        : pins_(pins), shared_(shared), options_(shared.options), number_(number), random_(0),
          checker_(pins_, shared.rules, number) { restart(); }

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
        if (dram) dram->reset();
        answerable_.clear(), turns_.clear();
        ar_held_ = aw_held_ = w_held_ = took_r_ = took_b_ = moved_ = false;
        checker_.reset();
        *pins_.arready = *pins_.awready = *pins_.wready = *pins_.rvalid = *pins_.bvalid = 0;
    }
    void check_quiet(uint64_t now) { checker_.check_quiet(now_ = now); }

    // Whether anything passed in the cycle sampled last.
    bool moved() const { return moved_; }
    // Cycles that an answer may take at most, stalls aside.
    uint64_t slowest() const { return options_.latency + options_.extra + trouble.extra + trouble.newest; }
    // What is open, as words (order of `OpenAccesses` in hang.py): AR, AW, W offered and not taken; numbers of reads, of
    // complete writes without an answer, of write addresses without all their data, of write beats without an address;
    // then id, address, beats left and age of each read, id and address of each write without an answer.
    void open(std::vector<uint64_t>& words) const {
        words = {ar_held_, aw_held_, w_held_, reads_.size(), answers_.size(), aw_.size() + current_.active, w_.size()};
        for (const Read& r : reads_) words.insert(words.end(), {r.id, r.addr, r.beats - r.sent, now_ - r.came});
        for (const Write& w : answers_) words.insert(words.end(), {w.id, w.addr});
    }

    // All signals have settled; the clock edge that ends cycle `now` follows.
    void sample(uint64_t now) {
        now_ = now;
        checker_.sample(now);
        sample_ar();
        sample_aw();
        sample_w();
        took_r_ = *pins_.rvalid && *pins_.rready;
        took_b_ = *pins_.bvalid && *pins_.bready;
        moved_ = took_r_ || took_b_ || (*pins_.arvalid && *pins_.arready) || (*pins_.awvalid && *pins_.awready)
                 || (*pins_.wvalid && *pins_.wready);
    }

    // The edge has passed: what the slave shows in the cycle that begins.
    void drive() {
        ++now_;
        if (dram) advance_dram();
        bool room = !options_.max_reads || reads_.size() < options_.max_reads;
        bool room_w = w_.size() < MAX_EARLY_BEATS;
        if (dram) room = room && dram->can_accept_read(), room_w = room_w && dram->can_accept_write(MAX_WAITING_WRITES);
        *pins_.arready = !trouble.hold_ar && room && ready(options_.stall_ar, ar_held_);
        *pins_.awready = !trouble.hold_aw && ready(options_.stall_aw, aw_held_);
        *pins_.wready = !trouble.hold_w && room_w && ready(options_.stall_w, w_held_);
        drive_r();
        drive_b();
    }

private:
    // Write beats taken before their address.
    static constexpr size_t MAX_EARLY_BEATS = 64;
    // Complete write bursts that wait for the memory controller.
    static constexpr size_t MAX_WAITING_WRITES = 2;
    static constexpr uint64_t NEVER = ~0ull;

    using Address = AxiAddress;
    using Beat = AxiWriteBeat<BEAT_BYTES>;
    struct Read {
        uint64_t id, addr, at;
        unsigned beats, sent;
        std::vector<uint8_t> data;
        uint64_t number, came;  // with DRAM: order of acceptance, cycle
        unsigned pieces;        // bursts of memory not yet there
        uint64_t turn;          // bursts of its id before it
    };
    struct Answerable {  // with DRAM: a read whose data are there, in the order in which they came
        uint64_t number, id, turn, at;
    };
    struct Turns {  // bursts of an id
        uint64_t accepted = 0, sent = 0;
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
        last_address_ = now_;
        if (recording) recorded.push_back(addr), recorded.push_back(n);
        reads_.push_back({id, addr, dram ? NEVER : due(), *pins_.arlen + 1u, 0, std::vector<uint8_t>(n), read_bursts,
                          now_, 0, 0});
        pages.read(addr, reads_.back().data.data(), n);
        if (!dram) return;
        reads_.back().pieces = dram->read(read_bursts, addr, n);
        if (id >= turns_.size()) turns_.resize(id + 1);
        reads_.back().turn = turns_[id].accepted++;
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
            if (dram) dram->write_byte(addr + i);
            if (guard_writes && !covered(may_write, addr + i, 1))
                fail("writes a byte at " + hex(addr + i) + ", outside what it may write");
        }
        current_.data.push_back(beat);
        w_.pop_front();
        if (current_.data.size() < current_.beats) return;
        current_.at = dram ? NEVER : due();
        if (dram) dram->end_write();
        answers_.push_back(std::move(current_));
        current_ = Write();
    }

    void advance_dram() {
        pieces_.clear();
        for (unsigned accepted = dram->advance(pieces_); accepted; --accepted)
            for (Write& w : answers_)  // in order
                if (w.at == NEVER) {
                    w.at = now_ + random_.below(options_.extra + 1);
                    break;
                }
        for (uint64_t number : pieces_) {
            auto r = find_read(number);
            if (--r->pieces) continue;
            r->at = now_ + random_.below(options_.extra + 1);
            answerable_.push_back({r->number, r->id, r->turn, r->at});
            dram->stats().latency((now_ - r->came) * dram->timing().host_clock_ps);
        }
    }

    // With DRAM: of the bursts that are the oldest of their id, the one whose data came first; null if none is there.
    Read* choose_answerable() {
        for (const Answerable& a : answerable_)
            if (a.at <= now_ && a.turn == turns_[a.id].sent) return &*find_read(a.number);
        return nullptr;
    }
    void end_answerable(const Read& r) {
        ++turns_[r.id].sent;
        for (auto a = answerable_.begin(); a != answerable_.end(); ++a)
            if (a->number == r.number) {
                answerable_.erase(a);
                return;
            }
    }
    typename std::deque<Read>::iterator find_read(uint64_t number) {
        return std::lower_bound(reads_.begin(), reads_.end(), number,
                                [](const Read& a, uint64_t n) { return a.number < n; });
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
            if (dram) end_answerable(*sending_);
            erase(reads_, sending_);
            sending_ = nullptr;
        }
        *pins_.rvalid = 0;
        if (trouble.hold_r || random_.chance(options_.gap_r)) return;
        // deque::push_back leaves pointers to elements valid; nothing but erase above removes one.
        if (!sending_ || options_.interleave) {
            bool any = options_.reorder || options_.interleave;
            sending_ = dram && !any ? choose_answerable() : choose(reads_, any);
        }
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
    bool ar_held_ = false, aw_held_ = false, w_held_ = false, took_r_ = false, took_b_ = false, moved_ = false;
    std::unordered_set<uint64_t> seen_;
    std::vector<uint64_t> pieces_;
    std::deque<Answerable> answerable_;
    std::vector<Turns> turns_;  // with DRAM: by id
};

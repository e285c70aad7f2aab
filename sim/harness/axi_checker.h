// A passive monitor of one AXI4 port, both sides of it, against IHI 0022 (chapters A3 to A5) and what the design
// promises beyond it. `sim/testbench/axi_checker.py` has the same rules, and messages, for cocotb.
//
// Master: valid low in reset; AR, AW and W valid until ready, payload stable; full-width aligned INCR bursts inside
// 4 KB; no reserved cache encoding; wlast exactly on the last beat; no write data without an address and no address
// without data. Slave: R and B likewise; R only for ids with an accepted read, as many beats as asked for, rlast on the
// last one; B only for ids with a write whose address and last beat were taken; no EXOKAY. Simulation is two-state, so
// nothing here is about X.
#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "axi_payload.h"

// What a build promises beyond AXI; 0: no promise. (Order of `DesignRules` in transport.py.)
struct DesignRules {
    uint64_t longest_read = 0, longest_write = 0;  // beats of a burst
    uint64_t read_ids = 0, write_ids = 0;          // ids are below
    uint64_t reads_per_id = 0;   // bursts of a channel with the same id that are open together
    uint64_t open_writes = 0;    // bursts of a channel without a response
    uint64_t write_lead = 0;     // bursts whose data end before their address is taken
};

// `Pins` holds pointers to the signals of one port. `rules`: shared by the ports of a design.
template <class Pins, unsigned BEAT_BYTES>
class AxiChecker {
public:
    // Cycles after which missing write data, or their missing address, will not come: only such in which nothing
    // of the kind is offered count.
    static constexpr unsigned PATIENCE = 1000;

    std::string error;  // the first rule broken

    AxiChecker(const Pins& pins, const DesignRules& rules, unsigned number)
        : p_(pins), rules_(rules), name_("m_axi_" + std::to_string(number)) {}

    void fail(uint64_t now, const std::string& what) {
        if (error.empty()) error = "cycle " + std::to_string(now) + ", " + name_ + ": " + what;
    }

    // Forgets everything in flight.
    void reset() {
        ar_.reset(), aw_.reset(), w_.reset(), r_.reset(), b_.reset();
        reads_.clear(), answers_.clear(), writes_.clear(), early_.clear();
        beats_ = 0, early_bursts_ = open_writes_ = 0, no_address_ = no_data_ = 0;
    }
    void check_quiet(uint64_t now) {
        now_ = now;
        if (*p_.arvalid || *p_.awvalid || *p_.wvalid || *p_.rvalid || *p_.bvalid) say("valid is high in reset");
    }

    // A cycle outside reset, settled.
    void sample(uint64_t now) {
        now_ = now;
        // Answers first: they must not depend on what is accepted in the same cycle.
        bool r_taken = check_r(), b_taken = check_b();
        check_ar();
        check_aw();
        check_w();
        if (r_taken) end_read_beat();
        if (b_taken) --pending(answers_, *p_.bid), --open_writes_;
    }

private:
    void say(const std::string& what) { fail(now_, what); }

    template <class Payload>
    void held(Held<Payload>& held, bool valid, bool ready, const Payload& payload, const char* channel) {
        if (const char* wrong = held.step(valid, ready, payload)) say(std::string(channel) + ": " + wrong);
    }

    template <class T>
    static T& pending(std::vector<T>& by_id, uint64_t id) {
        if (id >= by_id.size()) by_id.resize(id + 1);
        return by_id[id];
    }

    void check_address(const AxiAddress& a, const char* channel, uint64_t longest, uint64_t ids) {
        auto bad = [&](const std::string& what) { say(std::string(channel) + " at " + hex(a.addr) + ": " + what); };
        uint64_t bytes = uint64_t(a.len + 1) * BEAT_BYTES;
        if (a.size != unsigned(__builtin_ctz(BEAT_BYTES)))
            bad("size " + std::to_string(a.size) + " is not the full width");
        if (a.burst != 1) bad("burst type " + std::to_string(a.burst) + " is not INCR");
        if (a.addr % BEAT_BYTES) bad("not a multiple of the data width");
        if (a.addr / 4096 != (a.addr + bytes - 1) / 4096) bad("burst crosses a 4 KB boundary");
        if ((a.cache & 12) && !(a.cache & 2)) bad("cache " + std::to_string(a.cache) + " is reserved");
        if (longest && a.len + 1 > longest)
            bad(std::to_string(a.len + 1) + " beats, this build needs at most " + std::to_string(longest));
        if (ids && a.id >= ids) bad("id " + std::to_string(a.id) + " is not below " + std::to_string(ids));
    }

    void check_ar() {
        AxiAddress a;
        bool valid = *p_.arvalid, ready = *p_.arready;
        if (!valid && !ar_.waits()) return;
        if (valid)
            a = {uint64_t(*p_.arid), uint64_t(*p_.araddr), *p_.arlen, *p_.arsize, *p_.arburst, *p_.arcache,
                 *p_.arprot};
        held(ar_, valid, ready, a, "AR");
        if (!valid || !ready) return;
        check_address(a, "AR", rules_.longest_read, rules_.read_ids);
        if (rules_.reads_per_id && pending(reads_, a.id).size() >= rules_.reads_per_id)
            say("AR at " + hex(a.addr) + ": id " + std::to_string(a.id) + " is still in use");
        pending(reads_, a.id).push_back(a.len + 1);
    }

    void check_aw() {
        AxiAddress a;
        bool valid = *p_.awvalid, ready = *p_.awready;
        if (!valid && !aw_.waits()) return;
        if (valid)
            a = {uint64_t(*p_.awid), uint64_t(*p_.awaddr), *p_.awlen, *p_.awsize, *p_.awburst, *p_.awcache,
                 *p_.awprot};
        held(aw_, valid, ready, a, "AW");
        if (!valid || !ready) return;
        check_address(a, "AW", rules_.longest_write, rules_.write_ids);
        writes_.push_back(a);
        if (++open_writes_ > rules_.open_writes && rules_.open_writes)
            say("AW at " + hex(a.addr) + ": " + std::to_string(open_writes_) + " bursts are unanswered");
    }

    void check_w() {
        bool valid = *p_.wvalid, ready = *p_.wready;
        if (valid || w_.waits()) {
            AxiWriteBeat<BEAT_BYTES> beat{};
            if (valid) {
                std::memcpy(beat.data, p_.wdata, sizeof beat.data);
                std::memcpy(beat.strobe, p_.wstrb, sizeof beat.strobe);
                beat.last = *p_.wlast;
            }
            held(w_, valid, ready, beat, "W");
            if (valid && ready) {
                early_.push_back(beat.last);
                early_bursts_ += beat.last;
            }
        }
        while (!early_.empty() && !writes_.empty()) match();
        if (rules_.write_lead && early_bursts_ > rules_.write_lead)
            say("W: data of " + std::to_string(early_bursts_) + " bursts before their addresses");
        if (early_.empty() || *p_.awvalid) no_address_ = 0;
        else if (++no_address_ > PATIENCE) say("W: data without an address");
        if (writes_.empty() || valid) no_data_ = 0;
        else if (++no_data_ > PATIENCE) say("AW at " + hex(writes_.front().addr) + ": address without data");
    }

    // Gives the oldest write beat to the oldest write address.
    void match() {
        const AxiAddress& a = writes_.front();
        bool last = early_.front(), done = ++beats_ == a.len + 1;
        early_.pop_front();
        early_bursts_ -= last;
        if (last != done) say("W: wlast in the wrong beat of the burst at " + hex(a.addr));
        if (!done) return;
        ++pending(answers_, a.id);
        beats_ = 0;
        writes_.pop_front();
    }

    // Whether a beat is taken.
    bool check_r() {
        bool valid = *p_.rvalid, ready = *p_.rready;
        if (!valid && !r_.waits()) return false;
        AxiReadBeat<BEAT_BYTES> beat{};
        if (valid && (r_.waits() || !ready)) std::memcpy(beat.data, p_.rdata, sizeof beat.data);
        if (valid) beat.id = *p_.rid, beat.resp = *p_.rresp, beat.last = *p_.rlast;
        held(r_, valid, ready, beat, "R");
        if (!valid) return false;
        if (beat.resp == 1) say("R: EXOKAY for id " + std::to_string(beat.id));
        if (beat.id >= reads_.size() || reads_[beat.id].empty()) {
            say("R: no read of id " + std::to_string(beat.id) + " is open");
            return false;
        }
        if (beat.last != (reads_[beat.id].front() == 1))
            say("R: rlast in the wrong beat of id " + std::to_string(beat.id));
        return ready;
    }

    void end_read_beat() {
        uint64_t id = *p_.rid;
        std::vector<unsigned>& left = reads_[id];
        if (--left.front()) return;
        left.erase(left.begin());
    }

    bool check_b() {
        AxiAnswer answer;
        bool valid = *p_.bvalid, ready = *p_.bready;
        if (!valid && !b_.waits()) return false;
        if (valid) answer = {uint64_t(*p_.bid), *p_.bresp};
        held(b_, valid, ready, answer, "B");
        if (!valid) return false;
        if (answer.resp == 1) say("B: EXOKAY for id " + std::to_string(answer.id));
        if (answer.id >= answers_.size() || !answers_[answer.id]) {
            say("B: no write of id " + std::to_string(answer.id) + " is complete");
            return false;
        }
        return ready;
    }

    const Pins& p_;
    const DesignRules& rules_;
    std::string name_;
    uint64_t now_ = 0;
    Held<AxiAddress> ar_, aw_;
    Held<AxiWriteBeat<BEAT_BYTES>> w_;
    Held<AxiReadBeat<BEAT_BYTES>> r_;
    Held<AxiAnswer> b_;
    std::vector<std::vector<unsigned>> reads_;  // by id: beats left of each burst, oldest first
    std::vector<unsigned> answers_;             // by id: complete writes without a response
    std::deque<AxiAddress> writes_;             // whose data are not complete
    std::deque<bool> early_;                    // last flags of write beats whose address is not known yet
    unsigned beats_ = 0;                        // of the oldest of `writes_`
    uint64_t early_bursts_ = 0, open_writes_ = 0;
    unsigned no_address_ = 0, no_data_ = 0;
};

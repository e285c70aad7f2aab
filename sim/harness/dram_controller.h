// One memory channel with its controller: bursts go in, the ids of answered reads come out, clock by clock.
//
// FR-FCFS on an open page: column commands to open rows first, the oldest first; then the oldest request whose row is
// not open has it opened. A request leaves the queue when its row is opened for it or its own column command is
// issued. Writes are posted: they wait until their queue reaches its high mark, and are then drained to the low one, or
// until no read waits. Only timing is modelled here; bytes live elsewhere.
#pragma once

#include <deque>

#include "dram_bank.h"
#include "dram_queue.h"

class DramController {
public:
    // A command issued, for whoever wants to check them.
    enum Kind : uint64_t { ACT, PRE, RD, WR, REF };
    struct Command {
        uint64_t clock, kind, bank, row;  // row: of an ACT
    };
    DramStats stats;
    std::vector<Command>* log = nullptr;

    explicit DramController(const DramTiming& timing)
        : t_(timing), banks_(t_), queues_{DramQueue(banks_.count()), DramQueue(banks_.count())},
          refresh_due_(t_.refi ? t_.refi : ~0ull) {}
    DramController(const DramController&) = delete;  // the banks refer to t_

    const DramTiming& timing() const { return t_; }
    uint64_t now() const { return now_; }

    bool can_accept(bool write) const {
        if (write) return queues_[WRITE].size < t_.write_queue;
        return !t_.read_queue || queues_[READ].size < t_.read_queue;
    }
    // `addr`: of a burst, channel-local; `mask`: its bytes that are read or written.
    void push(uint64_t id, uint64_t addr, uint64_t mask, bool write) {
        DramPlace place(t_, addr);
        unsigned bank = banks_.index(place);
        if (DramRequest* waiting = queues_[WRITE].find(bank, place.row, addr)) {
            if (write) {
                waiting->mask |= mask;
                ++stats.merged;
                return;
            }
            if ((mask & ~waiting->mask) == 0) {
                forwarded_.push_back({now_ + t_.controller + 1, id});
                ++stats.forwarded;
                return;
            }  // else bytes of both are joined when memory has answered
        }
        queues_[write].push(bank, place.row, banks_.row(bank), {id, addr, mask, now_, ++number_});
    }
    bool idle() const {
        return !queues_[READ].pending && !queues_[WRITE].pending && answers_.empty() && forwarded_.empty();
    }

    // Forgets all that waits; banks stay as they are.
    void drop() {
        for (DramQueue& q : queues_) q = DramQueue(banks_.count());
        answers_.clear(), forwarded_.clear();
        pinned_ = 0, draining_ = false;
    }

    // One memory clock. Appends the ids of reads whose last data came in it.
    void tick(std::vector<uint64_t>& done) {
        if (now_ >= refresh_due_) refresh();
        else if (queues_[READ].pending | queues_[WRITE].pending) schedule();
        ++now_, ++stats.clocks;
        collect(answers_, done);
        collect(forwarded_, done);
    }

private:
    using Direction = DramBanks::Direction;
    static constexpr Direction READ = DramBanks::READ, WRITE = DramBanks::WRITE;
    struct Answer {
        uint64_t at, id;
    };
    struct Choice {  // the oldest candidate so far
        unsigned bank = 0;
        Direction direction = READ;
        uint64_t number = ~0ull;
        void offer(unsigned b, Direction d, uint64_t n) {
            if (n < number) bank = b, direction = d, number = n;
        }
        explicit operator bool() const { return number != ~0ull; }
    };

    void collect(std::deque<Answer>& answers, std::vector<uint64_t>& done) {
        while (!answers.empty() && answers.front().at <= now_) {
            done.push_back(answers.front().id);
            answers.pop_front();
        }
    }

    void schedule() {
        uint64_t waiting = queues_[WRITE].size;
        if (waiting >= t_.write_high) draining_ = true;
        else if (waiting <= t_.write_low) draining_ = false;
        Direction direction = draining_ || !queues_[READ].pending ? WRITE : READ;
        DramQueue& queue = queues_[direction];
        bool row_bus = now_ >= row_bus_free_;
        if (!row_bus && t_.command_buses < 2) return;
        uint64_t aged = 0;
        Choice column = oldest_column((queue.hits | pinned_) & ~banks_.blocked(now_), direction, aged);
        if (column) issue_column(column);
        if (row_bus && (!column || t_.command_buses > 1))
            issue_row(((queue.pending & ~queue.hits) | aged) & ~pinned_, direction);
    }

    // The oldest column command that is ready, of these banks. Banks whose oldest request has waited for another row
    // too long are kept for a precharge: `aged`.
    Choice oldest_column(uint64_t banks, Direction direction, uint64_t& aged) {
        Choice column;
        bool only_group = false;
        for (; banks; banks &= banks - 1) {
            unsigned b = unsigned(__builtin_ctzll(banks));
            bool pinned = pinned_ >> b & 1;
            Direction d = pinned ? Direction(pinned_write_ >> b & 1) : direction;
            DramQueue& queue = queues_[d];
            if (!pinned && !queue.hit_is_oldest(b) && now_ - queue.oldest(b).came > t_.age_limit)
                aged |= 1ull << b;
            else if (banks_.column_at(b, d) <= now_)
                column.offer(b, d, queue.hit(b).number);
            else if (d == READ && banks_.column_without_group_at(b, d) <= now_)
                only_group = true;
        }
        if (!column && only_group) ++stats.group_waits;
        return column;
    }

    // Opens or closes a row for the oldest request for which that is allowed now.
    void issue_row(uint64_t banks, Direction d) {
        Choice activate, precharge;
        DramQueue& queue = queues_[d];
        for (; banks; banks &= banks - 1) {
            unsigned b = unsigned(__builtin_ctzll(banks));
            if (banks_.row(b) == DramBanks::CLOSED) {
                if (banks_.activate_at(b) <= now_) activate.offer(b, d, queue.oldest(b).number);
            } else if (banks_.precharge_at(b) <= now_) {
                precharge.offer(b, d, queue.oldest(b).number);
            }
        }
        if (activate && activate.number < precharge.number) issue_activate(activate);
        else if (precharge) issue_precharge(precharge);
    }

    void note(Kind kind, uint64_t bank, uint64_t row = 0) {
        if (log) log->push_back({now_, kind, bank, row});
    }

    void issue_column(const Choice& c) {
        DramQueue& queue = queues_[c.direction];
        DramRequest r = queue.pop(c.bank);
        if (pinned_ >> c.bank & 1) pinned_ &= ~(1ull << c.bank);
        else --queue.size;
        ++(!r.opened ? stats.row_hits : r.conflict ? stats.row_conflicts : stats.row_closed);
        note(c.direction == WRITE ? WR : RD, c.bank);
        if (c.direction == WRITE) {
            banks_.write(c.bank, now_);
            ++stats.writes;
        } else {
            banks_.read(c.bank, now_);
            ++stats.reads;
            answers_.push_back({now_ + t_.cl + t_.bl + t_.controller, r.id});
        }
    }
    void issue_activate(const Choice& c) {
        DramQueue& queue = queues_[c.direction];
        uint64_t row = queue.oldest_row(c.bank);
        queue.oldest(c.bank).opened = true;
        banks_.activate(c.bank, row, now_);
        note(ACT, c.bank, row);
        row_bus_free_ = now_ + t_.act_clocks;
        for (DramQueue& q : queues_) q.opened(c.bank, row);
        ++stats.activates;
        // The row stays open until this request has had its column command, whichever direction is served then.
        pinned_ |= 1ull << c.bank;
        pinned_write_ = (pinned_write_ & ~(1ull << c.bank)) | uint64_t(c.direction) << c.bank;
        --queue.size;
    }
    void issue_precharge(const Choice& c) {
        queues_[c.direction].oldest(c.bank).conflict = true;
        close(c.bank);
    }
    void close(unsigned bank) {
        banks_.precharge(bank, now_);
        note(PRE, bank);
        for (DramQueue& q : queues_) q.closed(bank);
        ++stats.precharges;
    }

    // All banks of the channel at once. Requests whose rows were just opened are served first, others wait.
    void refresh() {
        if (pinned_) {
            uint64_t aged = 0;
            Choice column = oldest_column(pinned_, READ, aged);
            if (column) issue_column(column);
            return;
        }
        bool open = false;
        for (unsigned b = 0; b < banks_.count(); ++b)
            if (banks_.row(b) != DramBanks::CLOSED) {
                open = true;
                if (banks_.precharge_at(b) > now_) return;
            }
        if (open) {
            for (unsigned b = 0; b < banks_.count(); ++b)
                if (banks_.row(b) != DramBanks::CLOSED) close(b);
        } else if (banks_.refresh_at() <= now_) {
            banks_.refresh(now_);
            note(REF, 0);
            ++stats.refreshes;
            refresh_due_ += t_.refi;
        }
    }

    const DramTiming t_;
    DramBanks banks_;
    DramQueue queues_[2];
    uint64_t now_ = 0, number_ = 0, refresh_due_, row_bus_free_ = 0;
    uint64_t pinned_ = 0, pinned_write_ = 0;  // banks with a row opened for a request that has not been served; as a write
    bool draining_ = false;
    std::deque<Answer> answers_, forwarded_;
};

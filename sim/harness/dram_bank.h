// The banks of one memory channel: which rows are open, and from which clock each command is allowed.
//
// A command is allowed when bank, bank group and pseudo-channel allow it; issuing one moves those clocks. The data bus
// needs no state of its own: CCD_S, RTW and WTR keep bursts apart.
#pragma once

#include <algorithm>
#include <vector>

#include "dram_timing.h"

class DramBanks {
public:
    static constexpr uint64_t CLOSED = ~0ull;
    enum Direction { READ, WRITE };

    explicit DramBanks(const DramTiming& t)
        : t_(t), group_shift_(shift(t.banks)), channel_shift_(shift(t.banks * t.bank_groups)),
          banks_(t.pseudo_channels << channel_shift_), groups_(t.pseudo_channels * t.bank_groups),
          channels_(t.pseudo_channels) {}

    unsigned count() const { return unsigned(banks_.size()); }
    unsigned index(const DramPlace& p) const { return p.pseudo_channel << channel_shift_ | p.group << group_shift_ | p.bank; }
    uint64_t row(unsigned bank) const { return banks_[bank].row; }

    // First clock at which the command is allowed, as things stand.
    uint64_t activate_at(unsigned b) const {
        const Shared& c = channels_[b >> channel_shift_];
        return std::max(std::max(banks_[b].activate, groups_[b >> group_shift_].activate),
                        std::max(c.activate, c.window[c.oldest]));
    }
    uint64_t precharge_at(unsigned b) const { return banks_[b].precharge; }
    uint64_t column_at(unsigned b, Direction d) const {
        return std::max(groups_[b >> group_shift_].column[d], column_without_group_at(b, d));
    }
    uint64_t column_without_group_at(unsigned b, Direction d) const {
        return std::max(banks_[b].column[d], channels_[b >> channel_shift_].column[d]);
    }

    void activate(unsigned b, uint64_t row, uint64_t now) {
        Bank& bank = banks_[b];
        Shared& c = channels_[b >> channel_shift_];
        bank.row = row;
        bank.column[READ] = now + t_.rcdrd;
        bank.column[WRITE] = now + t_.rcdwr;
        bank.precharge = now + t_.ras;
        bank.activate = now + t_.rc;
        groups_[b >> group_shift_].activate = now + t_.rrd_l;
        c.activate = now + t_.rrd_s;
        c.window[c.oldest] = now + t_.faw;  // the fourth from now waits for this one
        c.oldest = (c.oldest + 1) % 4;
    }
    void precharge(unsigned b, uint64_t now) {
        banks_[b].row = CLOSED;
        raise(banks_[b].activate, now + t_.rp);
    }
    void read(unsigned b, uint64_t now) {
        Shared &g = groups_[b >> group_shift_], &c = channels_[b >> channel_shift_];
        raise(banks_[b].precharge, now + t_.rtp);
        raise(g.column[READ], now + t_.ccd_l);
        raise(c.column[READ], now + t_.ccd_s);
        raise(c.column[WRITE], now + t_.rtw);
    }
    void write(unsigned b, uint64_t now) {
        Shared &g = groups_[b >> group_shift_], &c = channels_[b >> channel_shift_];
        uint64_t end = now + t_.cwl + t_.bl;
        raise(banks_[b].precharge, end + t_.wr);
        raise(g.column[WRITE], now + t_.ccd_l);
        raise(c.column[WRITE], now + t_.ccd_s);
        raise(g.column[READ], end + t_.wtr_l);
        raise(c.column[READ], end + t_.wtr_s);
    }
    // The set of banks whose pseudo-channel allows no column command at all now.
    uint64_t blocked(uint64_t now) const {
        uint64_t banks = 0, of_one = ~0ull >> (64 - (1u << channel_shift_));
        for (unsigned c = 0; c < channels_.size(); ++c)
            if (std::min(channels_[c].column[READ], channels_[c].column[WRITE]) > now)
                banks |= of_one << (c << channel_shift_);
        return banks;
    }
    // All banks must be closed; the first clock at which a refresh is allowed, and the refresh.
    uint64_t refresh_at() const {
        uint64_t at = 0;
        for (const Bank& b : banks_) raise(at, b.activate);
        return at;
    }
    void refresh(uint64_t now) {
        for (Bank& b : banks_) raise(b.activate, now + t_.rfc);
    }

private:
    struct Bank {
        uint64_t row = CLOSED, activate = 0, precharge = 0, column[2] = {0, 0};
    };
    struct Shared {  // by a bank group, or by a pseudo-channel
        uint64_t activate = 0, column[2] = {0, 0};
        uint64_t window[4] = {0, 0, 0, 0};  // of the last four activates
        unsigned oldest = 0;
    };
    static unsigned shift(uint64_t power) { return unsigned(__builtin_ctzll(power)); }
    static void raise(uint64_t& at, uint64_t to) { at = std::max(at, to); }

    const DramTiming& t_;
    unsigned group_shift_, channel_shift_;  // of a bank's number: its group, its pseudo-channel
    std::vector<Bank> banks_;
    std::vector<Shared> groups_, channels_;
};

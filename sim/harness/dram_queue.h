// The requests of one direction that wait in a memory controller, by bank and row.
//
// A bank's requests are kept as runs of one row, sorted by the oldest request of each, so that a controller looks at two
// requests per bank: the oldest that hits the open row and the oldest of all. Work per clock does not depend on how
// many wait.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

struct DramRequest {
    uint64_t id, addr, mask;   // `mask`: bytes of the burst that are asked for
    uint64_t came;             // clock of arrival
    uint64_t number;           // order of arrival
    bool opened = false, conflict = false;  // it made the controller open its row, and close another before
    uint32_t next = 0;         // in its run
};

class DramQueue {
public:
    uint64_t size = 0;     // requests that count against the length of the queue
    uint64_t pending = 0;  // set of banks that have requests
    uint64_t hits = 0;     // set of banks that have requests on their open row

    explicit DramQueue(unsigned banks) : banks_(banks) {}

    void push(unsigned bank, uint64_t row, uint64_t open_row, const DramRequest& request) {
        uint32_t at = place(request);
        Bank& b = banks_[bank];
        unsigned run = b.find(row);
        if (run == b.runs.size()) {
            b.runs.push_back({row, at, at});
            if (row == open_row) open(bank, run);
        } else {
            pool_[b.runs[run].last].next = at;
            b.runs[run].last = at;
        }
        pending |= 1ull << bank;
        ++size;
    }

    // Of a bank in `pending`: the oldest request, and its row.
    DramRequest& oldest(unsigned bank) { return pool_[banks_[bank].runs.front().first]; }
    uint64_t oldest_row(unsigned bank) const { return banks_[bank].runs.front().row; }
    // Of a bank in `hits`: the oldest request on the open row; whether it is the oldest of all.
    DramRequest& hit(unsigned bank) { return pool_[banks_[bank].runs[banks_[bank].open].first]; }
    bool hit_is_oldest(unsigned bank) const { return banks_[bank].open == 0; }

    // The bank has opened a row, or closed it.
    void opened(unsigned bank, uint64_t row) {
        unsigned run = banks_[bank].find(row);
        if (run < banks_[bank].runs.size()) open(bank, run);
    }
    void closed(unsigned bank) { hits &= ~(1ull << bank); }

    // Takes the oldest request on the open row of a bank in `hits`.
    DramRequest pop(unsigned bank) {
        Bank& b = banks_[bank];
        Run& run = b.runs[b.open];
        uint32_t at = run.first;
        free_.push_back(at);
        if (at != run.last) {
            run.first = pool_[at].next;
            for (; b.open + 1 < b.runs.size() && number(b.runs[b.open]) > number(b.runs[b.open + 1]); ++b.open)
                std::swap(b.runs[b.open], b.runs[b.open + 1]);
        } else {
            b.runs.erase(b.runs.begin() + b.open);
            hits &= ~(1ull << bank);
            if (b.runs.empty()) pending &= ~(1ull << bank);
        }
        return pool_[at];
    }

    // The waiting request at an address, or null.
    DramRequest* find(unsigned bank, uint64_t row, uint64_t addr) {
        if (!(pending >> bank & 1)) return nullptr;
        Bank& b = banks_[bank];
        unsigned run = b.find(row);
        if (run == b.runs.size()) return nullptr;
        for (uint32_t at = b.runs[run].first;; at = pool_[at].next) {
            if (pool_[at].addr == addr) return &pool_[at];
            if (at == b.runs[run].last) return nullptr;
        }
    }

private:
    struct Run {
        uint64_t row;
        uint32_t first, last;  // in the pool
    };
    struct Bank {
        std::vector<Run> runs;
        unsigned open = 0;  // number of the run on the open row, if the bank is in `hits`
        unsigned find(uint64_t row) const {
            unsigned i = 0;
            while (i < runs.size() && runs[i].row != row) ++i;
            return i;
        }
    };

    uint64_t number(const Run& run) const { return pool_[run.first].number; }
    void open(unsigned bank, unsigned run) {
        banks_[bank].open = run;
        hits |= 1ull << bank;
    }
    uint32_t place(const DramRequest& request) {
        if (free_.empty()) {
            pool_.push_back(request);
            return uint32_t(pool_.size() - 1);
        }
        uint32_t at = free_.back();
        free_.pop_back();
        pool_[at] = request;
        return at;
    }

    std::vector<Bank> banks_;
    std::vector<DramRequest> pool_;
    std::vector<uint32_t> free_;
};

// The requests of one direction that wait in a memory controller, by bank and row.
//
// A bank's requests are kept as runs of one row, in the order in which their oldest came, so that a controller looks at
// two requests per bank: the oldest that hits the open row and the oldest of all. Work per clock does not depend on
// how many wait.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <vector>

struct DramRequest {
    uint64_t id, addr, mask;   // `mask`: bytes of the burst that are asked for
    uint64_t came;             // clock of arrival
    uint64_t number;           // order of arrival
    bool closed = false, conflict = false;  // it made the controller open, and close, a row
};

class DramQueue {
public:
    struct Run {
        uint64_t row;
        std::deque<DramRequest> requests;
    };
    uint64_t size = 0;   // requests that count against the length of the queue
    uint64_t pending = 0;  // set of banks that have requests

    explicit DramQueue(unsigned banks) : banks_(banks) {}

    void push(unsigned bank, uint64_t row, uint64_t open_row, const DramRequest& request) {
        Bank& b = banks_[bank];
        Run* run = nullptr;
        for (Run& r : b.runs)
            if (r.row == row) run = &r;
        if (!run) {
            b.runs.push_back({row, {}});
            run = &b.runs.back();
            if (row == open_row) b.open = run;
        }
        run->requests.push_back(request);
        pending |= 1ull << bank;
        ++size;
    }
    // The bank's run on its open row, and its oldest; null if there is none.
    Run* open(unsigned bank) { return banks_[bank].open; }
    Run* oldest(unsigned bank) { return banks_[bank].runs.empty() ? nullptr : &banks_[bank].runs.front(); }

    // The bank has opened a row, or closed it.
    void opened(unsigned bank, uint64_t row) {
        Bank& b = banks_[bank];
        b.open = nullptr;
        for (Run& r : b.runs)
            if (r.row == row) b.open = &r;
    }
    void closed(unsigned bank) { banks_[bank].open = nullptr; }

    // Takes the oldest request on the bank's open row.
    DramRequest pop(unsigned bank) {
        Bank& b = banks_[bank];
        DramRequest request = b.open->requests.front();
        b.open->requests.pop_front();
        if (b.open->requests.empty()) {
            for (auto i = b.runs.begin(); i != b.runs.end(); ++i)
                if (&*i == b.open) {
                    b.runs.erase(i);
                    break;
                }
            b.open = nullptr;
            if (b.runs.empty()) pending &= ~(1ull << bank);
        }
        return request;
    }
    // The waiting request at an address, or null.
    DramRequest* find(unsigned bank, uint64_t row, uint64_t addr) {
        for (Run& r : banks_[bank].runs)
            if (r.row == row)
                for (DramRequest& q : r.requests)
                    if (q.addr == addr) return &q;
        return nullptr;
    }

private:
    struct Bank {
        std::list<Run> runs;
        Run* open = nullptr;
    };
    std::vector<Bank> banks_;
};

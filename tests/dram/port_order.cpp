// A master with many reads under few ids on one channel: every beat must be the next of the oldest burst of its id.
// Standard input: the words of a DramTiming. Arguments: reorder, interleave, extra, seed. Prints how many
// were answered out of the order of acceptance, and how many at most were accepted and not answered; exit 1 at a wrong beat, 2 if answers stay away.
#include <cstdio>
#include <cstdlib>
#include <map>

#include "channel.h"

constexpr unsigned BEAT = 32, IDS = 4, READS = 3000;

struct Pins {
    uint8_t *arvalid, *arready, *arlen, *arsize, *arburst, *arcache, *arprot;
    uint8_t *awvalid, *awready, *awlen, *awsize, *awburst, *awcache, *awprot;
    uint8_t *wvalid, *wready, *wlast, *bvalid, *bready, *bresp, *rvalid, *rready, *rresp, *rlast;
    uint32_t *arid, *awid, *bid, *rid;
    uint64_t *araddr, *awaddr;
    uint8_t *rdata, *wdata, *wstrb;
};

int main(int, char** argv) {
    DramTiming timing;
    uint64_t words[DramTiming::WORDS];
    for (uint64_t& w : words)
        if (std::scanf("%lu", &w) != 1) return 3;
    std::memcpy(&timing, words, sizeof timing);
    Shared shared{{}, {}, Classes(1, BEAT)};
    Options& options = shared.options;
    options.reorder = std::atoi(argv[1]), options.interleave = std::atoi(argv[2]), options.extra = std::atoi(argv[3]);
    uint8_t b[24] = {}, rdata[BEAT] = {}, wdata[BEAT] = {}, wstrb[BEAT / 8] = {};
    uint32_t id[4] = {};
    uint64_t addr[2] = {};
    Pins p{&b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &b[6], &b[7], &b[8], &b[9], &b[10], &b[11], &b[12], &b[13], &b[14],
           &b[15], &b[16], &b[17], &b[18], &b[19], &b[20], &b[21], &b[22], &b[23], &id[0], &id[1], &id[2], &id[3],
           &addr[0], &addr[1], rdata, wdata, wstrb};
    Channel<Pins, BEAT> channel(p, shared, 0);
    channel.dram = std::make_unique<DramPort>(timing);
    for (uint64_t a = 0; a < 1 << 18; a += 8) channel.pages.write(a, reinterpret_cast<uint8_t*>(&a), 8);

    struct Burst {
        uint64_t addr, beats, number, sent;
    };
    std::map<uint32_t, std::deque<Burst>> open;
    Random random(std::atoi(argv[4]));
    uint64_t asked = 0, answered = 0, latest = 0, late = 0, most = 0;
    *p.arsize = 5, *p.arburst = 1, *p.rready = 1;
    for (uint64_t cycle = 0; answered < READS; ++cycle) {
        if (cycle == 200 * READS) return 2;
        if (!*p.arvalid && asked < READS && random.below(4)) {
            *p.arvalid = 1, *p.arlen = uint8_t(random.below(3));
            *p.arid = uint32_t(random.below(IDS)), *p.araddr = random.below(1 << 11) * 128;
        }
        *p.rready = random.below(8) != 0;
        channel.sample(cycle);
        if (*p.rvalid && *p.rready) {
            if (open[*p.rid].empty()) return 1;
            Burst& burst = open[*p.rid].front();
            uint64_t got;
            std::memcpy(&got, rdata, 8);
            if (got != burst.addr + burst.sent++ * BEAT || *p.rlast != (burst.sent == burst.beats)) return 1;
            if (*p.rlast) {
                late += burst.number < latest;
                latest = std::max(latest, burst.number);
                open[*p.rid].pop_front(), ++answered;
            }
        }
        bool taken = *p.arvalid && *p.arready;
        if (taken) open[*p.arid].push_back({*p.araddr, *p.arlen + 1ull, asked++, 0});
        most = std::max(most, asked - answered);
        channel.drive();
        if (taken) *p.arvalid = 0;
    }
    std::printf("%lu %lu\n", late, most);
    return channel.error().empty() ? 0 : 1;
}

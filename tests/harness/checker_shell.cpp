// `AxiChecker` behind a C interface, its signals driven by a test instead of a design.
#include "axi_checker.h"

struct Pins {
    uint32_t *awid, *awaddr, *awlen, *awsize, *awburst, *awcache, *awprot, *awvalid, *awready, *wdata, *wstrb, *wlast,
        *wvalid, *wready, *bid, *bresp, *bvalid, *bready, *arid, *araddr, *arlen, *arsize, *arburst, *arcache, *arprot,
        *arvalid, *arready, *rid, *rdata, *rresp, *rlast, *rvalid, *rready;
};
constexpr unsigned SIGNALS = sizeof(Pins) / sizeof(uint32_t*);

struct Shell {
    uint32_t values[SIGNALS] = {};
    Pins pins;
    DesignRules rules;
    AxiChecker<Pins, 4> checker{pins, rules, 0};
    uint64_t now = 0;
    Shell() {
        uint32_t** pin = reinterpret_cast<uint32_t**>(&pins);
        for (unsigned i = 0; i < SIGNALS; ++i) pin[i] = &values[i];
    }
};

extern "C" {
Shell* shell_new(const uint64_t* rules) {
    Shell* s = new Shell;
    std::memcpy(static_cast<void*>(&s->rules), rules, sizeof s->rules);
    return s;
}
void shell_delete(Shell* s) { delete s; }
unsigned shell_signals() { return SIGNALS; }
// One cycle with `values` in the order of `Pins`; what is wrong so far.
const char* shell_cycle(Shell* s, const uint32_t* values, int reset) {
    std::memcpy(s->values, values, sizeof s->values);
    if (reset) s->checker.check_quiet(s->now), s->checker.reset();
    else s->checker.sample(s->now++);
    return s->checker.error.c_str();
}
}

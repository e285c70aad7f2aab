// The accelerator's Verilog, compiled, with its memories and its control port, behind a C interface.
//
// A cycle: inputs are set, everything settles (clk = 0), what is on the ports is looked at, the rising edge
// commits, inputs of the next cycle are set. `glue.h` (generated) names the ports of this build.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "glue.h"
#include "channel.h"
#include "contracts.h"
#include "coverage.h"
#include "probe.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif
#if VM_COVERAGE
#include "Vspatten__Syms.h"
#endif

#define API extern "C" __attribute__((visibility("default")))

double sc_time_stamp() { return 0; }

namespace {

using Memory = Channel<Pins, BEAT_BYTES>;

enum Access { WRITE = 1, READ = 2 };

struct Harness {
    VerilatedContext context;
    std::unique_ptr<Top> top;
    Shared shared{{}, {}, Classes(CHANNELS, BEAT_BYTES)};
    Options& options = shared.options;
    std::vector<std::unique_ptr<Memory>> memories;
    Random random{1};
    Held<uint64_t> control_b, control_r;
    Probe probe{PROBE};
    uint64_t cycles = 0;
    std::string error;
    uint64_t patience = 0, slow_patience = 0;  // cycles without anything moving that are a hang; 0: none are
    uint64_t hung = 0;                         // cycles in which nothing has moved, if it hangs
    std::vector<uint64_t> open;                // shown by spatten_open
    Contracts contracts;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace;
#endif

    Harness(const char* trace_file, uint64_t seed) {
        context.randSeed(int(seed));
        context.traceEverOn(VM_TRACE);
        top = std::make_unique<Top>(&context);
        for (unsigned c = 0; c < CHANNELS; ++c)
            memories.push_back(std::make_unique<Memory>(pins(*top, c), shared, c));
#if VM_TRACE
        if (trace_file && *trace_file) {
            trace = std::make_unique<VerilatedVcdC>();
            top->trace(trace.get(), 99);
            trace->open(trace_file);
        }
#else
        (void)trace_file;
#endif
        top->clk = 0, top->rst = 0;
        top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_arvalid = 0;
        top->s_axil_bready = top->s_axil_rready = 0;
        top->s_axil_awprot = top->s_axil_arprot = 0;
        top->s_axil_wstrb = 15;
        for (auto& m : memories) m->reset();
    }
    ~Harness() {
#if VM_TRACE
        if (trace) trace->close();
#endif
        // Its scopes leave the context of this thread, which otherwise is that of the simulation made last.
        Verilated::threadContextp(&context);
        top->final();
    }

    void settle() {
        top->clk = 0;
        top->eval();
        dump(2 * cycles);
    }
    void edge() {
        contracts_now = &contracts;
        top->clk = 1;
        top->eval();
        if (!contracts.broken.empty()) {
            if (error.empty()) error = "cycle " + std::to_string(cycles) + ", " + contracts.broken;
            contracts.broken.clear();
        }
        dump(2 * cycles + 1);
        ++cycles;
    }
    void dump(uint64_t time) {
#if VM_TRACE
        if (trace) trace->dump(time);
#else
        (void)time;
#endif
    }

    void fail(const std::string& what) {
        if (error.empty()) error = "cycle " + std::to_string(cycles) + ", s_axil: " + what;
    }

    // What the accelerator offers on the control port must stay until it is taken.
    void check_control() {
        uint64_t data = uint64_t(top->s_axil_rresp) << 32 | top->s_axil_rdata;
        if (const char* wrong = control_b.step(top->s_axil_bvalid, top->s_axil_bready, top->s_axil_bresp))
            fail(std::string("B: ") + wrong);
        if (const char* wrong = control_r.step(top->s_axil_rvalid, top->s_axil_rready, data))
            fail(std::string("R: ") + wrong);
    }

    // Between these two the ports show one settled cycle.
    void begin() {
        settle();
        for (auto& m : memories) {
            m->sample(cycles);
            if (error.empty() && !m->error().empty()) error = m->error();
        }
        check_control();
        if (!PROBE.streams) return;
        probe.sample(probe_port(*top), cycles);
        for (auto& m : memories)
            if (m->moved()) probe.moved(cycles);
        if (patience && probe.still(cycles) >= patience) look_for_hang();
    }
    void look_for_hang() {
        uint64_t most = probe.slow() ? slow_patience : patience, slowest = 0;
        for (auto& m : memories) slowest = std::max(slowest, m->slowest());
        if (probe.still(cycles) >= most + 2 * slowest) hung = probe.still(cycles);
    }
    void end() {
        edge();
        for (auto& m : memories) m->drive();
    }

    void reset(uint64_t n) {
        contracts.watched = false;
        top->rst = 1;
        top->s_axil_awvalid = top->s_axil_wvalid = top->s_axil_arvalid = 0;
        top->s_axil_bready = top->s_axil_rready = 0;
        for (auto& m : memories) m->reset();
        control_b.reset(), control_r.reset();
        probe.reset(cycles);
        hung = 0;
        for (uint64_t i = 0; i < n; ++i) {
            settle();
            if (i > 1) {  // the reset acts a cycle later: registered_reset() in build.py
                for (auto& m : memories) {
                    m->check_quiet(cycles);
                    if (error.empty() && !m->error().empty()) error = m->error();
                }
                if (top->s_axil_bvalid || top->s_axil_rvalid) fail("valid is high in reset");
            }
            edge();
        }
        top->rst = 0;
        settle();
        edge();
        contracts.watched = true;
    }

    // Runs to the first cycle that shows irq, or `limit` cycles. 1: irq, 0: limit, -1: a rule was broken, or it hangs.
    int run(uint64_t limit, bool until_irq) {
        for (uint64_t i = 0; i < limit; ++i) {
            begin();
            if (!error.empty() || hung) {
                end();
                return -1;
            }
            bool irq = top->irq;
            end();
            if (irq && until_irq) return 1;
        }
        return 0;
    }

    // Cycles to wait before the next step on the control port: 0, or random ones if the memories stall too.
    unsigned pause() { return options.stall_ar ? unsigned(random.below(4)) : 0; }

    // Returns the response, -1: a rule was broken, -2: no response in `limit` cycles.
    int write(uint32_t addr, uint32_t data, uint64_t limit) {
        Top& t = *top;
        unsigned aw_wait = pause(), w_wait = pause(), b_wait = pause();
        bool aw_done = false, w_done = false;
        t.s_axil_awaddr = addr, t.s_axil_wdata = data;
        for (uint64_t i = 0; i < limit; ++i) {
            t.s_axil_awvalid = !aw_done && (t.s_axil_awvalid || aw_wait == 0 || aw_wait-- == 0);
            t.s_axil_wvalid = !w_done && (t.s_axil_wvalid || w_wait == 0 || w_wait-- == 0);
            t.s_axil_bready = aw_done && w_done && (b_wait == 0 || b_wait-- == 0);
            begin();
            if (t.s_axil_bvalid && !(aw_done && w_done)) fail("B before address and data were taken");
            if (t.s_axil_rvalid) fail("R without a read");
            if (t.s_axil_awvalid && t.s_axil_awready) aw_done = true;
            if (t.s_axil_wvalid && t.s_axil_wready) w_done = true;
            bool done = t.s_axil_bvalid && t.s_axil_bready;
            int resp = t.s_axil_bresp;
            end();
            if (aw_done) t.s_axil_awvalid = 0;
            if (w_done) t.s_axil_wvalid = 0;
            if (done || !error.empty()) {
                t.s_axil_awvalid = t.s_axil_wvalid = t.s_axil_bready = 0;
                return error.empty() ? resp : -1;
            }
        }
        t.s_axil_awvalid = t.s_axil_wvalid = t.s_axil_bready = 0;
        return -2;
    }

    int read(uint32_t addr, uint32_t* data, uint64_t limit) {
        Top& t = *top;
        unsigned ar_wait = pause(), r_wait = pause();
        bool ar_done = false;
        t.s_axil_araddr = addr;
        for (uint64_t i = 0; i < limit; ++i) {
            t.s_axil_arvalid = !ar_done && (t.s_axil_arvalid || ar_wait == 0 || ar_wait-- == 0);
            t.s_axil_rready = ar_done && (r_wait == 0 || r_wait-- == 0);
            begin();
            if (t.s_axil_rvalid && !ar_done) fail("R before the address was taken");
            if (t.s_axil_bvalid) fail("B without a write");
            if (t.s_axil_arvalid && t.s_axil_arready) ar_done = true;
            bool done = t.s_axil_rvalid && t.s_axil_rready;
            int resp = t.s_axil_rresp;
            *data = t.s_axil_rdata;
            end();
            if (ar_done) t.s_axil_arvalid = 0;
            if (done || !error.empty()) {
                t.s_axil_arvalid = t.s_axil_rready = 0;
                return error.empty() ? resp : -1;
            }
        }
        t.s_axil_arvalid = t.s_axil_rready = 0;
        return -2;
    }
};

Harness& of(void* h) { return *static_cast<Harness*>(h); }
Memory& of(void* h, unsigned channel) { return *of(h).memories[channel]; }

}  // namespace

API void* spatten_create(const char* trace_file, uint64_t seed) { return new Harness(trace_file, seed); }
API void spatten_destroy(void* h) { retire(&of(h)); }
API void spatten_reset(void* h, uint64_t n) { of(h).reset(n); }
API int spatten_run(void* h, uint64_t limit, int until_irq) { return of(h).run(limit, until_irq); }
API int spatten_write32(void* h, uint32_t a, uint32_t d, uint64_t limit) { return of(h).write(a, d, limit); }
API int spatten_read32(void* h, uint32_t a, uint32_t* d, uint64_t limit) { return of(h).read(a, d, limit); }
API uint64_t spatten_cycles(void* h) { return of(h).cycles; }
API const char* spatten_error(void* h) { return of(h).error.c_str(); }

API void spatten_clear_error(void* h) {
    of(h).error.clear();
    for (auto& m : of(h).memories) m->error().clear();
}

// Cycles in which nothing moves, while a job runs, after which that is a hang; `slow`: while a unit is busy that looks at
// all tokens. What memories may take is added. 0: never.
API void spatten_patience(void* h, uint64_t cycles, uint64_t slow) {
    of(h).patience = cycles, of(h).slow_patience = slow;
}
// Cycles in which nothing has moved if it hangs, else 0; they are counted from 0 again.
API uint64_t spatten_hung(void* h) {
    uint64_t still = of(h).hung;
    if (still) of(h).hung = 0, of(h).probe.moved(of(h).cycles);
    return still;
}
// The streams in the last cycle: words of `valid`, then as many of `ready`. And keys of the jobs that run.
API uint64_t spatten_shown(void* h, const uint64_t** words) {
    *words = of(h).probe.shown().data();
    return of(h).probe.shown().size();
}
API uint64_t spatten_running(void* h, uint64_t* keys, uint64_t most) {
    const auto& taken = of(h).probe.taken;
    for (uint64_t n = 0; n < taken.size() && n < most; ++n) keys[n] = taken[n];
    return taken.size();
}
// What is open on a memory port (`Channel::open`); `words` shows it until the next such call.
API uint64_t spatten_open(void* h, unsigned channel, const uint64_t** words) {
    of(h, channel).open(of(h).open);
    *words = of(h).open.data();
    return of(h).open.size();
}

// Options in the order of struct Options.
API void spatten_options(void* h, const uint64_t* values) {
    std::memcpy(&of(h).options, values, sizeof(Options));
    of(h).random = Random(of(h).options.seed);
    for (auto& m : of(h).memories) m->restart();
}
API unsigned spatten_option_count() { return sizeof(Options) / sizeof(uint64_t); }

API void spatten_mem_write(void* h, unsigned channel, uint64_t addr, const uint8_t* bytes, uint64_t n) {
    of(h, channel).pages.write(addr, bytes, n);
}
API void spatten_mem_read(void* h, unsigned channel, uint64_t addr, uint8_t* bytes, uint64_t n) {
    of(h, channel).pages.read(addr, bytes, n);
}

// The ranges [bounds[2i], bounds[2i+1]) of a channel that the master may read or write; `on` = 0: all of it.
API void spatten_guard(void* h, unsigned channel, int access, int on, const uint64_t* bounds, unsigned n) {
    Memory& m = of(h, channel);
    std::vector<Range> ranges;
    for (unsigned i = 0; i < n; ++i) ranges.push_back({bounds[2 * i], bounds[2 * i + 1]});
    if (access == WRITE) m.may_write = ranges, m.guard_writes = on;
    else m.may_read = ranges, m.guard_reads = on;
}

API void spatten_inject(void* h, unsigned channel, int access, int ranged, uint64_t a, uint64_t b, int resp) {
    of(h, channel).faults.push_back({access == WRITE, bool(ranged), a, a, b, resp});
}
API void spatten_clear_faults(void* h) {
    of(h).shared.classes.faults.clear();
    for (auto& m : of(h).memories) m->faults.clear();
}

// What the build promises beyond AXI, in the order of struct DesignRules.
API void spatten_rules(void* h, const uint64_t* values) { std::memcpy(&of(h).shared.rules, values, sizeof(DesignRules)); }
// Values in the order of struct Trouble.
API void spatten_trouble(void* h, unsigned channel, const uint64_t* values) {
    std::memcpy(&of(h, channel).trouble, values, sizeof(Trouble));
}
// Forgets classes, their faults and counts; from now on there are numbers 0 (outside all) .. count - 1.
API void spatten_classes(void* h, unsigned count) { of(h).shared.classes.clear(count); }
API void spatten_class_range(void* h, unsigned channel, uint64_t lo, uint64_t hi, unsigned number) {
    of(h).shared.classes.add(channel, lo, hi, number);
}
API void spatten_class_inject(void* h, int access, unsigned number, uint64_t count, int resp) {
    of(h).shared.classes.faults.push_back({access == WRITE, number, count, resp});
}
API uint64_t spatten_class_bytes(void* h, int access, unsigned number) {
    return (access == WRITE ? of(h).shared.classes.written : of(h).shared.classes.read)[number];
}

// kind: 0 bytes read, 1 bytes written, 2 read bursts, 3 write bursts.
API uint64_t spatten_counter(void* h, unsigned channel, int kind) {
    Memory& m = of(h, channel);
    return kind == 0 ? m.bytes_read : kind == 1 ? m.bytes_written : kind == 2 ? m.read_bursts : m.write_bursts;
}

// The memories become DRAM (values in the order of struct DramTiming), or of fixed latency (null). Only under reset.
API void spatten_dram(void* h, const uint64_t* values) {
    for (auto& m : of(h).memories) {
        m->reset();
        m->dram.reset();
        if (!values) continue;
        DramTiming timing;
        std::memcpy(&timing, values, sizeof timing);
        m->dram = std::make_unique<DramPort>(timing);
    }
}
// Number of words of struct DramTiming, and with `stats` of struct DramStats.
API unsigned spatten_dram_words(int stats) { return stats ? DramStats::WORDS : DramTiming::WORDS; }
// Only with DRAM.
API void spatten_dram_stats(void* h, unsigned channel, uint64_t* words) {
    std::memcpy(words, &of(h, channel).dram->stats(), sizeof(DramStats));
}
API void spatten_clear_dram_stats(void* h) {
    for (auto& m : of(h).memories)
        if (m->dram) m->dram->stats() = DramStats();
}
// Forgets the recorded reads and, if `on`, records those accepted from now on.
API void spatten_record_reads(void* h, int on) {
    for (auto& m : of(h).memories) m->recording = on, m->recorded.clear();
}
// Number of words, two per read: address and bytes; `words` shows them until the next call that runs.
API uint64_t spatten_reads(void* h, unsigned channel, const uint64_t** words) {
    *words = of(h, channel).recorded.data();
    return of(h, channel).recorded.size();
}

// Number of observed streams; 0: built without a probe.
API unsigned spatten_streams(void* h) { return of(h).probe.streams(); }
// Counted cycles; fired and blocked of every stream into `counts`.
API uint64_t spatten_stream_counts(void* h, uint64_t* counts) {
    const Probe& p = of(h).probe;
    for (unsigned s = 0; s < p.streams(); ++s)
        counts[2 * s] = p.counts[s].fired, counts[2 * s + 1] = p.counts[s].blocked;
    return p.cycles;
}
API void spatten_clear_streams(void* h) { of(h).probe.clear(); }
// Number of words (struct Probe, `jobs`); `words` shows them until the next call that runs.
API uint64_t spatten_jobs(void* h, const uint64_t** words) {
    *words = of(h).probe.jobs.data();
    return of(h).probe.jobs.size();
}
// Forgets the recorded spans and keeps up to `limit` from now on; 0: stops recording.
API void spatten_record(void* h, uint64_t limit) { of(h).probe.record(limit); }
// Number of recorded spans, and of those beyond the limit; `spans` shows them until the next call that runs.
API uint64_t spatten_spans(void* h, const Span** spans, uint64_t* dropped) {
    *spans = of(h).probe.spans.data();
    *dropped = of(h).probe.dropped;
    return of(h).probe.spans.size();
}

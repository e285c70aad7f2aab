// The accelerator's harness with a trace that is taken in windows only: what registers and ports hold in some hundred
// cycles, out of a run of as many thousand.
#include "harness.cpp"

// Between spatten_watch(h, 1) and spatten_watch(h, 0) every cycle is written to the trace; before the first, nothing.
API void spatten_watch(void* h, int on) {
    static thread_local std::unique_ptr<VerilatedVcdC> waiting;
    auto& trace = of(h).trace;
    if (bool(trace) == bool(on)) return;
    std::swap(trace, waiting);
}

// The trace is complete in its file.
API void spatten_watched(void* h) {
    spatten_watch(h, 1);
    if (of(h).trace) of(h).trace->flush();
}

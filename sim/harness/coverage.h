// Leaves what the simulations of a process have covered in the folder $SPATTEN_COVERAGE, if they were compiled for that
// (`variant.py`) and not for waves, which end with their simulation; otherwise nothing of this is compiled.
#pragma once
#include "verilated.h"

#if VM_COVERAGE && !VM_TRACE
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "verilated_cov.h"

// The first simulation that ends stays; it gathers what the others counted and writes it as the process ends. (A file
// for every simulation would be a hundred megabytes of a small accelerator's, each time.)
template <class Simulation>
struct Gathered {
    Simulation* first = nullptr;

    void add(Simulation* other) {
        if (!first) {
            first = other;
            return;
        }
        auto& sum = first->top->rootp->vlSymsp->__Vcoverage;
        auto& own = other->top->rootp->vlSymsp->__Vcoverage;
        for (size_t n = 0; n < sizeof sum / sizeof *sum; ++n)
            sum[n] = own[n] < UINT32_MAX - sum[n] ? sum[n] + own[n] : UINT32_MAX;
        delete other;
    }
    ~Gathered() {
        const char* folder = std::getenv("SPATTEN_COVERAGE");
        if (!first || !folder) return;
        // COVERAGE_NAME tells which design it is of.
        first->context.coveragep()->write(
            (std::string(folder) + "/" COVERAGE_NAME "-" + std::to_string(getpid()) + ".dat").c_str());
    }
};

template <class Simulation>
void retire(Simulation* simulation) {
    static Gathered<Simulation> gathered;
    gathered.add(simulation);
}
#else
template <class Simulation>
void retire(Simulation* simulation) { delete simulation; }
#endif

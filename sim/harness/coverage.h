// Leaves what a simulation has covered in the folder $SPATTEN_COVERAGE, if it was compiled for that
// (`variant.py`); otherwise nothing of this is compiled.
#pragma once
#include "verilated.h"

#if VM_COVERAGE
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "verilated_cov.h"

// COVERAGE_NAME tells which design it is of.
inline void write_coverage(VerilatedContext& context) {
    static unsigned written = 0;
    if (const char* folder = std::getenv("SPATTEN_COVERAGE"))
        context.coveragep()->write((std::string(folder) + "/" COVERAGE_NAME "-" + std::to_string(getpid()) + "-" +
                                    std::to_string(written++) + ".dat").c_str());
}
#else
inline void write_coverage(VerilatedContext&) {}
#endif

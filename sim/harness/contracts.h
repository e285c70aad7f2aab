// Contracts of the RTL (`contracts.py`): the first broken one is noted here and ends the run.
#pragma once

#include <cstdint>
#include <string>

// What a simulation does with broken contracts. Not watched while reset comes and goes: units leave it one after the
// other, and what a block requires of one that is still in it does not hold.
struct Contracts {
    bool watched = false;
    std::string broken;  // "unit: promise" of the first since it was last emptied
};

// Of the simulation that runs in this thread.
inline thread_local Contracts* contracts_now = nullptr;

// Called by the Verilog, with the place in the hierarchy and the promise, at the clock edge.
extern "C" void contract_broken(const char* unit, const char* promise) {
    Contracts* c = contracts_now;
    if (!c || !c->watched || !c->broken.empty()) return;
    std::string place(unit);
    if (place.rfind("TOP.", 0) == 0) place.erase(0, 4);
    c->broken = place + ": contract broken: " + promise;
}

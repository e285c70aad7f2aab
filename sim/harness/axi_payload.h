// What the channels of AXI4 carry, and the rule that all of them share.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

inline std::string hex(uint64_t value) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", (unsigned long long)value);
    return text;
}

// A valid that waited must still be there, unchanged.
template <class Payload>
class Held {
public:
    // What is wrong in this cycle, or null. `payload` counts only if valid.
    const char* step(bool valid, bool ready, const Payload& payload) {
        const char* wrong = !waits_ ? nullptr : !valid ? "valid dropped before ready"
                            : !(payload == payload_) ? "payload changed while waiting" : nullptr;
        waits_ = valid && !ready;
        if (waits_) payload_ = payload;
        return wrong;
    }
    bool waits() const { return waits_; }
    void reset() { waits_ = false; }

private:
    bool waits_ = false;
    Payload payload_{};
};

struct AxiAddress {
    uint64_t id = 0, addr = 0;
    unsigned len = 0, size = 0, burst = 0, cache = 0, prot = 0;
    bool operator==(const AxiAddress& o) const {
        return id == o.id && addr == o.addr && len == o.len && size == o.size && burst == o.burst &&
               cache == o.cache && prot == o.prot;
    }
};

template <unsigned BEAT_BYTES>
struct AxiWriteBeat {
    uint8_t data[BEAT_BYTES], strobe[(BEAT_BYTES + 7) / 8];
    bool last;
    bool operator==(const AxiWriteBeat& o) const {
        return last == o.last && !std::memcmp(data, o.data, sizeof data) &&
               !std::memcmp(strobe, o.strobe, sizeof strobe);
    }
};

template <unsigned BEAT_BYTES>
struct AxiReadBeat {
    uint8_t data[BEAT_BYTES];
    uint64_t id;
    unsigned resp;
    bool last;
    bool operator==(const AxiReadBeat& o) const {
        return id == o.id && resp == o.resp && last == o.last && !std::memcmp(data, o.data, sizeof data);
    }
};

struct AxiAnswer {
    uint64_t id = 0;
    unsigned resp = 0;
    bool operator==(const AxiAnswer& o) const { return id == o.id && resp == o.resp; }
};

// A board's system, compiled, with the other end of its serial line on a file descriptor, behind a C interface.
//
// Characters read from the descriptor are shifted into uart_rx, those sampled from uart_tx are written to it. Time
// runs while characters move and for a while after; then the simulation sleeps until the host says something.
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "Vsystem.h"
#include "contracts.h"
#include "sdram_model.h"
#include "verilated.h"

#define API extern "C" __attribute__((visibility("default")))

double sc_time_stamp() { return 0; }

namespace {

constexpr unsigned STOP_BIT = 9;            // bit of a character: 0 start, 1 … 8 data, 9 stop
constexpr uint64_t LOOK_EVERY = 64;         // cycles between two looks at the descriptor
constexpr int SLEEP_MS = 20;

struct Board {
    VerilatedContext context;
    Contracts contracts;
    std::unique_ptr<Vsystem> top;
    const uint64_t divisor, idle_cycles;
    std::atomic<uint64_t> cycles{0}, to_board{0}, to_host{0};
    std::atomic<unsigned> leds{0};
    std::atomic<bool> stop{false};

    std::vector<uint8_t> waiting;           // from the host, from `next` on
    size_t next = 0;
    unsigned send_bit = STOP_BIT + 1, receive_bit = STOP_BIT + 1;
    uint64_t send_left = 0, receive_left = 0, quiet = 0;
    unsigned sending = 0, received = 0;
#ifdef SDRAM_ROW_BITS
    SdramModel<SDRAM_ROW_BITS, SDRAM_COLUMN_BITS> sdram;
#endif

    Board(uint64_t divisor, uint64_t idle_cycles) : divisor(divisor), idle_cycles(idle_cycles) {
        context.randSeed(1);
        top = std::make_unique<Vsystem>(&context);
        top->uart_rx = 1;
        top->rst = 1;
        for (int i = 0; i < 4; ++i) cycle();
        top->rst = 0;
        cycle();
        contracts.watched = true;
    }
    ~Board() {
        // Its scopes leave the context of this thread, which otherwise is that of the simulation made last.
        Verilated::threadContextp(&context);
        top->final();
    }

    void cycle() {
#ifdef SDRAM_ROW_BITS
        top->sdram___05Fdq_i = sdram.step(
            top->sdram___05Fras | top->sdram___05Fcas << 1 | top->sdram___05Fwe << 2, top->sdram___05Fba,
            top->sdram___05Fa, top->sdram___05Fdqm, top->sdram___05Fdq_o);
#endif
        top->clk = 0, top->eval();
        contracts_now = &contracts;
        top->clk = 1, top->eval();
        if (!contracts.broken.empty()) {
            // The host at the other end of the line can only learn that the board is gone.
            std::fprintf(stderr, "cycle %llu, %s\n", (unsigned long long)cycles.load(), contracts.broken.c_str());
            std::abort();
        }
        cycles.store(cycles.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

    // The host's transmitter. False if the line rests.
    bool send() {
        if (send_left && --send_left) return true;
        if (++send_bit > STOP_BIT) {
            send_bit = STOP_BIT + 1;
            if (next == waiting.size()) return false;
            sending = waiting[next++] << 1 | 1u << STOP_BIT;
            send_bit = 0;
            ++to_board;
        }
        top->uart_rx = sending >> send_bit & 1;
        send_left = divisor;
        return true;
    }

    // The host's receiver, which samples the middle of every bit. False if the line rests; -1: the host is gone.
    int receive(int fd) {
        if (receive_bit > STOP_BIT) {
            if (top->uart_tx) return 0;
            receive_bit = 0, received = 0, receive_left = divisor / 2;
        }
        if (receive_left--) return 1;
        received |= unsigned(top->uart_tx) << receive_bit;
        receive_left = divisor - 1;
        if (receive_bit++ < STOP_BIT) return 1;
        uint8_t character = received >> 1;
        ++to_host;
        while (write(fd, &character, 1) != 1) {
            if (errno != EAGAIN && errno != EINTR) return -1;
            if (stop) return 0;
            usleep(1000);
        }
        return 1;
    }

    // What the host has sent to `waiting`. False: it is gone.
    bool listen(int fd, int timeout) {
        pollfd watch{fd, POLLIN, 0};
        if (poll(&watch, 1, timeout) <= 0) return true;
        waiting.erase(waiting.begin(), waiting.begin() + next);
        next = 0;
        uint8_t buffer[4096];
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
        waiting.insert(waiting.end(), buffer, buffer + got);
        return true;
    }

    // Until stopped (0) or the descriptor is closed (1).
    int serve(int fd) {
        while (!stop) {
            bool asleep = quiet > idle_cycles;
            if (next == waiting.size() && !listen(fd, asleep ? SLEEP_MS : 0)) return 1;
            if (asleep && next == waiting.size()) continue;
            for (uint64_t i = 0; i < LOOK_EVERY; ++i) {
                bool busy = send();
                int answer = receive(fd);
                if (answer < 0) return 1;
                quiet = busy || answer ? 0 : quiet + 1;
                cycle();
            }
            leds = top->leds;
        }
        return 0;
    }
};

}  // namespace

API void* board_create(uint64_t divisor, uint64_t idle_cycles) { return new Board(divisor, idle_cycles); }
API void board_destroy(void* b) { delete static_cast<Board*>(b); }
API int board_serve(void* b, int fd) { return static_cast<Board*>(b)->serve(fd); }
API void board_stop(void* b) { static_cast<Board*>(b)->stop = true; }
API uint64_t board_cycles(void* b) { return static_cast<Board*>(b)->cycles; }
API unsigned board_leds(void* b) { return static_cast<Board*>(b)->leds; }
// Characters that have gone to the board (0) or to the host (1).
API uint64_t board_characters(void* b, int way) {
    auto* board = static_cast<Board*>(b);
    return way ? board->to_host : board->to_board;
}

/* `spatten_hal` of a bare-metal processor that reaches registers and memory with plain loads and stores.
 *
 * Set both bases at compile time: -DSPATTEN_REGISTERS=0xA0000000 (where s_axil is mapped) and -DSPATTEN_MEMORY=0x0 (what
 * the processor adds to the addresses the accelerator puts on m_axi_0). Replace the two cache functions and the waiting by
 * those of the platform: nothing is needed where the memory port is coherent or the region uncached. */
#include <string.h>

#include "spatten_hal.h"
#include "spatten_regs.h"

#if !defined(SPATTEN_REGISTERS) || !defined(SPATTEN_MEMORY)
#error "define SPATTEN_REGISTERS and SPATTEN_MEMORY: base addresses as the processor sees them"
#endif

/* Polls of a register that no working job needs. */
#define PATIENCE 100000000u

static uint32_t read32(uint32_t offset)
{
    return *(volatile uint32_t *)((uintptr_t)SPATTEN_REGISTERS + offset);
}

static void write32(uint32_t offset, uint32_t value)
{
    *(volatile uint32_t *)((uintptr_t)SPATTEN_REGISTERS + offset) = value;
}

/* On Zynq: Xil_DCacheFlushRange and Xil_DCacheInvalidateRange. */
static void clean(const void *start, size_t bytes) { (void)start; (void)bytes; }
static void invalidate(const void *start, size_t bytes) { (void)start; (void)bytes; }

static void store(uint64_t address, const void *source, size_t bytes)
{
    void *target = (void *)((uintptr_t)SPATTEN_MEMORY + (uintptr_t)address);
    memcpy(target, source, bytes);
    clean(target, bytes);
}

static void load(void *target, uint64_t address, size_t bytes)
{
    const void *source = (const void *)((uintptr_t)SPATTEN_MEMORY + (uintptr_t)address);
    invalidate(source, bytes);
    memcpy(target, source, bytes);
}

/* Polls; with an interrupt controller: sleep until the handler of `irq` has run. */
static int wait_irq(void)
{
    for (uint32_t n = 0; n < PATIENCE; n++)
        if (read32(SPATTEN_IRQ_STATUS))
            return 1;
    return 0;
}

struct spatten_hal spatten_hal = { read32, write32, store, load, wait_irq };

/* What the example needs of a platform: registers, memory, waiting. One instance, `spatten_hal`, is defined by whoever
 * links it: hal_mmio.c for a processor on the same bus, or a simulation that fills in its own functions. */
#ifndef SPATTEN_HAL_H
#define SPATTEN_HAL_H

#include <stddef.h>
#include <stdint.h>

struct spatten_hal {
    /* Control registers, byte offsets of spatten_regs.h. */
    uint32_t (*read32)(uint32_t offset);
    void (*write32)(uint32_t offset, uint32_t value);
    /* Memory as the accelerator addresses it. `store` returns when the accelerator can read the bytes (caches cleaned),
     * `load` sees what the accelerator wrote (caches invalidated). */
    void (*store)(uint64_t address, const void *source, size_t bytes);
    void (*load)(void *target, uint64_t address, size_t bytes);
    /* Returns 1 when `irq` is high, 0 when it has waited long enough to believe that something is wrong. */
    int (*wait_irq)(void);
};

extern struct spatten_hal spatten_hal;

#endif

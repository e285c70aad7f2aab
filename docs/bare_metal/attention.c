/* Two layers of attention on SpAtten without an operating system: what a driver has to do, on one page.
 *
 * HEADS heads of TOKENS tokens, 8-bit operands. The second layer keeps half of the tokens (cascade token pruning: those
 * that received most attention in the first) and a quarter of the values per query. Outputs of the first layer are
 * compared with attention in double precision. Needs a build with one memory channel, whose addresses are bus
 * addresses; with several, the row of (head, token) lies in channel (token + head) mod C, as docs/layout.md says. C99; compile
 * together with a spatten_hal. */
#include <math.h>
#include <string.h>

#include "spatten_hal.h"
#include "spatten_regs.h"

#if SPATTEN_CHANNELS_VALUE != 1
#error "this example is for builds with one memory channel"
#endif
/* Rows begin on whole beats; here they follow each other without padding. */
#if SPATTEN_CHUNK_VALUE * 8 % SPATTEN_AXI_DATA_BITS_VALUE != 0
#error "this example is for builds in which a row of 8 bits fills whole beats"
#endif

#define HEADS 2
#define TOKENS 24
#define DIM ((int)SPATTEN_CHUNK_VALUE)
#define BITS 8
/* Where things lie: planes of [head][token] rows, a page apart, from BASE on. */
#ifndef BASE
#define BASE 0x100000u
#endif
#define PAGE 0x10000u
enum { Q_AT, K_AT, V_AT, OUT_AT, IDS_AT, DESCRIPTOR_AT };
#define ADDRESS(what) ((uint64_t)BASE + (uint64_t)PAGE * (what))
#define OUT_ROW ((uint64_t)(2 * DIM))
/* Real value of one unit: operands, outputs. */
#define UNIT (1.0 / 64)
#define OUT_UNIT (1.0 / 8192)

/* What went wrong; 0 is success. */
enum { OK, NO_DEVICE, WRONG_BUILD, REFUSED, SILENT, JOB_FAILED, WRONG_RESULT };

static int8_t q[HEADS][TOKENS][DIM], k[HEADS][TOKENS][DIM], v[HEADS][TOKENS][DIM];
static int16_t out[HEADS][TOKENS][DIM];
static uint64_t descriptor[SPATTEN_JOB_HEADER_WORDS + SPATTEN_JOB_SCALE_WORDS * HEADS];
static uint64_t ids[1 + (TOKENS + 63) / 64 + (HEADS + 63) / 64];

/* Same numbers on every machine (Numerical Recipes' linear congruential generator, upper bits). */
static void fill(void *rows, uint32_t seed)
{
    int8_t *x = rows;
    for (int i = 0; i < HEADS * TOKENS * DIM; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (int8_t)((int)(seed >> 24) - 128) / 2;
    }
}

/* value ≈ mant · 2^-e with 16 bits of mantissa (docs/architecture.md, "Numbers"). */
static uint32_t mantissa(double value, int *e)
{
    int exponent;
    frexp(value, &exponent);
    *e = 16 - exponent;
    uint32_t mant = (uint32_t)lrint(ldexp(value, *e));
    if (mant == 1u << 16) {
        mant >>= 1;
        *e -= 1;
    }
    return mant;
}

static void put_scales(uint64_t *words)
{
    int e;
    /* Scores to base 2, 1/sqrt(D) included; the exponent is split into the shift before and the one after. */
    uint32_t mant = mantissa(UNIT * UNIT * 1.4426950408889634 / sqrt(DIM), &e);
    int pre = e - 28 < 0 ? 0 : e - 28 > 31 ? 31 : e - 28;
    spatten_put(words, SPATTEN_SCALE_SCORE_MANT, mant);
    spatten_put(words, SPATTEN_SCALE_SCORE_PRE, (uint64_t)pre);
    spatten_put(words, SPATTEN_SCALE_SCORE_POST, (uint64_t)(e - pre - 14));
    /* Σ P·V has P in units of 2^-12. */
    mant = mantissa(UNIT / (4096 * OUT_UNIT), &e);
    spatten_put(words, SPATTEN_SCALE_OUT_MANT, mant);
    spatten_put(words, SPATTEN_SCALE_OUT_SHIFT, (uint64_t)e);
}

/* Base and strides of a plane: PUT_PLANE(K_MSB, …) sets k_msb_base, k_msb_head_stride and k_msb_token_stride. */
#define PUT_PLANE(NAME, what, row) \
    do { \
        spatten_put(d, SPATTEN_JOB_##NAME##_BASE, ADDRESS(what)); \
        spatten_put(d, SPATTEN_JOB_##NAME##_HEAD_STRIDE, (row) * TOKENS); \
        spatten_put(d, SPATTEN_JOB_##NAME##_TOKEN_STRIDE, (row)); \
    } while (0)

static void describe(int layer)
{
    memset(descriptor, 0, sizeof descriptor);
    uint64_t *d = descriptor;
    spatten_put(d, SPATTEN_JOB_RESTART, layer == 0);
    spatten_put(d, SPATTEN_JOB_CLEAR_SCORES, layer == 0);
    spatten_put(d, SPATTEN_JOB_STORE_IDS, 1);
    spatten_put(d, SPATTEN_JOB_DIM, (uint64_t)DIM);
    spatten_put(d, SPATTEN_JOB_Q_BITS, BITS);
    spatten_put(d, SPATTEN_JOB_K_MSB, BITS);
    spatten_put(d, SPATTEN_JOB_V_MSB, BITS);
    spatten_put(d, SPATTEN_JOB_HEADS, HEADS);
    spatten_put(d, SPATTEN_JOB_GROUP, 1);
    spatten_put(d, SPATTEN_JOB_TOKENS, TOKENS);
    spatten_put(d, SPATTEN_JOB_KEEP_TOKENS, layer == 0 ? TOKENS : TOKENS / 2);
    spatten_put(d, SPATTEN_JOB_KEEP_HEADS, HEADS);
    spatten_put(d, SPATTEN_JOB_KEEP_VALUES, layer == 0 ? TOKENS : TOKENS / 4);
    spatten_put(d, SPATTEN_JOB_PROTECT_FIRST, 1);
    spatten_put(d, SPATTEN_JOB_IDS_OUT, ADDRESS(IDS_AT));
    PUT_PLANE(Q, Q_AT, sizeof q[0][0]);
    PUT_PLANE(K_MSB, K_AT, sizeof k[0][0]);
    PUT_PLANE(V_MSB, V_AT, sizeof v[0][0]);
    PUT_PLANE(OUT, OUT_AT, OUT_ROW);
    for (unsigned h = 0; h < HEADS; h++)
        put_scales(d + SPATTEN_JOB_HEADER_WORDS + SPATTEN_JOB_SCALE_WORDS * h);
}

/* Queues the descriptor and waits for its completion. */
static int run_job(uint32_t tag)
{
    spatten_hal.store(ADDRESS(DESCRIPTOR_AT), descriptor, sizeof descriptor);
    spatten_hal.write32(SPATTEN_JOB_ADDR_LO, (uint32_t)ADDRESS(DESCRIPTOR_AT));
    spatten_hal.write32(SPATTEN_JOB_ADDR_HI, 0);
    spatten_hal.write32(SPATTEN_JOB_PUSH, tag);
    if (spatten_hal.read32(SPATTEN_STATUS) & SPATTEN_STATUS_PUSH_REFUSED_MASK)
        return REFUSED;
    if (!spatten_hal.wait_irq())
        return SILENT;
    spatten_hal.write32(SPATTEN_IRQ_STATUS, SPATTEN_IRQ_STATUS_JOB_DONE_MASK | SPATTEN_IRQ_STATUS_JOB_ERROR_MASK);
    uint32_t word = spatten_hal.read32(SPATTEN_COMPLETION);
    if (!(word & SPATTEN_COMPLETION_VALID_MASK) || (word & SPATTEN_COMPLETION_TAG_MASK) != tag)
        return SILENT;
    return word & SPATTEN_COMPLETION_ERROR_MASK ? JOB_FAILED : OK;
}

/* Largest difference between the first layer's outputs and attention in double precision, real units. */
static double largest_error(void)
{
    double worst = 0;
    for (int h = 0; h < HEADS; h++)
        for (int i = 0; i < TOKENS; i++) {
            double p[TOKENS], sum = 0, error;
            for (int j = 0; j < TOKENS; j++) {
                double s = 0;
                for (int d = 0; d < DIM; d++)
                    s += UNIT * q[h][i][d] * UNIT * k[h][j][d];
                sum += p[j] = exp(s / sqrt(DIM));
            }
            for (int d = 0; d < DIM; d++) {
                double o = 0;
                for (int j = 0; j < TOKENS; j++)
                    o += p[j] / sum * UNIT * v[h][j][d];
                error = fabs(o - OUT_UNIT * out[h][i][d]);
                worst = error > worst ? error : worst;
            }
        }
    return worst;
}

/* Both layers. `error` gets the largest error of the first, `tokens` how many tokens the second kept. */
int spatten_example(double *error, int *tokens)
{
    if (spatten_hal.read32(SPATTEN_ID) != SPATTEN_ID_VALUE)
        return NO_DEVICE;
    if (spatten_hal.read32(SPATTEN_CONFIG_HASH) != SPATTEN_EXPECTED_CONFIG_HASH)
        return WRONG_BUILD;
    fill(q, 1);
    fill(k, 2);
    fill(v, 3);
    spatten_hal.store(ADDRESS(Q_AT), q, sizeof q);
    spatten_hal.store(ADDRESS(K_AT), k, sizeof k);
    spatten_hal.store(ADDRESS(V_AT), v, sizeof v);
    spatten_hal.write32(SPATTEN_IRQ_ENABLE, SPATTEN_IRQ_ENABLE_JOB_DONE_MASK);

    describe(0);
    int result = run_job(1);
    if (result)
        return result;
    spatten_hal.load(out, ADDRESS(OUT_AT), sizeof out);
    *error = largest_error();

    describe(1);
    result = run_job(2);
    if (result)
        return result;
    spatten_hal.load(ids, ADDRESS(IDS_AT), sizeof ids);
    *tokens = (int)(ids[0] & 0xffffffffu);
    /* 24 probabilities, each within 2^-12, times values below 1, and the rounding of the output. */
    return *error < TOKENS / 4096.0 + OUT_UNIT && *tokens == TOKENS / 2 ? OK : WRONG_RESULT;
}

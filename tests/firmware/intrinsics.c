/* Every intrinsic over arrays of operands, of whichever cmsis_compiler.h comes first on the include path.
 *
 * On a laptop a library for ctypes; with INTRINSICS_IMAGE an image for the M7 that reads operands.bin and writes
 * results.bin, row by row of the table.
 */
#include <stdint.h>

#include "cmsis_compiler.h"

typedef struct {
    uint32_t a;
    uint32_t b;
    uint64_t c;
} operands_t;

uint32_t intrinsic_rows(void);
const char *intrinsic_name(uint32_t row);
void intrinsic_apply(uint32_t row, const operands_t *operands, uint64_t *results, uint32_t n);

/* Names and immediates; where an intrinsic has no immediate it is 0. */
#define EACH_1_TO_31(X, name)                                                                    \
    X(name, 1) X(name, 2) X(name, 3) X(name, 4) X(name, 5) X(name, 6) X(name, 7) X(name, 8)      \
    X(name, 9) X(name, 10) X(name, 11) X(name, 12) X(name, 13) X(name, 14) X(name, 15)           \
    X(name, 16) X(name, 17) X(name, 18) X(name, 19) X(name, 20) X(name, 21) X(name, 22)          \
    X(name, 23) X(name, 24) X(name, 25) X(name, 26) X(name, 27) X(name, 28) X(name, 29)          \
    X(name, 30) X(name, 31)

#define TABLE(X)                                                                                 \
    X(CLZ, 0) X(SXTB16, 0) X(UXTB16, 0) X(ROR, 0) X(SMLAD, 0) X(SMLALD, 0)                       \
    X(SXTB16_RORn, 8) X(SXTB16_RORn, 16) X(SXTB16_RORn, 24)                                      \
    EACH_1_TO_31(X, SSAT) X(SSAT, 32) X(USAT, 0) EACH_1_TO_31(X, USAT)                           \
    X(PKHBT, 0) EACH_1_TO_31(X, PKHBT) X(PKHTB, 0) EACH_1_TO_31(X, PKHTB)                        \
    X(SADD16, 0) X(QADD16, 0) X(SHADD16, 0)

/* The casts are for headers that type words as lanes, as CMSIS 6 does. */
#define CALL_CLZ(n) (uint32_t)__CLZ(a)
#define CALL_SXTB16(n) (uint32_t)__SXTB16(a)
#define CALL_UXTB16(n) (uint32_t)__UXTB16(a)
#define CALL_ROR(n) (uint32_t)__ROR(a, b)
#define CALL_SMLAD(n) (uint32_t)__SMLAD(a, b, (uint32_t)c)
#define CALL_SMLALD(n) (uint64_t)__SMLALD(a, b, c)
#define CALL_SADD16(n) (uint32_t)__SADD16(a, b)
#define CALL_QADD16(n) (uint32_t)__QADD16(a, b)
#define CALL_SHADD16(n) (uint32_t)__SHADD16(a, b)
#define CALL_SXTB16_RORn(n) (uint32_t)__SXTB16_RORn(a, n)
#define CALL_SSAT(n) (uint32_t)__SSAT((int32_t)a, n)
#define CALL_USAT(n) (uint32_t)__USAT((int32_t)a, n)
#define CALL_PKHBT(n) (uint32_t)__PKHBT(a, b, n)
#define CALL_PKHTB(n) (uint32_t)__PKHTB(a, b, n)

#define FUNCTION(name, n)                                                                        \
    static uint64_t name##_##n(uint32_t a, uint32_t b, uint64_t c)                               \
    {                                                                                            \
        (void)a, (void)b, (void)c;                                                               \
        return CALL_##name(n);                                                                   \
    }
TABLE(FUNCTION)

#define ROW(name, n) {"__" #name " " #n, name##_##n},
static const struct {
    const char *name;
    uint64_t (*function)(uint32_t a, uint32_t b, uint64_t c);
} ROWS[] = {TABLE(ROW)};

uint32_t intrinsic_rows(void) { return (uint32_t)(sizeof ROWS / sizeof ROWS[0]); }

const char *intrinsic_name(uint32_t row) { return ROWS[row].name; }

void intrinsic_apply(uint32_t row, const operands_t *operands, uint64_t *results, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        results[i] = ROWS[row].function(operands[i].a, operands[i].b, operands[i].c);
    }
}

#ifdef INTRINSICS_IMAGE
#include "semihost.h"

enum { CHUNK = 1024 };

uint32_t stapes_main(void);

uint32_t stapes_main(void)
{
    static operands_t operands[CHUNK];
    static uint64_t results[CHUNK];
    const uint32_t input = semihost_open("operands.bin", 12, SEMIHOST_READ_BINARY);
    const uint32_t output = semihost_open("results.bin", 11, SEMIHOST_WRITE_BINARY);
    while (semihost_read(input, operands, sizeof operands) == 0U) {
        for (uint32_t row = 0; row < intrinsic_rows(); row++) {
            intrinsic_apply(row, operands, results, CHUNK);
            (void)semihost_write(output, results, sizeof results);
        }
    }
    return 0;
}
#endif

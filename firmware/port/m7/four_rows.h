/* Sums of four paired rows in the Cortex-M's instructions, scheduled by hand.
 *
 * Not a CMSIS header and used with Arm's as well. ../../nn_paired.c says when it is taken, and has its twin in C.
 */
#ifndef STAPES_M7_FOUR_ROWS_H
#define STAPES_M7_FOUR_ROWS_H

#include "nn.h"

/* Two columns of four rows; `load` stands where the register of rows 0 and 1 is done. */
#define STAPES_MULTIPLY(rows01, rows23, x, load)                                                                       \
    "smlald %[both01], %[high01], " rows01 ", " x "\n\t"                                                               \
    "sxtb16 " rows01 ", " rows01 "\n\t"                                                                                \
    "smlald %[both23], %[high23], " rows23 ", " x "\n\t"                                                               \
    "smlad %[row0], " rows01 ", " x ", %[row0]\n\t" load                                                               \
    "sxtb16 " rows23 ", " rows23 "\n\t"                                                                                \
    "smlad %[row2], " rows23 ", " x ", %[row2]\n\t"
#define STAPES_LOAD_W(rows01, rows23) "ldrd " rows01 ", " rows23 ", [%[w]], #8\n\t"
#define STAPES_LOAD_X "ldrd %[x0], %[x1], [%[x]], #8\n\t"
/* The same, and the weights of the next two columns, into the spare register and the one that is done first. */
#define STAPES_STEP(rows01, rows23, spare, x) STAPES_MULTIPLY(rows01, rows23, x, STAPES_LOAD_W(spare, rows01))

/* Run instructions on the registers below. Each variable has one of its own, which no statement moves; r7 is left to
 * those who want a frame pointer. */
#define STAPES_ON_REGISTERS(instructions)                                                                              \
    __asm__(instructions                                                                                               \
            : [row0] "+r"(row0), [both01] "+r"(both01), [high01] "+r"(high01), [row2] "+r"(row2),                      \
              [both23] "+r"(both23), [high23] "+r"(high23), [x] "+r"(x), [w] "+r"(w), [x0] "=&r"(x0),                  \
              [x1] "=&r"(x1), [u] "=&r"(u), [v] "=&r"(v), [t] "=&r"(t)                                                 \
            :                                                                                                          \
            : "memory")

#define STAPES_SIXTEEN_COLUMNS                                                                                         \
    STAPES_LOAD_X STAPES_LOAD_W("%[u]", "%[v]")                                                                        \
    STAPES_STEP("%[u]", "%[v]", "%[t]", "%[x0]")                                                                       \
    STAPES_STEP("%[t]", "%[u]", "%[v]", "%[x1]") STAPES_LOAD_X                                                         \
    STAPES_STEP("%[v]", "%[t]", "%[u]", "%[x0]")                                                                       \
    STAPES_STEP("%[u]", "%[v]", "%[t]", "%[x1]") STAPES_LOAD_X                                                         \
    STAPES_STEP("%[t]", "%[u]", "%[v]", "%[x0]")                                                                       \
    STAPES_STEP("%[v]", "%[t]", "%[u]", "%[x1]") STAPES_LOAD_X                                                         \
    STAPES_STEP("%[u]", "%[v]", "%[t]", "%[x0]")                                                                       \
    STAPES_MULTIPLY("%[t]", "%[u]", "%[x1]", "")

/* Sums over all columns; sixteen of them, 64 products, take 60 instructions and half a turn of the loop.
 *
 * weights  moves on to those of the next four rows
 */
__STATIC_FORCEINLINE stapes_sums_t stapes_four_rows(const stapes_sums_t *start, const int16_t *inputs,
                                                    const int16_t **weights, size_t columns)
{
    register uint32_t row0 __asm__("r0") = start->row0;
    register uint32_t both01 __asm__("r1") = start->both01;
    register uint32_t high01 __asm__("r2") = start->high01;
    register uint32_t row2 __asm__("r3") = start->row2;
    register uint32_t both23 __asm__("r4") = start->both23;
    register uint32_t high23 __asm__("r5") = start->high23;
    register const int16_t *x __asm__("r6") = inputs;
    register const int16_t *w __asm__("r8") = *weights;
    register uint32_t x0 __asm__("r9");
    register uint32_t x1 __asm__("r10");
    register uint32_t u __asm__("r11");
    register uint32_t v __asm__("r12");
    register uint32_t t __asm__("lr");
    const int16_t *const end_of_blocks = inputs + columns / 32 * 32;
    const int16_t *const end_of_pairs = inputs + columns / 2 * 2;
    while (x != end_of_blocks) {
        STAPES_ON_REGISTERS(STAPES_SIXTEEN_COLUMNS STAPES_SIXTEEN_COLUMNS);
    }
    if (columns % 32 != 0) {
        if (columns % 32 >= 16) {
            STAPES_ON_REGISTERS(STAPES_SIXTEEN_COLUMNS);
        }
        while (x != end_of_pairs) {
            STAPES_ON_REGISTERS("ldr %[x0], [%[x]], #4\n\t" STAPES_LOAD_W("%[u]", "%[v]")
                                STAPES_MULTIPLY("%[u]", "%[v]", "%[x0]", ""));
        }
        if (columns % 2 != 0) {
            STAPES_ON_REGISTERS("ldrh %[x0], [%[x]]\n\t" STAPES_LOAD_W("%[u]", "%[v]")
                                STAPES_MULTIPLY("%[u]", "%[v]", "%[x0]", ""));
        }
    }
    *weights = w;
    return (stapes_sums_t){row0, both01, high01, row2, both23, high23};
}

#undef STAPES_MULTIPLY
#undef STAPES_LOAD_W
#undef STAPES_LOAD_X
#undef STAPES_STEP
#undef STAPES_SIXTEEN_COLUMNS
#undef STAPES_ON_REGISTERS

#endif

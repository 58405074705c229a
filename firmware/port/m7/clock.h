/* The clock that stage marks read, started once; only differences of its readings mean anything.
 *
 * DWT->CYCCNT counts cycles of the core on silicon. An emulator has no cycles: under Unicorn (golden_vectors) the same
 * register counts instructions. With STAPES_CLOCK_MPS2 it is timer 0 of Arm's MPS2 board, 25 MHz, which under
 * `qemu-system-arm -icount shift=10` (1024 ns an instruction) counts instructions as well: ticks * 40 / 1024.
 *
 * source   Armv7-M Architecture Reference Manual, C1.8 (DWT), Cortex-M7 TRM (lock access register);
 *          Cortex-M System Design Kit TRM, APB timer; MPS2 application note 500
 */
#ifndef STAPES_M7_CLOCK_H
#define STAPES_M7_CLOCK_H

#include <stdint.h>

static inline volatile uint32_t *clock_register(uint32_t address) { return (volatile uint32_t *)address; }

#ifdef STAPES_CLOCK_MPS2

#define CLOCK_UNIT "timer of the MPS2 in units of 1.024 us: instructions in an emulator"

static inline void clock_start(void)
{
    *clock_register(0x40000008) = UINT32_MAX; /* RELOAD: it counts down, around all of 32 bits */
    *clock_register(0x40000004) = UINT32_MAX; /* VALUE */
    *clock_register(0x40000000) = 1;          /* CTRL: enable */
}

static inline uint32_t clock_now(void) { return ~*clock_register(0x40000004); }

/* Instructions between two readings less than 2^25 of them apart; the reading is good to one tick of 25.6. */
static inline uint32_t clock_units(uint32_t ticks) { return (uint32_t)(((uint64_t)ticks * 5U + 64U) >> 7); }

#else

#define CLOCK_UNIT "DWT->CYCCNT: cycles on silicon, instructions in an emulator"

static inline void clock_start(void)
{
    *clock_register(0xE000EDFC) |= UINT32_C(1) << 24; /* DEMCR: trace enable */
    *clock_register(0xE0001FB0) = 0xC5ACCE55;         /* DWT lock: open */
    *clock_register(0xE0001004) = 0;                  /* CYCCNT */
    *clock_register(0xE0001000) |= 1U;                /* CTRL: count */
}

static inline uint32_t clock_now(void) { return *clock_register(0xE0001004); }

static inline uint32_t clock_units(uint32_t cycles) { return cycles; }

#endif

#endif

/* From reset to main on a Cortex-M7: vectors, copies from flash to where things run. No FPU needed. */
#include "semihost.h"

enum { EXIT_FAULT = 99 };

extern uint32_t stapes_stack_top[];
extern uint32_t stapes_text_start[], stapes_text_end[], stapes_text_load[];
extern uint32_t stapes_weights_start[], stapes_weights_end[], stapes_weights_load[];
extern uint32_t stapes_data_start[], stapes_data_end[], stapes_data_load[];
extern uint32_t stapes_bss_start[], stapes_bss_end[];

uint32_t stapes_main(void);
void stapes_board_init(void);
void stapes_exit(uint32_t status);
_Noreturn void Reset_Handler(void);
_Noreturn void Fault_Handler(void);

typedef union {
    uint32_t *stack;
    void (*handler)(void);
} vector_t;

/* Stack, reset, then NMI and the faults; this image takes no interrupt. */
__attribute__((section(".vectors"), used)) static const vector_t VECTORS[16] = {
    {.stack = stapes_stack_top},   {.handler = Reset_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler},
    {.handler = Fault_Handler},    {.handler = Fault_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler},
    {.handler = Fault_Handler},    {.handler = Fault_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler},
    {.handler = Fault_Handler},    {.handler = Fault_Handler}, {.handler = Fault_Handler}, {.handler = Fault_Handler},
};

/* Nothing is copied onto itself: a part may run a section from flash, which does not take writes. The words are
 * volatile so that no compiler makes a call of memcpy, which is not in its place yet. */
__attribute__((section(".boot"), always_inline)) static inline void copy_words(volatile uint32_t *to,
                                                                               const uint32_t *end,
                                                                               const volatile uint32_t *from)
{
    while (to != from && to < end) {
        *to++ = *from++;
    }
}

/* What a board may bring in a file of its own: clocks, caches and pins before main, and where main's status goes. */
__attribute__((section(".boot"), weak)) void stapes_board_init(void) {}
__attribute__((section(".boot"), weak)) void stapes_exit(uint32_t status) { semihost_exit(status); }

__attribute__((section(".boot"))) void Reset_Handler(void)
{
    copy_words(stapes_text_start, stapes_text_end, stapes_text_load);
    copy_words(stapes_weights_start, stapes_weights_end, stapes_weights_load);
    copy_words(stapes_data_start, stapes_data_end, stapes_data_load);
    for (volatile uint32_t *word = stapes_bss_start; word < stapes_bss_end; word++) {
        *word = 0;
    }
    __asm__ volatile("dsb\n\tisb" ::: "memory"); /* the code that was just written may now be fetched */
    stapes_board_init();
    const uint32_t status = stapes_main();
    for (;;) {
        stapes_exit(status);
    }
}

__attribute__((section(".boot"))) void Fault_Handler(void)
{
    for (;;) {
        stapes_exit(EXIT_FAULT);
    }
}

/* Functions that the stack analysis must bound, measure or refuse: see test_stack.py. */
#include <stdint.h>

uint32_t planted_leaf(volatile uint32_t *words);
uint32_t planted_tail(volatile uint32_t *words);
uint32_t planted_array(uint32_t n);
uint32_t planted_recursion(volatile uint32_t *words, uint32_t n);
uint32_t planted_mutual(volatile uint32_t *words, uint32_t n);
uint32_t planted_indirect(uint32_t (*function)(volatile uint32_t *), volatile uint32_t *words);
uint32_t planted_pointer_tail(uint32_t (*function)(volatile uint32_t *), volatile uint32_t *words);
uint32_t planted_variable(uint32_t n);

__attribute__((noinline)) uint32_t planted_leaf(volatile uint32_t *words)
{
    volatile uint32_t local[16];
    local[words[0] & 15U] = words[1];
    return local[words[2] & 15U];
}

uint32_t planted_tail(volatile uint32_t *words) { return planted_leaf(words + 1); }

uint32_t planted_array(uint32_t n)
{
    volatile uint32_t local[1000];
    local[n % 1000U] = n;
    return planted_leaf(local);
}

__attribute__((noinline)) uint32_t planted_recursion(volatile uint32_t *words, uint32_t n)
{
    return n == 0U ? words[0] : words[n] * planted_mutual(words, n - 1U) + words[0];
}

__attribute__((noinline)) uint32_t planted_mutual(volatile uint32_t *words, uint32_t n)
{
    return words[1] + 3U * planted_recursion(words, n);
}

uint32_t planted_indirect(uint32_t (*function)(volatile uint32_t *), volatile uint32_t *words)
{
    return function(words) + 1U;
}

uint32_t planted_pointer_tail(uint32_t (*function)(volatile uint32_t *), volatile uint32_t *words)
{
    return function(words);
}

uint32_t planted_variable(uint32_t n)
{
    volatile uint32_t *local = __builtin_alloca(4U * n);
    local[0] = n;
    return planted_leaf(local);
}

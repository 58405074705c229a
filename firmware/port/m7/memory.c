/* memcpy and memset, under the names that compilers for Arm call them by: the image has no libc.
 *
 * source   Arm, "Run-time ABI for the Arm Architecture": __aeabi_memcpy and its kin; 4 and 8 promise alignment
 */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
void __aeabi_memcpy(void *restrict to, const void *restrict from, size_t bytes);
void __aeabi_memcpy4(void *restrict to, const void *restrict from, size_t bytes);
void __aeabi_memcpy8(void *restrict to, const void *restrict from, size_t bytes);
void __aeabi_memset(void *to, size_t bytes, int value);
void __aeabi_memset4(void *to, size_t bytes, int value);
void __aeabi_memset8(void *to, size_t bytes, int value);
void __aeabi_memclr(void *to, size_t bytes);
void __aeabi_memclr4(void *to, size_t bytes);
void __aeabi_memclr8(void *to, size_t bytes);

/* An empty instruction that the compiler cannot look into: no loop below may become a call of itself. */
#define OPAQUE() __asm__ volatile("" ::: "memory")

/* Words (the core loads and stores them at any address), then bytes. */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    unsigned char *target = to;
    const unsigned char *source = from;
    for (; bytes >= 16U; bytes -= 16U, target += 16, source += 16) {
        __builtin_memcpy(target, source, 4);
        __builtin_memcpy(target + 4, source + 4, 4);
        __builtin_memcpy(target + 8, source + 8, 4);
        __builtin_memcpy(target + 12, source + 12, 4);
        OPAQUE();
    }
    for (; bytes != 0U; bytes--) {
        *target++ = *source++;
        OPAQUE();
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    unsigned char *target = to;
    const uint32_t word = (uint32_t)(unsigned char)value * UINT32_C(0x01010101);
    for (; bytes >= 4U; bytes -= 4U, target += 4) {
        __builtin_memcpy(target, &word, 4);
        OPAQUE();
    }
    for (; bytes != 0U; bytes--) {
        *target++ = (unsigned char)value;
        OPAQUE();
    }
    return to;
}

void __aeabi_memcpy(void *restrict to, const void *restrict from, size_t bytes) { (void)memcpy(to, from, bytes); }
void __aeabi_memcpy4(void *restrict to, const void *restrict from, size_t bytes) { (void)memcpy(to, from, bytes); }
void __aeabi_memcpy8(void *restrict to, const void *restrict from, size_t bytes) { (void)memcpy(to, from, bytes); }
void __aeabi_memset(void *to, size_t bytes, int value) { (void)memset(to, value, bytes); }
void __aeabi_memset4(void *to, size_t bytes, int value) { (void)memset(to, value, bytes); }
void __aeabi_memset8(void *to, size_t bytes, int value) { (void)memset(to, value, bytes); }
void __aeabi_memclr(void *to, size_t bytes) { (void)memset(to, 0, bytes); }
void __aeabi_memclr4(void *to, size_t bytes) { (void)memset(to, 0, bytes); }
void __aeabi_memclr8(void *to, size_t bytes) { (void)memset(to, 0, bytes); }

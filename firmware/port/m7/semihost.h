/* Semihosting: files and exit status by way of whoever holds the core, an emulator or a debugger.
 *
 * source   Arm, "Semihosting for AArch32 and AArch64", release 2.0
 */
#ifndef STAPES_M7_SEMIHOST_H
#define STAPES_M7_SEMIHOST_H

#include <stdint.h>

enum { SEMIHOST_READ_BINARY = 1, SEMIHOST_WRITE_BINARY = 5 };

static inline uint32_t semihost_call(uint32_t operation, const void *arguments)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

/* Handle of a file, or UINT32_MAX. */
static inline uint32_t semihost_open(const char *name, uint32_t name_bytes, uint32_t mode)
{
    const uint32_t arguments[3] = {(uint32_t)name, mode, name_bytes};
    return semihost_call(0x01, arguments);
}

/* A text on the console of the host (SYS_WRITE0). */
static inline void semihost_print(const char *text) { (void)semihost_call(0x04, text); }

/* Bytes that could not be written, 0 = success. */
static inline uint32_t semihost_write(uint32_t handle, const void *from, uint32_t bytes)
{
    const uint32_t arguments[3] = {handle, (uint32_t)from, bytes};
    return semihost_call(0x05, arguments);
}

/* Bytes that were not there to read, 0 = success. */
static inline uint32_t semihost_read(uint32_t handle, void *to, uint32_t bytes)
{
    const uint32_t arguments[3] = {handle, (uint32_t)to, bytes};
    return semihost_call(0x06, arguments);
}

/* The end, with an exit status (SYS_EXIT_EXTENDED, application exit). */
_Noreturn static inline void semihost_exit(uint32_t status)
{
    const uint32_t arguments[2] = {0x20026, status};
    for (;;) {
        (void)semihost_call(0x20, arguments);
    }
}

#endif

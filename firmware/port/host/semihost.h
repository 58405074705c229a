/* The few file calls of m7/semihost.h on this machine, so that main.c and schedule.c are a program here as well: files
 * of the folder in which it runs, by POSIX.
 */
#ifndef STAPES_HOST_SEMIHOST_H
#define STAPES_HOST_SEMIHOST_H

#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

enum { SEMIHOST_READ_BINARY = 1, SEMIHOST_WRITE_BINARY = 5 };

/* Handle of a file, or UINT32_MAX. */
static inline uint32_t semihost_open(const char *name, uint32_t name_bytes, uint32_t mode)
{
    (void)name_bytes; /* a zero follows */
    const int handle = mode == SEMIHOST_READ_BINARY ? open(name, O_RDONLY) : open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    return handle < 0 ? UINT32_MAX : (uint32_t)handle;
}

/* Bytes that could not be written, 0 = success. */
static inline uint32_t semihost_write(uint32_t handle, const void *from, uint32_t bytes)
{
    const char *at = from;
    while (bytes != 0U) {
        const ssize_t taken = write((int)handle, at, bytes);
        if (taken <= 0) {
            break;
        }
        at += taken;
        bytes -= (uint32_t)taken;
    }
    return bytes;
}

/* Bytes that were not there to read, 0 = success. */
static inline uint32_t semihost_read(uint32_t handle, void *to, uint32_t bytes)
{
    char *at = to;
    while (bytes != 0U) {
        const ssize_t given = read((int)handle, at, bytes);
        if (given <= 0) {
            break;
        }
        at += given;
        bytes -= (uint32_t)given;
    }
    return bytes;
}

#endif

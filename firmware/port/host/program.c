/* Host port: ../main.c as a program of this machine; its exit status is that of stapes_main.
 *
 * Build, after `python -m export --to c` has filled build/:
 *
 *     cc -std=c11 -O1 -g -fsanitize=address,undefined -Ibuild -Ifirmware -Ifirmware/cmsis_stubs -Ifirmware/port/host \
 *         firmware/[a-z]*.c firmware/port/[a-z]*.c firmware/port/host/program.c build/stapes_model.c -o stapes
 */
#include <stdint.h>

uint32_t stapes_main(void);

int main(void) { return (int)stapes_main(); }

/* See schedule.h. */
#include "schedule.h"

#include "semihost.h"

#include <string.h>

enum { HALF_BYTES = STAPES_HOP_SAMPLES * sizeof(int16_t), RUBBISH = 0x5A };

static stapes_ping_pong_t device;
static int16_t in[2][STAPES_HOP_SAMPLES];
static int16_t out[2][STAPES_HOP_SAMPLES];
static int16_t scratch[2][STAPES_HOP_SAMPLES];
static uint32_t interrupts;
static uint32_t played;

static bool start(stapes_state_t *ear)
{
    static const char PLAYED[] = "stapes_played.bin";
    memset(in, RUBBISH, sizeof in); /* so that what init leaves out is heard */
    memset(out, RUBBISH, sizeof out);
    memset(scratch, RUBBISH, sizeof scratch);
    stapes_ping_pong_init(&device, ear, 1, in[0], out[0], scratch[0]);
    played = semihost_open(PLAYED, sizeof PLAYED - 1U, SEMIHOST_WRITE_BINARY);
    return played != UINT32_MAX;
}

/* What the DMA does: a half is full, the interrupt is served, the half of the hop before begins to play. */
static bool interrupt(uint32_t input)
{
    const uint32_t half = interrupts % 2U;
    if (semihost_read(input, in[half], HALF_BYTES) != 0U) {
        return false;
    }
    stapes_ping_pong_interrupt(&device);
    interrupts++;
    return semihost_write(played, out[1U - half], HALF_BYTES) == 0U;
}

bool schedule_serve(uint32_t command, stapes_state_t *ear, uint32_t input, uint32_t output)
{
    if (device.ears == NULL && !start(ear)) {
        return false;
    }
    switch (command) {
    case COMMAND_INTERRUPT:
        return interrupt(input);
    case COMMAND_BEGIN:
        (void)stapes_ping_pong_begin(&device);
        return true;
    case COMMAND_PROCESS:
        stapes_ping_pong_process(&device);
        return true;
    case COMMAND_FINISH:
        stapes_ping_pong_finish(&device);
        return true;
    case COMMAND_RUN:
        return stapes_ping_pong_run(&device);
    case COMMAND_SHOW:
        return semihost_write(output, ear, sizeof *ear) == 0U;
    case COMMAND_COUNTERS:
        return semihost_write(played, &device.schedule, sizeof device.schedule) == 0U;
    default:
        return false;
    }
}

"""How the room's helper processes begin, so that none outlives its parent or fights it for a core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def unheard_interrupts() -> Iterator[None]:
    """Processes that start here never hear Ctrl-C, not even while they import; this one hears it at the end."""
    resource_tracker.ensure_running()  # its own start would end the blocking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_worker() -> None:
    """One thread; a parent that was killed ends its workers."""
    import torch  # here, since a room without torch starts processes too

    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)

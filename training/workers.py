"""How the room's helper processes begin, so that none outlives its parent or fights it for a core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import torch


def start_worker() -> None:
    """One thread; Ctrl-C is left to the parent, which ends its workers; a parent that was killed ends them too."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)

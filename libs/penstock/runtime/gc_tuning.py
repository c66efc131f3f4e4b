"""Python's search for garbage, as a process that works for weeks wants it."""

from __future__ import annotations

import gc


def settle() -> None:
    """To be called when a process is up, and again after something large was loaded.

    What start-up made lives as long as the process: not looking for garbage in it, and less often in the rest, saves a
    fifth of a worker's CPU time. Errors make cycles that may hold a batch, so the rest must be looked through.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 5, 5)

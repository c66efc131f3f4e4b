"""PlaceFactory for tests: temporary state folders and free ports, swept even after a test run that was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from penstock.stack import ports, process
from penstock.stack.place import Place

ROOT = Path(tempfile.gettempdir()) / f"penstock-tests-{os.getuid()}"
TRIES = 10  # new folders
SPAN = 100  # ports of one place
# Below the ports that the kernel gives to clients. A run keeps each range until it ends, and needs more than a hundred.
BASES = range(10_000, 32_000, SPAN)


class PlaceFactory:
    """Makes the places of one test run; a lock that dies with it keeps others off their folder and ports."""

    def __init__(self) -> None:
        ROOT.mkdir(mode=0o700, exist_ok=True)
        sweep()
        self._locks = contextlib.ExitStack()
        self.folder = self._new_folder()

    def _new_folder(self) -> Path:
        """A folder that is ours; another run's sweep may take one that has no lock yet for abandoned."""
        for _ in range(TRIES):
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=ROOT))
            with contextlib.suppress(FileNotFoundError):
                if self._locks.enter_context(lock(folder / "owner")):
                    return folder
        raise RuntimeError(f"each of {TRIES} new folders in {ROOT} was taken by another run")

    def free_port_base(self) -> int:
        """A base whose whole span is free now, and kept from other test runs until ours ends."""
        for base in BASES:
            claim = lock(ROOT / f"ports-{base}")
            if not self._locks.enter_context(claim):
                continue
            if all(ports.is_free(port) for port in range(base, base + SPAN)):
                return base
        raise RuntimeError(f"no {SPAN} free ports in a row between {BASES.start} and {BASES.stop}")

    def make(self, name: str, *, auth: Literal["nkeys", "callout"] = "nkeys", **settings: Any) -> Place:
        """A new place with a state folder and ports of its own, and with these settings besides.

        Identities connect with nkeys, unlike in a stack that `penstock up` starts: a test that is not about tokens
        needs neither issuer nor authority.
        """
        return Place(state=self.folder / name, port_base=self.free_port_base(), auth=auth, **settings)

    def close(self) -> None:
        """Stop whatever still runs in any of them, and delete them."""
        take_down(self.folder)
        self._locks.close()


@contextlib.contextmanager
def lock(path: Path) -> Iterator[bool]:
    """True if the lock is ours until the block ends; False if another process has it."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def sweep() -> None:
    """Take down what test runs left behind that were killed before they could."""
    for folder in ROOT.glob("run-*"):
        if (folder / "owner").exists():
            with lock(folder / "owner") as orphaned:
                if orphaned:
                    take_down(folder)


def take_down(folder: Path) -> None:
    """Stop every process of every place in the folder, at once for those that nobody will ask again, and delete it."""
    for run in folder.glob("*/run"):
        place = Place(state=run.parent)
        for record in process.all_recorded(place):
            process.kill(record)
    shutil.rmtree(folder, ignore_errors=True)

"""A test run that is killed leaves nothing running for longer than until the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from penstock.stack import process
from penstock.stack.place import CHECKOUT, Place
from tests.support.place_factory import PlaceFactory, sweep

# A test run that starts a child in a place of its own, says where, and waits to be killed.
RUN = """
import signal, sys
from penstock.stack import process
from tests.support.place_factory import PlaceFactory
place_factory = PlaceFactory()
place = place_factory.make("killed")
process.start(place, process.Child(name="child", command=(sys.executable, "-c", "import signal; signal.pause()")))
print(place.state, flush=True)
signal.pause()
"""


def test_leftovers_of_a_killed_test_run_are_removed_by_the_next(place_factory: PlaceFactory) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'libs'}:{CHECKOUT}"}
    with subprocess.Popen([sys.executable, "-c", RUN], env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        try:
            left = Place(state=Path(run.stdout.readline().strip()))
            sweep()
            assert process.alive(left, "child"), "swept although its test run lives"
        finally:
            run.send_signal(signal.SIGKILL)
    record = process.alive(left, "child")
    assert record
    sweep()
    assert not process.is_alive(record)
    assert not left.state.exists()


def test_places_share_neither_ports_nor_folders(place_factory: PlaceFactory) -> None:
    one, other = place_factory.make("one"), place_factory.make("other")
    assert abs(one.port_base - other.port_base) >= 100
    assert one.state != other.state

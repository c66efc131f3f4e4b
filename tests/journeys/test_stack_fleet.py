"""The fleet as `up` starts it: every service ready, a dead one seen and started again, none left behind."""

from __future__ import annotations

import os
import signal

import pytest

from penstock.stack import process, status
from tests.support.processes import Processes

SERVICES = ("operator_0", "indexer_0", "writer_0", "ingress_0")


def states(running: Processes) -> dict[str, str]:
    return {part.name: part.state for part in status.status(running.place)}


def test_every_service_of_the_fleet_is_ready(fleet: Processes) -> None:
    found, services = states(fleet), (*SERVICES, "scorer_0")
    assert {name: found[name] for name in services} == dict.fromkeys(services, "ready")


def test_a_scorer_without_a_model_is_ready_and_status_says_how_to_train_one(
    fleet: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PENSTOCK_SCORER_MODEL", "untrained")
        fleet.kill("scorer_0")
        fleet.restart("scorer_0")
    try:
        [scorer] = [part for part in status.status(fleet.place) if part.name == "scorer_0"]
        assert scorer.state == "ready"
        assert scorer.notes == (
            "no model yet: scoring waits; train one with `penstock model train --model untrained --activate`",
        )
    finally:
        fleet.kill("scorer_0")
        fleet.restart("scorer_0")


@pytest.mark.parametrize("name", SERVICES)
def test_a_killed_service_is_seen_as_down_and_started_again(fleet: Processes, name: str) -> None:
    fleet.kill(name)
    assert states(fleet)[name] == "down"
    fleet.restart(name)
    assert states(fleet)[name] == "ready"


@pytest.mark.parametrize("name", [*SERVICES, "scorer_0"])
def test_sigterm_ends_a_service_by_itself(fleet: Processes, name: str) -> None:
    record = process.alive(fleet.place, name)
    assert record
    os.kill(record.pid, signal.SIGTERM)
    try:
        assert process.wait_gone(record, 15.0), f"{name} still runs 15 s after SIGTERM"
        assert process.exit_code(record) == 0, process.last_lines(fleet.place.log(name))
    finally:
        fleet.restart(name)

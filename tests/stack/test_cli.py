"""`penstock up`, `status` and their errors, as a person or a program sees them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from penstock.stack import nats, process
from penstock.stack.place import Place
from tests.support.processes import Processes


def penstock(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock.cli.main", *arguments]
    environment = {**os.environ, **place.environment()}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_up_leaves_alone_what_runs(
    stack_env: Place, nats_server: Processes, elasticsearch: Processes, cassandra: Processes
) -> None:
    before = process.all_recorded(stack_env)
    result = penstock(stack_env, "up", "--servers")
    assert result.returncode == 0, result.stderr
    assert process.all_recorded(stack_env) == before
    for server in ("nats", "elasticsearch", "cassandra"):
        assert f"{server}: ready in" in result.stderr


def test_up_starts_what_has_died(
    stack_env: Place, nats_server: Processes, elasticsearch: Processes, cassandra: Processes
) -> None:
    nats_server.kill("nats")
    assert penstock(stack_env, "up", "--servers").returncode == 0
    assert nats.greets(stack_env.local_port("nats"))


def test_status_tells_programs_what_runs_and_what_is_down(throwaway_nats: Callable[..., Processes]) -> None:
    place = throwaway_nats().place
    result = penstock(place, "status", "--json")
    parts = {part["name"]: part for part in json.loads(result.stdout)}
    record = process.alive(place, "nats")
    assert record
    assert parts["nats"]["state"] == "ready"
    assert parts["nats"]["pid"] == record.pid
    assert parts["nats"]["ports"]["clients"] == place.local_port("nats")
    assert parts["cassandra"]["state"] == "down"
    assert result.returncode == 1


def test_clean_asks_first(throwaway_nats: Callable[..., Processes]) -> None:
    place = throwaway_nats().place
    assert penstock(place, "clean").returncode == 1
    assert process.alive(place, "nats")
    assert penstock(place, "clean", "--yes").returncode == 0
    assert not place.state.exists()


def test_an_error_is_its_code_and_one_message_without_a_trace(throwaway_nats: Callable[..., Processes]) -> None:
    place = throwaway_nats().place
    elsewhere = Place(state=place.state.parent / "elsewhere", port_base=place.port_base - 1)
    blocked = penstock(elsewhere, "up", "--servers")  # its monitoring port is the other one's client port
    penstock(elsewhere, "clean", "--yes")
    assert blocked.returncode == 1
    assert f"PORT_TAKEN port {place.port_base}, which nats needs for monitoring" in blocked.stderr
    assert "Traceback" not in blocked.stderr

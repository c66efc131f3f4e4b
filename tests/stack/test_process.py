"""The pid records: what runs is known, what is dead is restarted, nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from penstock.errors import PenstockError
from penstock.settings import Settings
from penstock.stack import kept, nats, ports, process, secret, status, up
from penstock.stack.place import Place
from tests.support.place_factory import PlaceFactory
from tests.support.processes import Processes

Throwaway = Callable[..., Processes]
# Says so on its log once SIGTERM cannot end it any more.
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"


@pytest.fixture
def place(place_factory: PlaceFactory) -> Iterator[Place]:
    place = place_factory.make(f"process-{os.urandom(4).hex()}")
    yield place
    up.clean(place)


def child(code: str, **more: object) -> process.Child:
    return process.Child(name="child", command=(sys.executable, "-c", code), **more)  # type: ignore[arg-type]


def state_of(place: Place, name: str) -> str:
    return next(part.state for part in status.status(place) if part.name == name)


def test_a_taken_port_is_named_with_its_holder_and_the_way_out(
    throwaway_nats: Throwaway, place_factory: PlaceFactory
) -> None:
    first = throwaway_nats().place
    second = Place(state=place_factory.folder / "second", port_base=first.port_base)
    record = process.alive(first, "nats")
    assert record
    with pytest.raises(PenstockError) as refusal:
        nats.start(second, nats.minimal_conf(second))
    assert refusal.value.code == "PORT_TAKEN"
    for part in (str(first.port_base), "nats", f"process {record.pid} (nats-server)", "PENSTOCK_PORT_BASE="):
        assert part in refusal.value.detail


def test_only_the_owner_may_read_what_a_child_writes(place: Place) -> None:
    before = os.umask(0o022)  # what most machines have
    try:
        store = place.state / "store"
        process.run(
            place, child(f"import os; os.mkdir({str(store)!r}); open({str(store / 'file')!r}, 'w').close()"), 10
        )
    finally:
        os.umask(before)
    written = [place.state, *(path for path in place.state.rglob("*") if not path.is_symlink())]
    assert {place.log("child"), store / "file"} <= set(written)
    assert {path: oct(path.stat().st_mode & 0o077) for path in written if path.stat().st_mode & 0o077} == {}


def test_a_killed_server_is_seen_as_down_and_started_again(throwaway_nats: Throwaway) -> None:
    server = throwaway_nats()
    assert state_of(server.place, "nats") == "ready"
    server.kill("nats")
    assert state_of(server.place, "nats") == "down"
    server.restart("nats")
    assert state_of(server.place, "nats") == "ready"


def test_starting_what_runs_changes_nothing(throwaway_nats: Throwaway) -> None:
    server = throwaway_nats()
    before = process.alive(server.place, "nats")
    server.restart("nats")
    assert process.alive(server.place, "nats") == before


def test_a_new_configuration_restarts_the_server(throwaway_nats: Throwaway) -> None:
    place = throwaway_nats().place
    before = process.alive(place, "nats")
    nats.wait_ready(place, nats.start(place, nats.minimal_conf(place) + "max_payload: 2048\n"))
    assert process.alive(place, "nats") != before


def test_down_leaves_no_process_and_no_port_but_the_data(throwaway_nats: Throwaway) -> None:
    place = throwaway_nats().place
    record = process.alive(place, "nats")
    assert record
    up.down(place)
    assert not process.is_alive(record)
    assert process.all_recorded(place) == []
    assert ports.is_free(place.local_port("nats"))
    assert (place.state / "nats" / "nats.conf").exists()


def test_clean_deletes_the_state(throwaway_nats: Throwaway) -> None:
    place = throwaway_nats().place
    up.clean(place)
    assert not place.state.exists()


def test_a_child_that_dies_is_named_with_its_exit_and_the_end_of_its_log(place: Place) -> None:
    record = process.start(place, child("print('no such column'); raise SystemExit(3)"))
    with pytest.raises(PenstockError) as failure:
        process.wait_ready(place, record, lambda: False, timeout=30)
    assert failure.value.code == "CHILD_DIED"
    for part in ("child exited with status 3", "no such column", str(place.log("child")), "penstock up"):
        assert part in failure.value.detail


def test_a_child_that_never_gets_ready_is_given_up_after_the_bound(place: Place) -> None:
    record = process.start(place, child("import signal; signal.pause()"))
    with pytest.raises(PenstockError, match="CHILD_NOT_READY: child runs but was not ready within 0 s"):
        process.wait_ready(place, record, lambda: False, timeout=0.2)


def test_a_child_that_ignores_sigterm_is_killed_with_its_descendants(place: Place) -> None:
    grandchild = f"import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); {STUBBORN}"
    record = process.start(place, child(grandchild, grace=0.2))
    process.wait_ready(place, record, lambda: "deaf" in place.log("child").read_text(), timeout=30)
    assert process.stop(place, "child")
    assert not process.is_alive(record)
    ps = subprocess.run(["ps", "-o", "stat=", "-s", str(record.pid)], capture_output=True, text=True, check=False)
    assert all(line.startswith("Z") for line in ps.stdout.split())


def test_a_reused_pid_is_not_taken_for_our_process(place: Place) -> None:
    record = process.start(place, child("import signal; signal.pause()"))
    path = place.record("child")
    stale = {**json.loads(path.read_text()), "started": record.started - 1}
    path.write_text(json.dumps(stale))
    assert process.alive(place, "child") is None
    assert not process.stop(place, "child")
    assert process.is_alive(record)
    process.kill(record)


def test_a_child_outlives_the_program_that_started_it(place: Place) -> None:
    code = (
        "from penstock.stack import process; from penstock.stack.place import Place; import sys; "
        "process.start(Place(), process.Child(name='child', command=(sys.executable, '-c', "
        "'import signal; signal.pause()')))"
    )
    environment = {**os.environ, **place.environment()}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=30)
    assert process.alive(place, "child")


def test_two_commands_on_one_place_do_not_run_at_once(place: Place) -> None:
    with up.exclusive(place), pytest.raises(PenstockError, match="STACK_BUSY"):
        up.down(place)


def test_a_password_stays_the_same_and_only_its_owner_can_read_it(place: Place) -> None:
    first = secret.password(place, "somebody")
    assert len(first) >= 32
    assert secret.password(place, "somebody") == first
    assert (place.secrets / "somebody").stat().st_mode & 0o777 == 0o600
    assert place.secrets.stat().st_mode & 0o777 == 0o700


def test_a_job_that_fails_is_named_with_its_exit_and_its_log(place: Place) -> None:
    with pytest.raises(PenstockError, match=r"(?s)CHILD_DIED: child exited with status 4\..*no keyspace"):
        process.run(place, child("print('no keyspace'); raise SystemExit(4)"), timeout=30)
    assert process.all_recorded(place) == []


def test_a_job_that_hangs_is_killed_after_the_bound(place: Place) -> None:
    with pytest.raises(PenstockError, match="CHILD_NOT_READY: child was not done within 0 s"):
        process.run(place, child("import signal; signal.pause()"), timeout=0.2)
    assert process.all_recorded(place) == []


def test_of_a_trace_in_one_line_the_innermost_exception_is_named(place: Place) -> None:
    trace = r'{"level": "ERROR", "error": "java.lang.StartupException: cannot start\n\tat a.B.c(B.java:1)'
    trace += (
        r"\nCaused by: java.net.BindException: Address already in use\n" + r"\tat sun.nio.ch.Net.bind(Net.java)\n" * 40
    )
    record = process.start(place, child(f"print({trace!r}); raise SystemExit(1)"))
    with pytest.raises(PenstockError) as failure:
        process.wait_ready(place, record, lambda: False, timeout=30)
    assert "It says: java.net.BindException: Address already in use. " in failure.value.detail


def test_another_shell_finds_the_stack_and_does_not_move_it(throwaway_nats: Throwaway) -> None:
    here = throwaway_nats().place
    kept.keep(here)
    found = Place(state=here.state)
    assert (found.port_base, found.auth, found.idp) == (here.port_base, here.auth, here.idp)
    assert Settings(state=here.state).local_port("ingress") == here.local_port("ingress")

    moved = Place(state=here.state, port_base=here.port_base + 100)
    with pytest.raises(PenstockError) as refusal:
        up.up(moved)
    assert refusal.value.code == "STACK_RUNS_OTHERWISE"
    assert f"port_base {here.port_base}, and PENSTOCK_PORT_BASE is {moved.port_base}" in refusal.value.detail

    up.down(here)
    kept.keep(moved)
    assert Place(state=here.state).port_base == moved.port_base

"""A detached child process: started, watched and stopped by its pid record, so that no supervisor has to stay.

A record is <state>/run/<name>.json. The kernel reuses pids, so a pid alone proves nothing: a child is alive if its pid
exists with the recorded start time and is no zombie.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from penstock import atomic_file
from penstock.errors import PenstockError
from penstock.stack import ports
from penstock.stack.place import CHECKOUT, Place

LOG_LIMIT = 32 * 1024 * 1024  # bytes; a longer log is set aside as .1 when the child starts again
_EXCEPTION = re.compile(r"(?:[\w$]+\.)+(?:[\w$]*(?:Exception|Error)): [^\\\n\"]{1,300}")
_started_here: dict[int, subprocess.Popen[bytes]] = {}  # ours to reap, and the only ones whose exit code we can know


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """What to run. `ports` maps a purpose to a loopback port; `grace` is seconds between SIGTERM and SIGKILL."""

    name: str
    command: tuple[str, ...]
    ports: dict[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    grace: float = 30.0


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a child that was started: enough to find it, and to see that it is still the same one."""

    name: str
    pid: int
    started: int
    command: tuple[str, ...]
    ports: dict[str, int]
    grace: float


def start(place: Place, child: Child) -> Record:
    """Start the child unless it runs. It has its own session and log, and outlives us. Raises PORT_TAKEN."""
    if running := alive(place, child.name):
        return running
    ports.require_free(child.name, child.ports)
    log = place.log(child.name)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        process = subprocess.Popen(
            child.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=CHECKOUT,
            env={**os.environ, **place.environment(), **child.environment},
            start_new_session=True,
            umask=0o077,  # stores and logs hold what people send
        )
    _started_here[process.pid] = process
    record = Record(child.name, process.pid, start_ticks(process.pid) or 0, child.command, child.ports, child.grace)
    atomic_file.replace(place.record(child.name), json.dumps(asdict(record), indent=1))
    return record


def run(place: Place, child: Child, timeout: float) -> None:
    """Run a job to its end. Raises CHILD_DIED if it fails, CHILD_NOT_READY (and kills it) if it is not done in time."""
    record = start(place, child)
    try:
        if not wait_gone(record, timeout):
            kill(record)
            raise PenstockError(
                "CHILD_NOT_READY", f"{child.name} was not done within {timeout:.0f} s. {_log(place, record)}"
            )
        if exit_code(record):
            raise PenstockError("CHILD_DIED", f"{child.name} {_exit(record)}. {_log(place, record)}")
    finally:
        place.record(child.name).unlink(missing_ok=True)


def recorded(place: Place, name: str) -> Record | None:
    """The last record of a child, alive or not."""
    try:
        value = json.loads(place.record(name).read_text())
    except FileNotFoundError:
        return None
    return Record(**{**value, "command": tuple(value["command"])})


def all_recorded(place: Place) -> list[Record]:
    """Every child that was started here and not stopped."""
    found = (recorded(place, path.stem) for path in sorted(place.folder("run").glob("*.json")))
    return [record for record in found if record]


def alive(place: Place, name: str) -> Record | None:
    """The record, if that very process still runs."""
    record = recorded(place, name)
    return record if record and is_alive(record) else None


def is_alive(record: Record) -> bool:
    """True if the recorded process still runs."""
    process = _started_here.get(record.pid)
    if process and process.poll() is not None:  # asking also reaps it, or it would stay a zombie while we live
        return False
    return record.started != 0 and start_ticks(record.pid) == record.started


def wait_ready(place: Place, record: Record, ready: Callable[[], bool], timeout: float) -> None:
    """Wait until `ready`, which must bound its own time. Raises CHILD_DIED or CHILD_NOT_READY with the log's end."""
    deadline = time.monotonic() + timeout
    while not ready():
        if not is_alive(record):
            raise PenstockError(
                "CHILD_DIED", f"{record.name} {_exit(record)} before it was ready. {_log(place, record)}"
            )
        if time.monotonic() > deadline:
            raise PenstockError(
                "CHILD_NOT_READY", f"{record.name} runs but was not ready within {timeout:.0f} s. {_log(place, record)}"
            )
        time.sleep(0.05)


def stop(place: Place, name: str) -> bool:
    """SIGTERM, then SIGKILL after the child's grace, and what it left in its session. True if it was running."""
    record = alive(place, name)
    if record:
        _signal(record.pid, signal.SIGTERM)
        if not wait_gone(record, record.grace):
            kill(record)
        _signal_group(record.pid)
    place.record(name).unlink(missing_ok=True)
    return record is not None


def kill(record: Record) -> None:
    """SIGKILL, and wait until it is gone; the record stays, as after a crash."""
    if is_alive(record):
        _signal_group(record.pid)
        if not wait_gone(record, 10.0):
            raise PenstockError("CHILD_STUCK", f"{record.name} (pid {record.pid}) did not die within 10 s of SIGKILL")


def exit_code(record: Record) -> int | None:
    """Its exit status, or minus the signal that killed it; None if it runs or was started by another program."""
    process = _started_here.get(record.pid)
    return process.poll() if process else None


def last_lines(log: Path, count: int = 15) -> str:
    """The end of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-count:])
    except FileNotFoundError:
        return "(no log)"


def cause(log: Path) -> str:
    """What an exception in the end of a log says, the innermost of the last one; empty where there is none. Java's
    services log a whole trace as one line, whose end says nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 131_072))
            found = _EXCEPTION.findall(file.read().decode(errors="replace"))
    except FileNotFoundError:
        return ""
    return str(found[-1]) if found else ""


def _log(place: Place, record: Record) -> str:
    log = place.log(record.name)
    says = f"It says: {found}. " if (found := cause(log)) else ""
    return (
        f"{says}The whole log is {log}; once the cause is fixed, run `penstock up` again: it continues from here. "
        f"The end of the log:\n{last_lines(log)}"
    )


def _exit(record: Record) -> str:
    code = exit_code(record)
    if code is None:
        return "ended"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with status {code}"


def start_ticks(pid: int) -> int | None:
    """Clock ticks from boot to the start of the process (field 22 of proc_pid_stat(5)); None if it has ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, threads, started = after_name[0], int(after_name[17]), int(after_name[19])
    # The first thread may be a zombie while others still hold the ports.
    return None if state in "ZX" and threads <= 1 else started


def wait_gone(record: Record, timeout: float) -> bool:
    """True if it ended within the time-out (seconds)."""
    deadline = time.monotonic() + timeout
    while is_alive(record):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)

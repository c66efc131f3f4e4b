"""A fleet in containers on a real engine: comes up, finds what was sent, survives the death of each container.

`tests/deploy/engine.sh` runs it, with DOCKER_HOST and COMPOSE (the compose program, with its files) in the environment.
A process is killed from outside: `docker kill` would count as a stop that was asked for, and nothing would restart it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

COMPOSE = os.environ["COMPOSE"].split()
EACH = 20  # events sent around each kill
BOUND = float(os.environ.get("BOUND", "300"))  # seconds, on a busy machine
OURS = ("ingress", "indexer", "writer", "scorer", "operator", "auditor", "edge")
SERVERS = ("nats", "elasticsearch", "cassandra")
ROUNDS = tuple(os.environ.get("KILLED", ",".join((*OURS, *SERVERS))).split(","))  # the containers that are killed


def main() -> None:
    """Runs everything. Raises AssertionError, CalledProcessError."""
    timed("up", lambda: compose("up", "--detach", "--wait", "--no-build"))
    check_hardening()
    timed("demo", lambda: print(compose("--profile", "demo", "run", "--rm", "-T", "--no-deps", "demo")))
    for service in ROUNDS:
        send(service)
        timed(f"{service} killed and healthy again", lambda service=service: kill(service))  # type: ignore[misc]
        send(service)  # the same events
    timed("everything at the sinks", lambda: until(all_there))
    timed("down", lambda: compose("down"))
    timed("up again", lambda: compose("up", "--detach", "--wait", "--no-build"))
    timed("the same after down and up", lambda: until(all_there))
    print(f"{len(ROUNDS)} containers were killed once, nothing is lost, nothing is there twice")


def check_hardening() -> None:
    """What the engine itself says of our containers."""
    for service in OURS:
        found = inspect(service)
        assert found["Config"]["User"] == "10001:10001", service
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service


def send(service: str) -> None:
    """EACH lines whose entity and words are the round's own; the sender retries what is refused for a while."""
    lines = "".join(f"2026-11-29T13:00:{n:02d}Z INFO round-{service}: killround{service} {n}\n" for n in range(EACH))
    shell = f"import sys; open('/tmp/round-{service}.log', 'w').write(sys.stdin.read())"
    start = f"{shell}; import os; os.execvp('penstock', ['penstock', 'send', '/tmp/round-{service}.log'])"
    print(cli("--entrypoint", "python3", "cli", "-c", start, given=lines).strip(), flush=True)


def kill(service: str) -> None:
    """SIGKILL, then waits until the engine has restarted it and it is healthy."""
    before = inspect(service)
    os.kill(before["State"]["Pid"], signal.SIGKILL)

    def back() -> bool:
        now = inspect(service)
        restarted = int(now["RestartCount"]) > int(before["RestartCount"])
        return restarted and str(now["State"]["Health"]["Status"]) == "healthy"

    until(back)


def all_there() -> bool:
    """Whether each round's events are once in Elasticsearch and once in Cassandra. Raises AssertionError for more."""
    for service in ROUNDS:
        try:
            indexed = json.loads(cli("cli", "search", f"killround{service}", "--json"))["total"]["value"]
            stored = len(json.loads(cli("cli", "timeline", f"round-{service}", "--json"))["entries"])
        except subprocess.CalledProcessError:
            return False
        assert indexed <= EACH, (service, indexed)
        assert stored <= EACH, (service, stored)
        print(f"{service}: {indexed} indexed, {stored} stored of {EACH}", flush=True)
        if (indexed, stored) != (EACH, EACH):
            return False
    return True


def inspect(service: str) -> Any:
    """What the engine knows of the container."""
    found = compose("ps", "--quiet", service).split()
    text = subprocess.run(["docker", "inspect", found[0]], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(text)[0]


def cli(*arguments: str, given: str = "") -> str:
    """A command of an administrator, in a container of its own."""
    return compose("--profile", "tools", "run", "--rm", "-T", "--no-deps", *arguments, given=given)


def compose(*arguments: str, given: str = "") -> str:
    """Standard output of compose. Raises CalledProcessError."""
    command = [*COMPOSE, "--progress", "quiet", *arguments]
    return subprocess.run(command, check=True, input=given, stdout=subprocess.PIPE, text=True, timeout=900).stdout


def until(look: Callable[[], bool]) -> None:
    """Waits until it holds. Raises AssertionError after BOUND."""
    deadline = time.monotonic() + BOUND
    while not look():
        assert time.monotonic() < deadline, f"not within {BOUND:.0f} s"
        time.sleep(1.0)


def timed(what: str, work: Callable[[], object]) -> None:
    """Says how long it took."""
    began = time.monotonic()
    work()
    print(f"{what}: {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()

"""The session of README's section "Use", pasted into a shell line by line in front of the default stack."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.stack.place import CHECKOUT
from tests.support.default_stack import BOUND, DefaultStack
from tests.support.processes import Processes
from tests.support.until import until

pytestmark = pytest.mark.timeout(600)
SECONDS = 300
DONE = "done with command"  # a line of ours behind each command's output


@pytest.fixture(scope="module")
async def stack(fleet: Processes, haproxy: None) -> AsyncIterator[DefaultStack]:
    """With the model that `make demo` would have trained."""
    stack = await DefaultStack(fleet.place).open()
    yield stack
    await stack.close()


def commands() -> list[str]:
    """The commands of the section; one that goes on over several lines is one."""
    [section] = re.findall(r"^## Use\n(.*?)^## ", (CHECKOUT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    found: list[str] = []
    for line in lines:
        found.append(f"{found.pop()}\n{line}" if line.startswith("  ") else line)
    return [command for command in found if not command.startswith("#")]


@pytest.fixture(scope="module")
def session(stack: DefaultStack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command of the section prints, in a checkout whose state and environment are the stack's."""
    checkout, place = tmp_path_factory.mktemp("checkout"), stack.place
    (checkout / ".state").symlink_to(place.state)
    (checkout / ".venv").symlink_to(sys.prefix)
    typed = commands()
    script = "".join(f"{command}\necho {DONE} $?\n" for command in typed)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    try:
        done = subprocess.run(
            ["bash"],
            input=script,
            cwd=checkout,
            env=kept | place.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        pytest.fail(f"after {SECONDS} s: {late.output!r} {late.stderr!r}")
    *printed, rest = re.split(rf"{DONE} (\d+)\n", done.stdout)
    assert rest == "", done.stderr
    outputs, statuses = printed[::2], printed[1::2]
    said = "\n".join(f"$ {command}\n{output}" for command, output in zip(typed, outputs, strict=True))
    assert set(statuses) == {"0"}, f"{said}\n{done.stderr}"
    return dict(zip(typed, outputs, strict=True))


def answer(session: dict[str, str], words: str) -> Any:
    """The JSON that the only command with these words prints."""
    [output] = [output for command, output in session.items() if words in command]
    return json.loads(output)


def test_every_command_of_the_readme_succeeds(session: dict[str, str]) -> None:
    assert len(session) > 10


def test_an_event_is_accepted_and_another_one_is_waited_for(session: dict[str, str]) -> None:
    first, second = (json.loads(output) for command, output in session.items() if "-d @event.json" in command)
    assert (first["accepted"], second["accepted"]) == (1, 1)
    assert first["results"][0]["key"] != second["results"][0]["key"]
    assert set(second["results"][0]["stages"]) <= {"indexed", "stored", "scored"}  # as many as 5 s are enough for


def test_the_queries_answer(session: dict[str, str]) -> None:
    assert len(answer(session, "/v1/timeline")["entries"]) == 2
    for path in ("/v1/anomalies", "/v1/similar", "/v1/search"):
        assert "hits" in answer(session, path), path


async def test_the_events_are_found_as_soon_as_they_are_indexed(session: dict[str, str], stack: DefaultStack) -> None:
    """A slow machine may need longer than the session waits."""

    async def found() -> bool:
        query = {"text": "card expired", "entity": "till-7"}
        page = (await stack.ask(stack.key, "POST", "/v1/search", json=query)).json()
        return len(page["hits"]) == 2

    await until(found, BOUND)


def test_the_commands_show_the_same(session: dict[str, str]) -> None:
    assert "1 duplicate" in session["penstock send event.json"]
    [timeline] = [output for command, output in session.items() if command.startswith("penstock timeline till-7")]
    assert "payment refused: card expired" in timeline


def test_the_session_leaves_nothing_in_the_checkout_that_git_sees() -> None:
    assert "/event.json" in (Path(CHECKOUT) / ".gitignore").read_text().splitlines()

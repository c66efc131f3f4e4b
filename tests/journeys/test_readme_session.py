"""The README's session runs as it stands, pasted line by line into a shell beside a running stack."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
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
EDGE = "https://127.0.0.1:7406"  # as the README has it, for the ports of a stack with its defaults


@pytest.fixture(scope="module")
async def stack(fleet: Processes, haproxy: None) -> AsyncIterator[DefaultStack]:
    stack = await DefaultStack(fleet.place).open()
    yield stack
    await stack.close()


def session() -> str:
    """The commands of the section `Use`."""
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Use\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert section is not None
    lines = [line[4:] for line in section[1].splitlines() if line.startswith("    ")]
    assert lines
    return "\n".join(lines) + "\n"


def values(text: str) -> list[dict[str, Any]]:
    """JSON values that stand one behind the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        value, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        found.append(value)
    return found


async def shell(stack: DefaultStack, folder: Path) -> asyncio.subprocess.Process:
    """A shell in a folder that looks like the checkout."""
    for name, target in ((".venv", Path(sys.prefix)), (".state", stack.place.state)):
        if not (folder / name).exists():
            (folder / name).symlink_to(target)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return await asyncio.create_subprocess_exec(
        "bash", "--norc", cwd=folder, env={**environment, **stack.place.environment()},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


async def run(stack: DefaultStack, folder: Path, commands: str) -> list[dict[str, Any]]:
    """The answers of commands that end by themselves."""
    process = await shell(stack, folder)
    async with asyncio.timeout(3 * BOUND):
        out, err = await process.communicate(commands.encode())
    assert process.returncode == 0, err
    return values(out.decode())


async def test_the_session_of_the_readme_runs_as_it_stands(stack: DefaultStack, tmp_path: Path) -> None:
    commands = session()
    assert commands.count(EDGE) == 1
    commands = commands.replace(EDGE, str(stack.client.base_url).rstrip("/"))
    *asked, follows = re.split(r"(?m)^(?=curl -sN )", commands)
    first, second, *answers = await run(stack, tmp_path, "".join(asked))
    assert (first["accepted"], second["accepted"]) == (1, 1)
    assert second["results"][0]["stages"].keys() <= {"indexed", "stored", "scored"}
    assert [answer.get("code") for answer in answers] == [None] * 4
    keys = {result["key"] for answer in (first, second) for result in answer["results"]}
    assert len(keys) == 2

    # A machine may need longer than the session waits; the same questions are then answered in full.
    lines = commands.splitlines(keepends=True)
    beginning = "".join(line for line in lines if line.startswith(("export ", "URL=", "curl()")))
    questions = "".join(line for line in lines if line.startswith("curl -s ") and "/v1/events" not in line)

    async def answered() -> bool:
        search, similar, anomalies, timeline = await run(stack, tmp_path, beginning + questions)
        found = [{hit["key"] for hit in page["hits"]} for page in (search, similar, anomalies)]
        return keys <= found[0] and all(found) and keys <= {entry["key"] for entry in timeline["entries"]}

    await until(answered, 3 * BOUND)
    process = await shell(stack, tmp_path)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write((beginning + follows).encode())
    async with asyncio.timeout(BOUND):
        assert await process.stdout.readline() == b"event: open\n"
    os.killpg(process.pid, signal.SIGKILL)  # curl follows until it is ended
    await process.communicate()

"""A runbook of the documentation, whose commands a test runs one by one as they are written."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

from penstock.stack.place import CHECKOUT, Place
from tests.support.until import BOUND

COMMAND = re.compile(r"^ +((?:penstock|echo) .*)$|`(penstock [^`]+)`", re.MULTILINE)
RUN_OF_HASH = "r-<first 12 digits of the hash>"


class Runbook:
    """`values` replace what is written in the commands, such as `<run>`; `left` are the commands not run so far."""

    def __init__(self, place: Place, folder: Path, document: str, title: str, values: dict[str, str]) -> None:
        """Commands run in `folder`, at the servers of `place`."""
        self.values = values
        self.left = commands(document, title)
        self._place = place
        self._folder = folder

    def hash(self, hash: str) -> None:
        """The plan that the next commands are about."""
        self.values |= {"<hash>": hash, RUN_OF_HASH: f"r-{hash[:12]}"}

    async def run(self, begin: str, more: str = "", *, codes: tuple[int, ...] = (0,), bound: float = 2 * BOUND) -> str:
        """Runs the next command that begins so, with `more` arguments; its output. Its exit code must be in `codes`."""
        written = next(command for command in self.left if command.startswith(begin))
        self.left.remove(written)
        command = written
        for name, value in self.values.items():
            command = command.replace(name, value)
        process = await asyncio.create_subprocess_shell(
            f"{command} {more}".replace("penstock ", f"{sys.executable} -m penstock.cli.main ", 1),
            env={**os.environ, **self._place.environment(), "COLUMNS": "250"}, cwd=self._folder,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(bound):
            out, errors = await process.communicate()
        assert process.returncode in codes, (command, out.decode(), errors.decode())
        return out.decode()


def commands(document: str, title: str) -> list[str]:
    """Every command of a runbook, in blocks and in sentences, one line each, in order."""
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    section = re.search(rf"^## Runbook: {title}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"{document} has no runbook {title}"
    whole = section[1].replace("\\\n", "")
    return [" ".join((block or inline).split()) for block, inline in COMMAND.findall(whole)]

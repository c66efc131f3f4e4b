"""`penstock <command>` as a process, as an operator runs it."""

from __future__ import annotations

import asyncio
import os
import sys

from penstock.stack.place import CHECKOUT, Place
from tests.support.broker_rig import Rig
from tests.support.until import BOUND

COLUMNS = "250"  # wide enough that no line is broken


async def start_command(place: Place, *arguments: str) -> asyncio.subprocess.Process:
    """Starts it."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock.cli.main", *arguments,
        env={**os.environ, **place.environment(), "COLUMNS": COLUMNS}, cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def run_command(place: Place, *arguments: str, bound: float = 2 * BOUND) -> tuple[int, str, str]:
    """Runs it to its end: exit code, output, errors."""
    process = await start_command(place, *arguments)
    async with asyncio.timeout(bound):
        out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()


async def output_of(place: Place, *arguments: str, bound: float = 2 * BOUND) -> str:
    """Its output; it must succeed."""
    code, out, errors = await run_command(place, *arguments, bound=bound)
    assert code == 0, f"penstock {' '.join(arguments)}: {code} {out}\n{errors}"
    return out


async def replay(rig: Rig, *arguments: str, bound: float = 2 * BOUND) -> tuple[int, str, str]:
    """`penstock replay` at the rig's server."""
    return await run_command(rig.place, "replay", *arguments, bound=bound)


async def dlq(rig: Rig, *arguments: str) -> tuple[int, str, str]:
    """`penstock dlq` at the rig's server."""
    return await run_command(rig.place, "dlq", *arguments)


async def worker(rig: Rig, *arguments: str) -> tuple[int, str, str]:
    """`penstock worker` at the rig's server."""
    return await run_command(rig.place, "worker", *arguments)


async def penstock(rig: Rig, *arguments: str, bound: float = 2 * BOUND) -> tuple[int, str, str]:
    """`penstock` at the rig's server."""
    return await run_command(rig.place, *arguments, bound=bound)

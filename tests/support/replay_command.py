"""`penstock` as a process."""

from __future__ import annotations

import asyncio
import os
import sys

from penstock.stack.place import CHECKOUT
from tests.support.broker_rig import Rig
from tests.support.until import BOUND


async def replay(rig: Rig, *arguments: str, bound: float = BOUND) -> tuple[int, str, str]:
    """One run of `penstock replay`: exit code, output, errors."""
    return await penstock(rig, "replay", *arguments, bound=bound)


async def penstock(rig: Rig, *arguments: str, bound: float = BOUND) -> tuple[int, str, str]:
    """One run of `penstock`: exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock.cli.main", *arguments,
        env={**os.environ, **rig.place.environment(), "COLUMNS": "200"}, cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(bound):
        out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()

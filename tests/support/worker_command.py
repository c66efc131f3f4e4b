"""`penstock worker` as a process."""

from __future__ import annotations

import asyncio
import os
import sys

from penstock.stack.place import CHECKOUT
from tests.support.broker_rig import Rig
from tests.support.until import BOUND


async def worker(rig: Rig, *arguments: str) -> tuple[int, str, str]:
    """One run of `penstock worker`: exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock.cli.main", "worker", *arguments,
        env={**os.environ, **rig.place.environment(), "COLUMNS": "200"}, cwd=CHECKOUT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(2 * BOUND):
        out, errors = await process.communicate()
    return process.returncode or 0, out.decode(), errors.decode()

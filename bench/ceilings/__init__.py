"""Upper bounds of the servers and libraries: small programs without any part of the fleet."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from bench.rounds import Sample
from penstock.stack.place import CHECKOUT, Place


async def run(place: Place, name: str, *words: object) -> Sample:
    """Runs `python -m bench.ceilings.<name> <words>` and reads its figures."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"bench.ceilings.{name}", *map(str, words)),
        stdout=asyncio.subprocess.PIPE,
        cwd=CHECKOUT,
        env={**os.environ, **place.environment(), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    out, _ = await asyncio.wait_for(program.communicate(), 300)
    if program.returncode:
        raise RuntimeError(f"bench.ceilings.{name} ended with {program.returncode}")
    found = json.loads(out.splitlines()[-1])
    events = found["events"]
    cpu = {"own": 1e6 * found["own_cpu"] / events, "server": 1e6 * found["server_cpu"] / events}
    return Sample(events / found["seconds"], cpu)

"""Trains the first model from what Elasticsearch holds, as `penstock model train --activate` does."""

from __future__ import annotations

import asyncio
import os
import sys

from rich.console import Console

from bench.fleet import Fleet
from penstock.stack.place import CHECKOUT


async def train(base: Fleet, console: Console) -> None:
    """Returns when the model is active; the scorers load it within a second."""
    console.print("training a model …")
    trainer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock.services.trainer", "--activate", "--reason", "bench"),
        stdout=asyncio.subprocess.DEVNULL,
        cwd=CHECKOUT,
        env={**os.environ, **base.place.environment()},
    )
    if await trainer.wait():
        raise RuntimeError(f"the trainer ended with {trainer.returncode}")
    base.has_model = True

"""penstock model list, train, activate: which model versions exist, and which one scores."""

from __future__ import annotations

import asyncio
import json as jsonlib
import subprocess
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from penstock.auth.connect import connect_as
from penstock.rpc.client import ask
from penstock.rpc.messages import RegisteredModel, RegisteredModels
from penstock.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="Which model versions exist, and which one scores.")

IDENTITY = "trainer"  # the machine identity that may ask the registry


@app.command("list")
def list_models(
    model: Annotated[str | None, typer.Argument(help="only this one")] = None,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Show all versions in the registry."""
    found = RegisteredModels.model_validate(_ask("list", {"model": model} if model else {})).models
    if json:
        print(jsonlib.dumps([one.to_json() for one in found], indent=2))
        return
    table = Table("model", "version", "state", "events", "types", "trained", "activated", "digest", box=None)
    for one in found:
        rows = (one.manifest or {}).get("rows", "")
        types = ", ".join(one.types)
        trained, activated = (one.created_at or "")[:19], (one.activated_at or "")[:19]
        table.add_row(one.name, str(one.version), one.state, str(rows), types, trained, activated, one.digest[:12])
    Console().print(table)


@app.command()
def activate(
    model: Annotated[str, typer.Argument(help="name of the model")],
    version: Annotated[int, typer.Argument(help="the version that is to score")],
    reason: Annotated[str, typer.Option(help="for the audit trail")] = "",
) -> None:
    """Make a version the one that scores."""
    request = {"name": model, "version": version, "reason": reason}
    active = RegisteredModel.model_validate(_ask("activate", request))
    print(f"{active.name} v{active.version} is active")


@app.command()
def train(
    model: Annotated[str, typer.Option(help="name of the model")] = "surprise",
    limit: Annotated[int, typer.Option(help="most events to train on")] = 50_000,
    activate: Annotated[bool, typer.Option("--activate", help="let it score at once")] = False,
    reason: Annotated[str, typer.Option(help="of the activation, for the audit trail")] = "",
) -> None:
    """Train a version on what Elasticsearch holds, and register it."""
    # A process of its own: TensorFlow is for the trainer, not for the command line.
    words = ["--model", model, "--limit", str(limit), "--reason", reason, *(["--activate"] if activate else [])]
    done = subprocess.run([sys.executable, "-m", "penstock.services.trainer", *words], check=False)  # noqa: S603
    if done.returncode:
        raise typer.Exit(done.returncode)


def _ask(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    async def asking() -> dict[str, Any]:
        place = load_settings()
        broker = await connect_as(IDENTITY, place, patience=5.0)
        try:
            return await ask(broker, "registry", operation, request, timeout=10.0)
        finally:
            await broker.drain()

    return asyncio.run(asking())

"""penstock model list, train, activate: model versions and which one is active."""

from __future__ import annotations

import asyncio
import json as jsonlib
import subprocess
import sys
from typing import Annotated, Any

import typer

from penstock.auth.connect import connect_as
from penstock.cli.console import print_line, print_table
from penstock.errors import PenstockError, Refused
from penstock.rpc.client import ask
from penstock.rpc.messages import RegisteredModel, RegisteredModels
from penstock.settings import load_settings

app = typer.Typer(no_args_is_help=True, help="List, train and activate model versions.")

IDENTITY = "trainer"  # the identity that may send requests to the registry
EARLIER = (
    "It scores what comes from now on. Events stored before get its scores by a replay: `penstock replay plan scorer"
    " --source store --from <time> --to <time> --reason <text>`."
)


@app.command("list")
def list_models(
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the model versions in the registry."""
    found = RegisteredModels.model_validate(_ask("list", {"model": model} if model else {})).models
    if json:
        print(jsonlib.dumps([one.to_json() for one in found], indent=2))
        return
    rows = []
    for one in found:
        events = str((one.manifest or {}).get("rows", ""))
        types = ", ".join(one.types)
        trained, activated = (one.created_at or "")[:19], (one.activated_at or "")[:19]
        rows.append((one.name, str(one.version), one.state, events, types, trained, activated, one.digest[:12]))
    headers = ("model", "version", "state", "events", "types", "trained", "activated", "digest")
    print_table(headers, rows, empty="no models; train one: penstock model train --activate", whole=("model", "state"))


@app.command()
def activate(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    version: Annotated[int, typer.Argument(help="Version to activate.")],
    reason: Annotated[str, typer.Option(help="Recorded in the audit trail.")] = "",
) -> None:
    """Activate a version: from now on it scores the events."""
    request = {"name": model, "version": version, "reason": reason}
    active = RegisteredModel.model_validate(_ask("activate", request))
    print(f"{active.name} v{active.version} is active")


@app.command()
def train(
    model: Annotated[str, typer.Option(help="Name of the model.")] = "surprise",
    limit: Annotated[int, typer.Option(help="Most events to train on.")] = 50_000,
    activate: Annotated[bool, typer.Option("--activate", help="Activate the version after training.")] = False,
    reason: Annotated[str, typer.Option(help="Reason of the activation, recorded in the audit trail.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train a new version on the events in Elasticsearch and register it."""
    # A process of its own: TensorFlow is for the trainer, not for the command line.
    words = ["--model", model, "--limit", str(limit), "--reason", reason, *(["--activate"] if activate else [])]
    command = [sys.executable, "-m", "penstock.services.trainer", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)  # noqa: S603
    *_, said = [b"", *done.stdout.splitlines()]
    if done.returncode == 0:
        print(said.decode() if json else _trained(RegisteredModel.model_validate_json(said)))
        if activate:
            print_line(EARLIER, stderr=True)
        return
    try:
        problem = jsonlib.loads(said)
        raise Refused(problem["code"], problem["detail"])
    except (ValueError, KeyError, TypeError):
        raise PenstockError("CHILD_DIED", f"the trainer exited with status {done.returncode}; see above") from None


def _trained(model: RegisteredModel) -> str:
    manifest = model.manifest or {}
    seconds = manifest.get("metrics", {}).get("train_seconds", 0)
    return (
        f"{model.name} v{model.version} is {model.state}: trained on {manifest.get('rows', 0):,} events in {seconds} s"
    )


def _ask(operation: str, request: dict[str, Any]) -> dict[str, Any]:
    async def asking() -> dict[str, Any]:
        place = load_settings()
        broker = await connect_as(IDENTITY, place, patience=5.0)
        try:
            return await ask(broker, "registry", operation, request, timeout=10.0)
        finally:
            await broker.drain()

    return asyncio.run(asking())

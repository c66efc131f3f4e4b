"""penstock worker list, status, resume: the replicas of the workers, why they are not ready, and their brakes.

Exit codes: 0 all are ready, or all brakes were opened · 1 refused or unavailable, with a code · 2 usage · 3 some
replica is not ready, or has not confirmed that its brake is open.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from penstock.cli.console import print_json, print_line
from penstock.cli.options import By, Json, Reason, user
from penstock.cli.replay_client import ask_once
from penstock.rpc.messages import ResumedWorker, WorkerReplica, WorkerReplicas

app = typer.Typer(no_args_is_help=True, help="Workers: their replicas, and their brakes.")

NOT_READY = 3


@app.command("list")
def list_workers(json: Json = False) -> None:
    """Show every replica in a line."""
    found = _status({})
    if json:
        print_json(found.to_json())
    else:
        for replica in found.replicas:
            _print(_line(replica))


@app.command()
def status(
    worker: Annotated[str, typer.Argument(help="indexer, writer or scorer; left out: all")] = "", json: Json = False
) -> None:
    """Show every replica with the reasons why it is not ready; exit code 3 when there are any."""
    found = _status({"worker": worker} if worker else {})
    if json:
        print_json(found.to_json())
    else:
        for replica in found.replicas:
            _print(_line(replica))
            for sentence in (*replica.reasons, *replica.notes):
                _print(f"  {sentence}")
        if not found.replicas:
            _print("no replica reports")
    if not all(replica.ready for replica in found.replicas):
        raise typer.Exit(NOT_READY)


@app.command()
def resume(
    worker: Annotated[str, typer.Argument(help="indexer, writer or scorer")],
    reason: Reason,
    by: By = "",
    json: Json = False,
) -> None:
    """Open the brakes of a worker at once. A brake closes again if the sink goes on refusing."""
    body = {"worker": worker, "reason": reason, "by": user(by)}
    found = ResumedWorker.model_validate(ask_once("workers", "resume", body))
    if json:
        print_json(found.to_json())
    else:
        for instance in found.resumed:
            _print(f"{worker} {instance}: the brake is open")
        for instance in found.waiting:
            _print(f"{worker} {instance}: has not confirmed yet; see `penstock worker status {worker}`")
        if not found.resumed and not found.waiting:
            _print(f"no brake of {worker} is closed")
    if found.waiting:
        raise typer.Exit(NOT_READY)


def _line(replica: WorkerReplica) -> str:
    state = "ready" if replica.ready else "braked" if replica.brake else "not ready"
    silent = f", silent for {replica.age:.0f} s" if replica.age > 10 else ""
    lag = f"{replica.pending:,} messages wait, {replica.behind:.1f} s behind"
    return f"{replica.worker} {replica.instance}: {state}, {lag}{silent}"


def _status(body: dict[str, Any]) -> WorkerReplicas:
    return WorkerReplicas.model_validate(ask_once("workers", "status", body))


def _print(text: str) -> None:
    print_line(text)

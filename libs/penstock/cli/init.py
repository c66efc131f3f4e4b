"""penstock init: keys, passwords, certificates and nats.conf of a fleet in containers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.contracts import load
from penstock.provisioning import deployment
from penstock.provisioning.certificate import NAMES
from penstock.settings import load_settings

app = typer.Typer()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Gets one folder for each service, and one for each NATS server.")],
    names: Annotated[
        str, typer.Option("--names", help="DNS names under which clients reach the edge, comma-separated.")
    ] = ",".join((*NAMES, "edge")),
    servers: Annotated[str, typer.Option("--nats", help="Host names of the NATS servers, comma-separated.")] = "nats",
) -> None:
    """Create keys, passwords, certificates and nats.conf for containers; what is there is kept."""
    deployment.write(load(), folder, load_settings(), _list(names), _list(servers))
    print(f"{folder}: secrets of {', '.join(deployment.ALSO)}; nats.conf of {servers}")


def _list(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]

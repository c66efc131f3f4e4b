"""penstock permissions: what an identity may publish and subscribe to, as derived from contracts/identities.yaml."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict

import typer

from penstock.auth.permissions import all_permissions
from penstock.contracts import load
from penstock.errors import Refused

app = typer.Typer()


@app.command("permissions")
def show(
    identity: str = typer.Argument("", help="Only this identity. Default: all."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show which NATS subjects each identity may publish and subscribe to; all others are refused."""
    found = all_permissions(load())
    if identity and identity not in found:
        raise Refused("NOT_FOUND", f"there is no identity {identity!r}; known: {', '.join(found)}")
    chosen = {name: each for name, each in found.items() if identity in ("", name)}
    if json:
        print(jsonlib.dumps({name: asdict(each) for name, each in chosen.items()}, indent=2))
        return
    for name, each in chosen.items():
        print(f"{name}: {load().identities[name].meaning}")
        for verb, subjects in (("publishes", each.publish), ("subscribes", each.subscribe)):
            for subject in subjects:
                print(f"  {verb:10} {subject}")

"""Options that several commands have."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Recorded in the audit trail.")]
By = Annotated[str, typer.Option("--by", help="Who does it. Default: the user of this shell.")]


def user(by: str) -> str:
    """Who acts: who is named, or the user of this shell."""
    return by or getpass.getuser()

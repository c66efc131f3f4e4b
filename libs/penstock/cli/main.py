"""`penstock`: collects the groups of commands and prints errors with their code and next step."""

from __future__ import annotations

import importlib
import sys

import typer
from rich.console import Console

from penstock.errors import PenstockError

# A module with `app: typer.Typer` → where its commands go ("" is the top level). Loaded one by one, so that an image
# with few extras still has the groups that it can run.
GROUPS = {
    "stack.cli": "",
    "penstock.cli.contracts": "contracts",
    "penstock.cli.provision": "",
    "penstock.cli.model": "model",
    "penstock.cli.rights": "",
    "penstock.cli.key": "key",
    "penstock.cli.identity": "identity",
    "services.edge.cli": "edge",
    "penstock.cli.send": "",
    "penstock.cli.search": "",
    "penstock.cli.tail": "",
}
OURS = {"penstock", "services", "stack"}

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Penstock: an event fleet over NATS JetStream.",
)


def load_groups() -> None:
    """Add every group that this installation can run; one whose extra is not installed is left out."""
    for module, name in GROUPS.items():
        try:
            group: typer.Typer = importlib.import_module(module).app
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] in OURS and error.name != module:
                raise
            continue
        cli.add_typer(group, name=name or None)


def app() -> None:
    """The entry point. An error with a code is a message and exit status 1; any other is our fault: a trace."""
    load_groups()
    try:
        cli()
    except PenstockError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]{error.code}[/]", end=" ")
        console.print(error.detail, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    app()

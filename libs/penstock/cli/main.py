"""`penstock`: collects the groups of commands and prints errors with their code and next step."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import typer
from rich.console import Console

from penstock.errors import PenstockError

# Each module has `app: typer.Typer`; its commands go under the name given, or to the top level if that is "".
# They are loaded one by one, so that an image with few extras still has the groups that it can run.
GROUPS = {
    "penstock.cli.stack": "",
    "penstock.cli.contracts": "contracts",
    "penstock.cli.provision": "",
}

cli = typer.Typer(
    no_args_is_help=True, pretty_exceptions_show_locals=False, help="Penstock: an event fleet over NATS JetStream."
)


def load_groups() -> None:
    """Add every group that this installation can run."""
    for module, name in GROUPS.items():
        try:
            group: typer.Typer = importlib.import_module(module).app
        except ModuleNotFoundError as error:
            if error.name == "penstock" or ((error.name or "").startswith("penstock.") and error.name != module):
                raise  # a fault of ours, not a missing extra
            continue
        cli.add_typer(group, name=name or None)


def app() -> None:
    """The entry point."""
    load_groups()
    try:
        cli()
    except PenstockError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]{error.code}[/] ", end="")
        console.print(error.detail, markup=False)
        sys.exit(1)


if __name__ == "__main__":
    app()

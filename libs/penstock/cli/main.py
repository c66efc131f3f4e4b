"""`penstock`: loads the command groups and prints errors with their code and next step."""

from __future__ import annotations

import importlib
import sys

import typer
from rich.console import Console

from penstock.cli.printable import shown
from penstock.contracts import problem
from penstock.errors import PenstockError

# A module with `app: typer.Typer` → the group that its commands form, or their names at the top level. Only the module
# that the command line names is loaded: some are slow to import, and an image with few extras cannot load them all.
GROUPS: dict[str, str | tuple[str, ...]] = {
    "penstock.stack.cli": ("up", "down", "status", "clean", "demo", "fetch"),
    "penstock.cli.send": ("send",),
    "penstock.cli.search": ("search", "similar", "anomalies", "get", "timeline"),
    "penstock.cli.tail": ("tail",),
    "penstock.cli.login": ("login", "logout", "whoami"),
    "penstock.cli.key": "key",
    "penstock.cli.model": "model",
    "penstock.cli.contracts": "contracts",
    "penstock.cli.provision": ("provision",),
    "penstock.cli.permissions": ("permissions",),
    "penstock.cli.identity": "identity",
    "penstock.cli.audit": "audit",
    "penstock.cli.replay": "replay",
    "penstock.cli.migrate": "migrate",
    "penstock.cli.dlq": "dlq",
    "penstock.cli.worker": "worker",
    "penstock.services.edge.cli": "edge",
}
OURS = "penstock"
PANELS = {
    "Local stack": ("penstock.stack.cli",),
    "Send and query": tuple(f"penstock.cli.{name}" for name in ("send", "search", "tail", "login")),
}
ADMINISTRATION = "Administration"

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Events over NATS JetStream: send and query them, and run the fleet that indexes, stores and scores them.",
)


def load_groups(word: str = "") -> None:
    """Adds the group of `word`, the first argument of the command line; all groups when none has it.

    A group whose extra is not installed is left out.
    """
    found = [module for module, names in GROUPS.items() if word in ((names,) if isinstance(names, str) else names)]
    for module in found or GROUPS:
        try:
            group: typer.Typer = importlib.import_module(module).app
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == OURS and error.name != module:
                raise
            continue
        names = GROUPS[module]
        panel = next((title for title, modules in PANELS.items() if module in modules), ADMINISTRATION)
        if isinstance(names, str):
            cli.add_typer(group, name=names, rich_help_panel=panel)
            continue
        for command in group.registered_commands:
            command.rich_help_panel = panel
        cli.add_typer(group)


def app() -> None:
    """The entry point. An error with a code is printed, with exit status 1; any other is a defect: a traceback."""
    load_groups(sys.argv[1] if len(sys.argv) > 1 else "")
    try:
        cli()
    except PenstockError as error:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print(f"[bold red]{error.code}[/]", end=" ")
        console.print(shown(error.detail), markup=False)
        console.print(problem(error)["next_step"], markup=False, style="dim")
        sys.exit(1)


if __name__ == "__main__":
    app()

"""`penstock`: loads the command groups and prints errors with their code and next step."""

from __future__ import annotations

import importlib
import sys

import typer

from penstock.cli.failure import failure_of, print_failure

# A module with `app: typer.Typer` → the group that its commands form, or their names at the top level. Only the module
# that the command line names is loaded: some are slow to import, and an image with few extras cannot load them all.
GROUPS: dict[str, str | tuple[str, ...]] = {
    "penstock.stack.cli": ("up", "down", "status", "url", "clean", "demo", "fetch"),
    "penstock.cli.send": ("send",),
    "penstock.cli.search": ("search", "similar", "anomalies", "get", "timeline"),
    "penstock.cli.tail": ("tail",),
    "penstock.cli.login": ("login", "logout", "whoami"),
    "penstock.cli.key": "key",
    "penstock.cli.model": "model",
    "penstock.cli.contracts": "contracts",
    "penstock.cli.init": ("init",),
    "penstock.cli.provision": ("provision",),
    "penstock.cli.permissions": ("permissions",),
    "penstock.cli.identity": "identity",
    "penstock.cli.audit": "audit",
    "penstock.cli.replay": "replay",
    "penstock.cli.migrate": "migrate",
    "penstock.cli.reconcile": ("reconcile",),
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
    """The entry point. A failure is printed with its code, with exit status 1; a defect with its traceback."""
    load_groups(sys.argv[1] if len(sys.argv) > 1 else "")
    _log_to_stderr()
    try:
        cli()
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        print_failure(failure)
        sys.exit(1)


def _log_to_stderr() -> None:
    """Standard output is for what was asked for: `$(penstock key create …)` must hold nothing else. Where no module of
    the command logs, structlog is not loaded: it would take a third of the start."""
    if structlog := sys.modules.get("structlog"):
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


if __name__ == "__main__":
    app()

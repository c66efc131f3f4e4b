"""What stopped a command → its code, a sentence and what to do next, for whoever sits at a shell."""

from __future__ import annotations

from pydantic import ValidationError
from pydantic_settings import BaseSettings
from rich.console import Console

from penstock.cli.printable import shown
from penstock.contracts import step_in_shell
from penstock.contracts.model_violation import violation
from penstock.errors import PenstockError, Refused


def failure_of(error: Exception) -> PenstockError | None:
    """The error with a code; None for a defect, of which the traceback is worth more."""
    match error:
        case PenstockError():
            return error
        case ValidationError() if error.title in _settings_names():
            return _setting(error)
        case OSError() if error.filename is not None and error.strerror:
            return Refused("FILE_UNUSABLE", f"{error.filename}: {error.strerror}")
        case _:
            return None


def print_failure(error: PenstockError) -> None:
    """Code and sentence, and the next step under them."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[bold red]{error.code}[/]", end=" ")
    console.print(shown(error.detail), markup=False)
    console.print(step_in_shell(error.code), markup=False, style="dim")


def _settings_names() -> set[str]:
    known, found = [BaseSettings], set()
    while known:
        found.add((each := known.pop()).__name__)
        known += each.__subclasses__()
    return found


def _setting(error: ValidationError) -> Refused:
    errors = error.errors(include_url=False, include_input=False)
    for each in errors:
        name, *rest = each["loc"] or ("",)
        each["loc"] = (f"PENSTOCK_{name}".upper(), *rest)
    sentence, _ = violation(errors, {str(each["loc"][0]): None for each in errors}, whole="the settings")
    return Refused("SETTING_INVALID", sentence)

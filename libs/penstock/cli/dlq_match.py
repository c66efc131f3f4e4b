"""Which dead letters a command of `penstock dlq` is about: its options, declared once → DeadLetterMatch."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from penstock.cli.replay_client import since_of
from penstock.errors import Refused

_NUMBERS = re.compile(r"(\d+)(?:-(\d+))?\Z")

_Many = list[str] | None
STATES = (
    "open, redriven, parked or dropped; repeatable. Default: open; for drop open and parked, for reopen parked and"
    " dropped."
)
STATES_OF_PLAN = "open (default), parked or redriven; repeatable."


def matching(*, workers: bool = True, states: str = STATES) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command these options in place of its parameter `match`, which gets the result. Without `workers` where
    the command has an argument for that."""
    options: dict[str, tuple[Any, Any]] = {
        "workers": (
            Annotated[_Many, typer.Option("--worker", help="indexer, writer or scorer; repeatable.")],
            None,
        ),
        "codes": (
            Annotated[_Many, typer.Option("--code", help="Error code, like SINK_REFUSED; repeatable.")],
            None,
        ),
        "types": (Annotated[_Many, typer.Option("--type", help="Event type; repeatable.")], None),
        "publishers": (Annotated[_Many, typer.Option("--publisher", help="Repeatable.")], None),
        "states": (Annotated[_Many, typer.Option("--state", help=states)], None),
        "since": (Annotated[str, typer.Option(help="How far back: 90m, 2h, 7d.")], ""),
        "numbers": (
            Annotated[_Many, typer.Option("--number", help="Number of a dead letter, or FIRST-LAST; repeatable.")],
            None,
        ),
    }
    if not workers:
        del options["workers"]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def with_match(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in options}
            command(match=match_of(**chosen), **given)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            if parameter.name != "match":
                parameters.append(parameter)
                continue
            for name, (annotation, default) in options.items():
                parameters.append(inspect.Parameter(name, parameter.kind, default=default, annotation=annotation))
        with_match.__name__, with_match.__doc__ = command.__name__, command.__doc__
        with_match.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_match.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_match

    return decorate


def match_of(
    *,
    codes: list[str] | None,
    types: list[str] | None,
    publishers: list[str] | None,
    states: list[str] | None,
    since: str,
    numbers: list[str] | None,
    workers: list[str] | None = None,
) -> dict[str, Any]:
    """Only what was given. Raises Refused REPLAY_BOUNDS_INVALID."""
    members: dict[str, Any] = {
        "workers": workers,
        "codes": codes,
        "types": types,
        "publishers": publishers,
        "states": states,
        "time": {"from": since_of(since)} if since else None,
        "sequences": [_span(text) for text in numbers or ()],
    }
    return {name: each for name, each in members.items() if each}


def _span(text: str) -> dict[str, int]:
    found = _NUMBERS.match(text)
    if found is None:
        raise Refused("REPLAY_BOUNDS_INVALID", f"{text!r} is not the number of a dead letter, nor FIRST-LAST")
    return {"first": int(found[1]), "last": int(found[2] or found[1])}

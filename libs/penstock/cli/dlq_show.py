"""Dead letters on the terminal, or as JSON. What others wrote is shown with its control characters escaped."""

from __future__ import annotations

import json as jsonlib
import sys
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from rich.console import Console

from penstock.cli.console import print_json, print_table
from penstock.cli.printable import shown
from penstock.rpc.messages import (
    DeadLetter,
    DeadLetterGroups,
    DeadLetterHead,
    DeadLetterPage,
    DeadLetterStats,
    ExportedDeadLetter,
)

MOST_CHARACTERS = 20_000  # of a payload on the terminal; --raw and export have all of it
INCOMPLETE = "the dead letters are still being read: every number is 'at least'"
GROUPS = (
    "worker", "code", "type", "publisher", "form", "redrives", "messages", "dead_letters", "first", "last", "numbers"
)  # fmt: skip
MARK = "◀── fails here"


def printable(text: str) -> str:
    """The text with everything escaped that could act on a terminal or hide; line breaks stay."""
    return shown(text, lines=True)


def groups(found: DeadLetterGroups, json: bool) -> None:
    """Groups, those with the most messages first."""
    if json:
        print_json(found.to_json())
        return
    rows = []
    for each in found.groups:
        named = (each.worker, each.code, each.type, each.publisher, each.form, str(each.redrives))
        counted = (f"{each.messages:,}", f"{each.dead_letters:,}", each.first_at[:19], each.last_at[:19])
        numbers = f"{each.first_sequence}-{each.last_sequence}"
        rows.append((*named, *counted, numbers))
    print_table(GROUPS, rows, empty="no dead letters", whole=("numbers",))
    out = Console(highlight=False)
    out.print(f"{found.messages:,} messages in {found.dead_letters:,} dead letters")
    _incomplete(out, found.complete)


def page(found: DeadLetterPage, json: bool) -> None:
    """Single dead letters, and what is in their ranges."""
    if json:
        print_json(found.to_json())
        return
    out = Console(highlight=False, soft_wrap=True, markup=False)
    for each in found.dead_letters:
        out.print(printable(_line(each)))
        for message in each.opened:
            out.print(
                f"    {message.stored_at[:19]} {each.origin_stream} {message.sequence} {printable(message.subject)}"
            )
        if each.more:
            out.print(f"    … and {each.more:,} more")
    if found.next is not None:
        out.print(f"older ones: --before {found.next}")
    _incomplete(out, found.complete)


def dead_letter(found: DeadLetter, json: bool, raw: bool) -> None:
    """One dead letter, whole."""
    payload = b64decode(found.payload)
    if raw:
        sys.stdout.buffer.write(payload)
        return
    if json:
        print_json(found.to_json())
        return
    out = Console(highlight=False, soft_wrap=True, markup=False)
    out.print(printable(_line(found.head)))
    for name, value in sorted(found.headers.items()):
        out.print(f"  {printable(name)}: {printable(value)}", style="dim")
    for each in found.history:
        out.print(f"  before: {printable(_line(each))}", style="yellow")
    for message in found.head.opened:
        out.print(f"  {message.stored_at[:19]} {found.head.origin_stream} {message.sequence}")
    for line in payload_lines(payload, found.pointer):
        out.print(line, style="bold red" if line.endswith(MARK) else None)


def stats(found: DeadLetterStats, json: bool) -> None:
    """Counts and the forecast."""
    if json:
        print_json(found.to_json())
        return
    out = Console(highlight=False, soft_wrap=True)
    for state, counts in found.states.items():
        out.print(f"{state:9} {counts.messages:>10,} messages in {counts.dead_letters:,} dead letters")
    for each in found.open:
        out.print(f"  open: {each.worker} {each.code} {each.messages:,}", markup=False)
    for limited in found.over_share:
        out.print(
            f"  DEAD_LETTER_SHARE_USED: {limited.publisher} at the {limited.worker}: {limited.messages:,} messages in"
            f" {limited.dead_letters:,} ranges within the last hour",
            markup=False,
            style="yellow",
        )
    out.print(f"{found.bytes:,} of {found.max_bytes:,} bytes ({100 * found.share:.1f} %)")
    if found.full_in_hours is None:
        out.print("at the pace of the last hour it never fills")
    else:
        out.print(f"full in {found.full_in_hours:,.1f} hours at the pace of the last hour; then the workers stop")
    if found.oldest_at:
        kept = f", kept for {found.kept_for_hours:,.0f} hours" if found.kept_for_hours else ""
        out.print(f"the oldest is of {found.oldest_at[:19]}{kept}")
    _incomplete(out, found.complete)


def exported(found: ExportedDeadLetter) -> dict[str, Any]:
    """A line of an export: the payload as text where it is UTF-8, else as base64."""
    line = found.to_json()
    try:
        return line | {"payload": b64decode(found.payload).decode()}
    except UnicodeDecodeError:
        del line["payload"]
        return line | {"payload_base64": found.payload}


def payload_lines(payload: bytes, pointer: str) -> Iterator[str]:
    """The payload, as indented JSON where it is JSON, with a mark at the member that `pointer` names."""
    try:
        text = "\n".join(_json_lines(jsonlib.loads(payload), pointer))
    except (ValueError, RecursionError):
        text = payload.decode("utf-8", "backslashreplace")
    yield from printable(text[:MOST_CHARACTERS]).split("\n")
    if len(text) > MOST_CHARACTERS:
        yield f"… {len(payload):,} bytes in all; --raw writes them"


def _json_lines(value: Any, pointer: str, path: str = "", label: str = "", depth: int = 0) -> Iterator[str]:
    mark = f"  {MARK}" if pointer and path == pointer else ""
    indent = "  " * depth
    members: list[tuple[str, str, Any]] = []
    if isinstance(value, dict):
        members = [
            (name.replace("~", "~0").replace("/", "~1"), f"{jsonlib.dumps(name, ensure_ascii=False)}: ", each)
            for name, each in value.items()
        ]
    elif isinstance(value, list):
        members = [(str(place), "", each) for place, each in enumerate(value)]
    if not members:
        yield f"{indent}{label}{jsonlib.dumps(value, ensure_ascii=False)}{mark}"
        return
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield f"{indent}{label}{opening}{mark}"
    for step, name, each in members:
        yield from _json_lines(each, pointer, f"{path}/{step}", name, depth + 1)
    yield f"{indent}{closing}"


def _line(each: DeadLetterHead) -> str:
    origin = f"{each.origin_stream} {each.origin_sequence}"
    if each.form == "range":
        origin += f"-{each.origin_last} ({each.messages:,} messages)"
    tried = f", redriven {each.redrives}×" if each.redrives else ""
    return (
        f"{each.sequence} {each.stored_at[:19]} {each.state}{tried} {each.worker} {each.code} {each.type}"
        f" of {each.publisher}, {origin}: {each.reason}"
    )


def _incomplete(out: Console, complete: bool) -> None:
    if not complete:
        out.print(INCOMPLETE, style="yellow")

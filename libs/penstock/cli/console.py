"""What every command prints with: text of others is shown, not obeyed; tables fit a terminal, a pipe gets it all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from penstock.cli.printable import json_shown, shown

WIDEST = 40  # characters to which a column is filled up in a pipe
Cell = str | Text


def console(*, stderr: bool = False) -> Console:
    """A console that breaks no lines by itself."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def print_json(body: Any) -> None:
    """One line of JSON, at once, also into a pipe."""
    print(json_shown(json.dumps(body, ensure_ascii=False)), flush=True)


def print_line(text: str, *, style: str = "", stderr: bool = False) -> None:
    """One line as it is, without markup; it is out when this returns."""
    out = console(stderr=stderr)
    out.print(shown(text), markup=False, style=style or None)
    out.file.flush()


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, empty: str, whole: Sequence[str] = ()
) -> None:
    """Rows under their headers, or the sentence `empty` if there are none.

    On a terminal, columns named in `whole` are never broken, and the others fold. In a pipe, a row is a line, and
    nothing is cut.
    """
    out = console()
    cells = [[_cell(each, lines=out.is_terminal) for each in row] for row in rows]
    if not rows:
        out.print(shown(empty), markup=False)
    elif out.is_terminal:
        table = Table(box=None, header_style="dim", pad_edge=False)
        for name in headers:
            table.add_column(name, overflow="fold", no_wrap=name in whole)
        for row in cells:
            table.add_row(*row)
        Console(highlight=False).print(table)
    else:
        out.file.writelines(_lines([[Text(name) for name in headers], *cells]))


def _cell(cell: Cell, *, lines: bool) -> Text:
    if isinstance(cell, str):
        return Text(shown(cell, lines=lines).replace("\n", "\n  "))
    return cell


def _lines(rows: list[list[Text]]) -> list[str]:
    plain = [[cell.plain.replace("\n", "  ") for cell in row] for row in rows]
    widths = [min(max(len(row[n]) for row in plain), WIDEST) for n in range(len(plain[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in plain
    ]

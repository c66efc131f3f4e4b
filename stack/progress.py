"""What the parts of the stack are doing: a table that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

ENDED = {"ready": "green", "stopped": "green", "failed": "red", "ready:": "yellow"}  # by the first word


class Progress:
    """An up.Report to be used as a context manager."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self.parts: dict[str, tuple[str, float]] = {}  # part → what it is doing, and since when it does anything
        self.live = Live(console=self.console, refresh_per_second=8, get_renderable=self._table)

    def __call__(self, part: str, doing: str, seconds: float) -> None:
        """Take note of what a part is doing, `seconds` after it began."""
        said = f"{doing} in {seconds:.1f} s" if doing in ENDED else doing
        self.parts[part] = (said, time.monotonic() - seconds)
        if not self.live.is_started:
            self.console.print(f"{part}: {self.parts[part][0]}", soft_wrap=True)

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live.is_started:
            self.live.stop()

    def _table(self) -> Table:
        table = Table(box=None, show_header=False)
        for part, (doing, began) in list(self.parts.items()):
            if colour := ENDED.get(doing.split()[0]):
                table.add_row(part, f"[{colour}]{doing}[/]")
            else:
                table.add_row(part, f"[yellow]{doing}[/] … {time.monotonic() - began:.0f} s")
        return table

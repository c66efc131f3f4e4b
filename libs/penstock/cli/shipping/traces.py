"""Which lines go on with the record before them: stack traces as the common languages print them, and indented text."""

from __future__ import annotations

import re

HEAD = 512  # characters of a line that are looked at

_PROBLEM = r"(?:[\w$]+(?:\.|::|\\))*[\w$]*(?:Exception|Error|Exit|Interrupt|Warning|Panic|Failure)\b"
# What begins a trace, or goes on with one.
_TRACE = "|".join(
    (
        r"Traceback \(most recent call last\):",  # Python
        r"During handling of the above exception, another exception occurred:",
        r"The above exception was the direct cause of the following exception:",
        r"[ |+-]*Exception Group Traceback",
        r"Caused by: |Suppressed: |Exception in thread \"",  # Java
        rf"(?:Uncaught |Unhandled exception[.:] |Unhandled Exception: )?{_PROBLEM}(?:: |:?$| \[| \()",
        r"panic: |fatal error: |goroutine \d+ \[",  # Go
        r"thread '[^']*' (?:\(\d+\) )?panicked at |stack backtrace:",  # Rust
        r"\*\* \([\w.]+\) ",  # Elixir
        r"Stack trace:|PHP Stack trace:",  # PHP
        r"[\w./-]+\.rb:\d+:in [`']",  # Ruby
    )
)
# A line that goes on with a trace, but says nothing by itself.
_INSIDE = re.compile(
    r"--- End of .*stack trace|---> |created by [\w./*()]+|\[signal |exit status \d+$|note: run with `RUST_BACKTRACE|"
    r"#\d+ |thrown in |Last message|State: |Node\.js v\d"
)
_WITHIN = r"\s+\S|[]})]+[,;]?$|\^+$"
_ANY = re.compile(rf"({_TRACE})|{_WITHIN}")
_GO_CALL = re.compile(r"[\w./*()\[\]-]+\(.*\)$|\t")
# What follows such a line is its text, whatever it looks like.
_TEXT_FOLLOWS = re.compile(r"Traceback \(most recent call last\):|thread '.*panicked at .*:$|goroutine \d+ \[")
_NAME = re.compile(r"(?:[A-Za-z_$][\w$]*\.)*[A-Z][\w$]*(?:: |:?$)|[\w.-]+(?:/[\w.@-]+)*\.[\w.(*)\[\]-]+$")
_FRAME = re.compile(r"\s+at \S|\t\S+\.(?:go|s):\d+")


def may_name_exception(text: str) -> bool:
    """Whether a line may begin a trace: an exception of any name, as `shop.SeatGone: row C`, or a function of Go."""
    return _NAME.match(text, 0, HEAD) is not None


def is_frame(text: str) -> bool:
    """Whether a line is a frame of a stack as Java, JavaScript and .NET print it, or a place as Go does."""
    return _FRAME.match(text, 0, HEAD) is not None


class Trace:
    """Goes along the lines of one record."""

    __slots__ = ("_go", "_text_follows", "begun")

    def __init__(self, first: str = "") -> None:
        self.begun = False
        self._text_follows = self._go = False
        if first:
            self.continues(first)

    def continues(self, text: str) -> bool:
        """Whether a line belongs to the record."""
        found = _ANY.match(text, 0, HEAD)
        if found is None and not self.begun and not self._text_follows:
            return False
        head = text[:HEAD]
        if found is not None and found[1] is not None:
            self.begun = True
            self._text_follows = _TEXT_FOLLOWS.match(head) is not None
            self._go = self._go or head.startswith(("goroutine ", "panic: ", "fatal error: "))
            return True
        if found is not None or (self.begun and _INSIDE.match(head)):
            return True
        if self._text_follows:
            self._text_follows = False
            return True
        return self._go and _GO_CALL.match(head) is not None

"""Errors with a stable code.

    PenstockError            anything that has a code in contracts/errors.yaml
    ├── Refused              the input breaks a rule; sending it again will not help
    └── Unavailable          something needed is not there now; try again later
        └── NoResponder      nobody took the request, so sending it again does nothing twice

The code is the interface; the sentence may change. Title, HTTP status and next step are data: contracts/errors.yaml.
"""

from __future__ import annotations


class PenstockError(Exception):
    """`code` is stable, `detail` says what failed and which rule, `pointer` (RFC 6901) where in the input."""

    retriable = False

    def __init__(self, code: str, detail: str, *, pointer: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{code}: {detail}" + (f" (at {pointer})" if pointer else ""))
        self.code = code
        self.detail = detail
        self.pointer = pointer
        self.retry_after = retry_after


class Refused(PenstockError):
    """Bad input, or something the caller may not do."""


class Unavailable(PenstockError):
    """Not possible now; `retry_after` (seconds) is a hint."""

    retriable = True


class NoResponder(Unavailable):
    """Nobody answers on the subject of a request, and nobody has taken it."""

"""The span in which this task works, and steps below it. Without one, a step costs a look into a context variable."""

from __future__ import annotations

from contextvars import ContextVar, Token

from penstock.errors import PenstockError
from penstock.telemetry.traces.span import MOST_CHILDREN, Attributes, Kind, Span

_current: ContextVar[Span | None] = ContextVar("span", default=None)


def current() -> Span | None:
    """The span in which this task works."""
    return _current.get()


class Step:
    """`with Step(span):` works in it. A span below a root belongs to that root when it ends; a root is finished by the
    tracer. Without a span nothing happens."""

    __slots__ = ("_token", "span")

    def __init__(self, span: Span | None) -> None:
        self.span = span
        self._token: Token[Span | None] | None = None

    def __enter__(self) -> Span | None:
        if self.span is not None:
            self._token = _current.set(self.span)
        return self.span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        span = self.span
        if span is None or self._token is None:
            return
        _current.reset(self._token)
        if span.root is not span:
            self.end(error)
        elif error is not None:
            span.error = _type(error)

    def end(self, error: BaseException | None = None) -> None:
        """It is over; for a step that is not a block, such as one that a callback ends."""
        span = self.span
        if span is not None:
            span.end("" if error is None else _type(error))
            _belong(span)


NOTHING = Step(None)  # holds no state, so it may be entered many times at once


def step(name: str, kind: Kind, attributes: Attributes | None = None) -> Step:
    """A step below the present span."""
    parent = _current.get()
    return NOTHING if parent is None else Step(parent.child(name, kind, attributes))


def _type(error: BaseException) -> str:
    return error.code if isinstance(error, PenstockError) else type(error).__name__


def _belong(span: Span) -> None:
    root = span.root
    if root.exported is not None:
        return  # it outlived its root, which is gone
    if len(root.children) < MOST_CHILDREN:
        root.children.append(span)
    else:
        root.dropped += 1

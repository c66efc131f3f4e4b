"""reply address → the one answer that is awaited there, or the error in its place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

from penstock.broker.protocol import Message
from penstock.errors import PenstockError

# What an answer's callback gets: the answer, or why there will be none.
AnswerCallback = Callable[["Message | PenstockError"], None]


class Answers:
    """The answers that one connection awaits, all of them on subjects under `prefix`, which ends with a dot."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._awaited: dict[str, tuple[AnswerCallback, str]] = {}

    def expect(self, callback: AnswerCallback, subject: str = "") -> str:
        """A reply address for one answer. `callback` is called once: with the answer, or with the error when the
        connection breaks or the server forbids a publish to `subject`; time-outs are the caller's, by `forget`."""
        token = os.urandom(16).hex()
        self._awaited[token] = (callback, subject)
        return self.prefix + token

    def forget(self, reply: str) -> None:
        """The answer to `reply` is not awaited any more."""
        self._awaited.pop(reply[len(self.prefix) :], None)

    def take(self, subject: str, reply: str, raw_headers: bytes | None, data: bytes) -> None:
        """An answer has arrived."""
        entry = self._awaited.pop(subject[len(self.prefix) :], None)
        if entry is not None:
            entry[0](Message(subject, reply, raw_headers, data))

    def open(self) -> frozenset[str]:
        """Tokens of the answers that are awaited now."""
        return frozenset(self._awaited)

    def any_of(self, tokens: frozenset[str]) -> bool:
        """Whether one of these answers is still awaited."""
        return not tokens.isdisjoint(self._awaited)

    def fail(self, error: PenstockError, tokens: Iterable[str]) -> None:
        """Gives the error in place of these answers, where they are still awaited."""
        for token in tokens:
            entry = self._awaited.pop(token, None)
            if entry is not None:
                entry[0](error)

    def fail_all(self, error: PenstockError) -> None:
        """Gives the error in place of every answer."""
        self.fail(error, self.open())

    def fail_subject(self, error: PenstockError, subject: str) -> None:
        """Gives the error in place of every answer to a publish to `subject`."""
        self.fail(error, [token for token, (_, sent_to) in self._awaited.items() if sent_to == subject])


def resolve(answer: asyncio.Future[Message]) -> AnswerCallback:
    """The callback that gives an answer or its error to a future that somebody awaits."""

    def answered(result: Message | PenstockError) -> None:
        if answer.done():
            return
        if isinstance(result, PenstockError):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    return answered

"""last record about a stream → up to where it goes on the stream that has this name now.

Sequences say nothing of another life of the stream: one that was made anew begins where its creation puts it, which may
lie below what was recorded of the last one. The moment of creation decides.
"""

from __future__ import annotations

import orjson

from penstock.broker import StoredMessage, StreamInfo
from penstock.events import timestamps


def recorded_until(info: StreamInfo, last: StoredMessage | None) -> int:
    """The sequence up to which the stream is recorded; that before its first one where nothing is. `last`: the last
    record about it."""
    before_first = max(info.first_seq - 1, 0)
    if last is None:
        return before_first
    body = orjson.loads(last.data)
    ended = timestamps.parse(body["ended"]) if "ended" in body else last.stored_at_ns
    if ended < info.created_ns <= info.first_ns:
        return before_first
    return min(int(body["to"]), info.last_seq)  # a server that was restored may have lost the end of the stream


def is_same(info: StreamInfo, before: StreamInfo, until: int) -> bool:
    """Whether it is still the stream that was looked at `before`, with all of it up to `until`."""
    return info.created_ns == before.created_ns and info.last_seq >= until

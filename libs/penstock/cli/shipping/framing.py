"""lines that a container runtime wrote → the lines that the program wrote, the halves of a long one joined.

CRI     2026-11-28T10:00:00.000000001Z stdout F text        P for all parts but the last
Docker  {"log":"text\\n","stream":"stdout","time":"…"}       no line break at the end of all parts but the last
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import orjson

from penstock.errors import Refused
from penstock.events import timestamps

LONGEST = 1024 * 1024  # bytes of a joined line; then its parts are given as they are
_CRI = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*) (stdout|stderr) ([FP])(?::\S*)? ?", re.ASCII)
_DOCKER = b'{"log":'
_DOCKER_MEMBERS = {"log", "stream", "time", "attrs"}


@dataclass(slots=True)
class Line:
    """A line without its break; `offset` in bytes and `number` from 1, of its first part. `time_ns` and `labels` are
    what the frame says."""

    raw: bytes
    offset: int
    number: int
    time_ns: int | None = None
    labels: dict[str, str] = field(default_factory=dict)


def unframed(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines within their frames; those without a frame as they are."""
    begun: dict[str, Line] = {}  # by stream, what waits for its last part
    for line in lines:
        found = _docker(line) if line.raw.startswith(_DOCKER) else _cri(line)
        if found is None:
            if begun:
                yield from begun.values()
                begun.clear()
            yield line
            continue
        part, stream, last = found
        whole = begun.pop(stream, None)
        if whole is None:
            whole = part
        else:
            whole.raw += part.raw
        if last or len(whole.raw) > LONGEST:
            yield whole
        else:
            begun[stream] = whole
    yield from begun.values()


def _cri(line: Line) -> tuple[Line, str, bool] | None:
    match = _CRI.match(line.raw)
    if match is None or (time_ns := _time(match[1].decode())) is None:
        return None
    stream = match[2].decode()
    part = Line(line.raw[match.end() :], line.offset, line.number, time_ns, {"stream": stream})
    return part, stream, match[3] == b"F"


def _docker(line: Line) -> tuple[Line, str, bool] | None:
    try:
        frame = orjson.loads(line.raw)
    except orjson.JSONDecodeError:
        return None
    if not (frame.keys() <= _DOCKER_MEMBERS and "stream" in frame):
        return None
    text, stream, attrs = frame["log"], frame["stream"], frame.get("attrs") or {}
    if not (isinstance(text, str) and isinstance(stream, str) and isinstance(attrs, dict)):
        return None
    labels = {"stream": stream, **{f"attrs.{name}": str(value) for name, value in attrs.items()}}
    raw = text.rstrip("\r\n").encode("utf-8", "surrogatepass")
    part = Line(raw, line.offset, line.number, _time(frame.get("time")), labels)
    return part, stream, text.endswith("\n")


def _time(text: object) -> int | None:
    try:
        return timestamps.parse(text) if isinstance(text, str) else None
    except Refused:
        return None

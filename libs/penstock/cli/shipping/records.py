"""lines of a file → records: a line with those that go on with it, or an element of a JSON document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from penstock.cli.shipping import documents, logfmt, traces
from penstock.cli.shipping.documents import Document
from penstock.cli.shipping.framing import Line, unframed
from penstock.cli.shipping.log_text import Formats, Parsed
from penstock.cli.shipping.log_times import Clock
from penstock.cli.shipping.terminal_colours import without_colours
from penstock.cli.shipping.traces import Trace

MOST_CHARACTERS = 60_000  # of a record; what goes beyond begins another one
MOST_LINES = 500
_BOM = b"\xef\xbb\xbf"
_BEGINS_JSON = (b"{", b"[")
_BEGINS_BATCH = (b"[{", b'{"Records"', b'{"records"', b'{"logEvents"', b'{"Events"')


@dataclass(slots=True)
class Record:
    """A line with those that continue it, or an element of a JSON document; `part` is the element's number there."""

    line: Line
    text: str = ""
    parsed: Parsed | None = None
    value: Any = None
    part: int | None = None
    more: list[str] = field(default_factory=list)
    size: int = 0
    trace: Trace | None = None

    def append(self, text: str, blank: int) -> None:
        """A line that goes on with the record, behind `blank` empty ones."""
        self.more += [""] * min(blank, 2)
        self.more.append(text)
        self.size += len(text) + 1

    def go_on(self, text: str, blank: int, parsed: Parsed | None) -> None:
        """A line of the record; `parsed` is what it says by itself, which counts where the line before was a header."""
        if parsed is not None and self.parsed is not None and not self.more and self.parsed.data["message"] == "":
            self.parsed.data |= parsed.data
        else:
            self.append(text, blank)

    def join(self, exception: Record) -> None:
        """The line that names the exception of this record."""
        self.append(exception.text, 0)
        if self.trace is not None:
            self.trace.begun = True

    @property
    def id(self) -> str:
        """With the text: another file may take the same name, as rotated logs do."""
        place = self.line.offset if self.part is None else f"{self.line.offset}.{self.part}"
        return f"{place}-{crc32(self.line.raw):08x}"


class Records:
    """Divides the lines of one file; `as_text` takes JSON for text. `damaged` is called when a document is broken."""

    def __init__(self, clock: Clock, damaged: Callable[[str], None], *, as_text: bool = False) -> None:
        self._clock = clock
        self._damaged = damaged
        self._as_text = as_text
        self._formats = Formats()

    def of(self, lines: Iterable[bytes]) -> Iterator[Record]:
        """The records, in the order of their first lines."""
        before: Record | None = None  # complete, unless `current` turns out to be its exception
        current: Record | None = None
        blank = 0
        for item in self._items(unframed(_numbered(lines))):
            if isinstance(item, Record):
                yield from (each for each in (before, current) if each is not None)
                before = current = None
                yield item
                continue
            text = without_colours(item.raw.decode("utf-8", "backslashreplace"))
            if not text.strip():
                blank += 1
                continue
            parsed = None
            if current is not None:
                if before is not None:
                    if traces.is_frame(text):
                        before.join(current)
                        current = before
                    else:
                        yield before
                    before = None
                continues, parsed = self._continues(current, item, text)
                if continues:
                    current.go_on(text, blank, parsed)
                    blank = 0
                    continue
            following = self._begin(item, text, parsed)
            if current is not None:
                if _may_name_exception(current, following):
                    before = current
                else:
                    yield current
            current = following
            blank = 0
        yield from (each for each in (before, current) if each is not None)

    def _begin(self, line: Line, text: str, parsed: Parsed | None) -> Record:
        parsed = parsed or self._formats.parse(text, self._clock)
        message = parsed.data["message"] if parsed else text
        return Record(line, text, parsed, trace=Trace(message), size=len(text))

    def _continues(self, record: Record, line: Line, text: str) -> tuple[bool, Parsed | None]:
        """Whether a line goes on with the record; if it had to be parsed to know, what it says."""
        if len(record.more) >= MOST_LINES or record.size + len(text) >= MOST_CHARACTERS or record.trace is None:
            return False, None
        if line.labels != record.line.labels:  # of another output of the program
            return False, None
        if record.trace.continues(text):
            return True, None
        begun = record.parsed
        if begun is None or begun.time_ns is None or not (record.trace.begun or begun.whole):
            return False, None
        # The records of this file begin with a time; a line that does not is the text of the one before it.
        parsed = self._formats.parse(text, self._clock)
        if parsed is not None and parsed.time_ns is not None:
            return False, parsed
        return record.trace.begun or logfmt.members(text) is None, parsed

    def _items(self, lines: Iterator[Line]) -> Iterator[Line | Record]:
        """JSON as records, everything else as lines."""
        if self._as_text:
            yield from lines
            return
        for line in lines:
            if not line.raw.startswith(_BEGINS_JSON):
                yield line
                continue
            found = self._json(line)
            if found is not None:
                yield from found
            elif Document.begins(line.raw):
                yield from self._document(line, lines)
            else:
                yield line

    def _document(self, first: Line, lines: Iterator[Line]) -> Iterator[Line | Record]:
        document, read = Document(), [first]
        complete = document.add(first.raw)
        while not complete and not document.full and (line := next(lines, None)) is not None:
            read.append(line)
            complete = document.add(line.raw)
        whole = Line(document.raw, first.offset, first.number, first.time_ns, first.labels)
        if (found := self._json(whole)) is not None:
            yield from found
            return
        values, rest = documents.salvage(whole.raw)
        if not values:
            for line in read:
                found = self._json(line)
                yield from [line] if found is None else found
            return
        self._damaged(f"the JSON document in line {first.number} is damaged behind {len(values)} records")
        yield from self._elements(whole, values)
        offset = first.offset + len(whole.raw) - len(rest)
        for text in rest.splitlines(keepends=True):
            yield Line(text.rstrip(b"\r\n"), offset, read[-1].number)
            offset += len(text)

    def _json(self, line: Line) -> list[Record] | None:
        """The records of a line of JSON; None for any other line."""
        if not line.raw.startswith(_BEGINS_JSON):
            return None
        try:
            value = documents.value_of(line.raw)
        except (ValueError, RecursionError):
            values = documents.sequence(line.raw) if line.raw[:1] == b"{" else None
            if values is None and line.raw.startswith(_BEGINS_BATCH):
                values, rest = documents.salvage(line.raw)
                if not values:
                    return None
                self._damaged(f"the JSON document in line {line.number} is damaged behind {len(values)} records")
                values.append(rest.decode("utf-8", "backslashreplace"))
            return None if values is None else list(self._elements(line, values))
        values = documents.elements(value)
        if values is not None:
            return list(self._elements(line, values))
        return [Record(line, value=value)] if isinstance(value, dict) else None

    def _elements(self, line: Line, values: list[Any]) -> Iterator[Record]:
        for part, value in enumerate(values):
            nested = documents.elements(value) if isinstance(value, dict) else None
            for number, each in enumerate([value] if nested is None else nested):
                text = each if isinstance(each, str) else documents.text_of(each)
                place = part if nested is None else part * 1_000_000 + number
                own = Line(
                    text.encode("utf-8", "backslashreplace"), line.offset, line.number, line.time_ns, line.labels
                )
                if isinstance(each, dict):
                    yield Record(own, value=each, part=place)
                elif text.strip():
                    yield Record(own, text, self._formats.parse(text, self._clock), part=place)


def _may_name_exception(record: Record, following: Record) -> bool:
    """Whether what follows may be the record's exception: a frame of the stack would show it."""
    return (
        following.parsed is None
        and record.parsed is not None
        and record.parsed.time_ns is not None
        and following.line.labels == record.line.labels
        and traces.may_name_exception(following.text)
    )


def _numbered(lines: Iterable[bytes]) -> Iterator[Line]:
    offset = 0
    for number, line in enumerate(lines, 1):
        raw = line.rstrip(b"\r\n")
        if raw[:1] in (b"\0", b"\xef"):  # what truncating leaves, and the mark of UTF-8
            raw = raw.lstrip(b"\0").removeprefix(_BOM)
        yield Line(raw, offset, number)
        offset += len(line)

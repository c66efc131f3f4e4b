"""names of files and folders → their events, one file after the other; what could not be read is remembered."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

import typer

from penstock.cli.shipping import reading
from penstock.cli.shipping.log_lines import LogFile, unrotated
from penstock.cli.shipping.reading import Damaged
from penstock.cli.shipping.years import Years, days_of

# Which files of a folder are sent; each also with what rotation adds to its name.
_ENDINGS = (".log", ".jsonl", ".ndjson", ".json", ".out", ".err")
_NAMES = ("syslog", "messages", "secure", "maillog", "cron", "debug", "dmesg", "access_log", "error_log")
PATTERNS = (*(f"*{ending}" for ending in _ENDINGS), *_NAMES)


@dataclass(slots=True)
class Problems:
    """Files of which something could not be read, each with the reason."""

    found: list[tuple[str, str]] = field(default_factory=list)

    def add(self, path: Path | str, reason: str) -> None:
        """Remembers a file."""
        self.found.append((str(path), reason))


class Files:
    """The events of several files; knows how many bytes of them have been read.

    `cut` counts the events of which a part was left out, `used_zone` says whether a time did not say its own zone.
    """

    def __init__(
        self, paths: list[Path | None], zone: tzinfo, kind: str | None, problems: Problems | None = None
    ) -> None:
        self.problems = problems or Problems()
        self.has_end = all(path is not None and path.is_file() for path in paths)
        self.total = sum(path.stat().st_size for path in paths if path and path.is_file())
        self.zone = zone
        self.read = 0
        self.cut = 0
        self.used_zone = False
        self._paths = paths
        self._kind = kind

    def __iter__(self) -> Iterator[bytes]:
        for path in self._paths:
            log = self._log(path)
            yield from log.events(self._lines(path))
            self.cut += log.cut
            self.used_zone = self.used_zone or log.clock.used_zone

    def _log(self, path: Path | None) -> LogFile:
        regular = path is not None and path.is_file()
        written_ns = path.stat().st_mtime_ns if path and regular else time.time_ns()
        return LogFile(
            path if regular else None,
            written_ns=written_ns,
            zone=self.zone,
            kind=self._kind,
            years=(lambda: self._years(path, written_ns)) if path and regular else None,
            damaged=lambda reason: self.problems.add(path or "-", reason),
        )

    def _lines(self, path: Path | None) -> Iterator[bytes]:
        try:
            if path is None:
                yield from reading.lines(sys.stdin.buffer)
                return
            with path.open("rb") as file:
                yield from reading.lines(file, self._seen)
        except Damaged as damage:
            self.problems.add(path or "-", str(damage))
        except OSError as error:
            self.problems.add(path or "-", error.strerror or str(error))

    def _seen(self, count: int) -> None:
        self.read += count

    def _years(self, path: Path, written_ns: int) -> Years:
        def lines() -> Iterator[bytes]:
            try:
                with path.open("rb") as file:
                    yield from reading.lines(file)
            except (Damaged, OSError):
                return  # it is reported where the file is sent

        return Years(days_of(lines()), written_ns, self.zone)


def paths(names: list[str], problems: Problems) -> list[Path | None]:
    """The files that the names mean; None is standard input. Raises typer.BadParameter."""
    found: list[Path | None] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(None)
        elif path.is_dir():
            found += _within(path, problems)
        elif path.exists():
            found.append(path)
        else:
            raise typer.BadParameter(f"{name} is not a file or folder", param_hint="FILES")
    if not found and not problems.found:
        raise typer.BadParameter(f"no files match {', '.join(PATTERNS)}; name them one by one", param_hint="FILES")
    return found


def _within(folder: Path, problems: Problems) -> list[Path]:
    def failed(error: OSError) -> None:
        problems.add(error.filename or folder, error.strerror or str(error))

    found = []
    for place, _, names in os.walk(folder, onerror=failed):
        found += [Path(place, name) for name in names if _is_log(name) and Path(place, name).is_file()]
    return sorted(found)


def _is_log(name: str) -> bool:
    steady = unrotated(name)
    return steady.endswith(_ENDINGS) or steady in _NAMES

"""`penstock send`, lines without a time: they have a level where their format says one, and none where words do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.cli.shipping.log_lines import LogFile
from penstock.contracts import load
from penstock.events import Checker

WRITTEN = 1_795_219_200_000_000_000  # 2026-11-21T00:00:00Z
CHECKER = Checker(load())

# line → entity, members of the data
UNTIMED: list[tuple[str, str, dict[str, Any]]] = [
    ("[NOTICE]   (1234) : haproxy version is 2.6", "haproxy",
     {"level": "NOTICE", "pid": 1234, "message": "haproxy version is 2.6"}),
    ("[ALERT] 323/100000 (77) : no server", "haproxy",
     {"level": "ALERT", "pid": 77, "message": "323/100000 no server"}),
    ("npm ERR! code ENOENT", "npm", {"level": "ERR", "message": "code ENOENT"}),
    ("npm warn deprecated x@1", "npm", {"level": "warn", "message": "deprecated x@1"}),
    ("npm warning is no level of npm", "app", {"level": None, "message": "npm warning is no level of npm"}),
    ("0 verbose cli /usr/bin/node /usr/bin/npm", "npm", {"level": "verbose"}),
    ("5 error messages were found", "app", {"level": None, "message": "5 error messages were found"}),
    ("[0.005s][warning][gc,init] low memory", "app",
     {"level": "warning", "logger": "gc,init", "message": "low memory"}),
    ("fail: Till.Pay[0]", "app", {"level": "fail", "logger": "Till.Pay", "labels": {"event_id": "0"}}),
    ("kern  :err   : [   12.345678] out of memory", "app",
     {"level": "err", "message": "[   12.345678] out of memory", "labels": {"facility": "kern"}}),
    ("<3>[   12.345678] out of memory", "app", {"level": "error", "message": "[   12.345678] out of memory"}),
    ("WARNING:root:disk is full", "app", {"level": "WARNING", "logger": "root", "message": "disk is full"}),
    ("10:00:03.123 [main] ERROR com.x.Y - no seat", "app",
     {"level": "ERROR", "thread": "main", "logger": "com.x.Y", "message": "10:00:03.123 no seat"}),
    ("10:00:03 WARN slow", "app", {"level": "WARN", "message": "10:00:03 slow"}),
    ("10:00:03.123 [error] no seat", "app", {"level": "error", "message": "10:00:03.123 no seat"}),
    ("[ERROR] Failed to execute goal", "app", {"level": "ERROR", "message": "Failed to execute goal"}),
    ("nginx: [emerg] bind() failed", "nginx", {"level": "emerg", "message": "bind() failed"}),
    ("INFO:     Started server process", "app", {"level": "INFO", "message": "Started server process"}),
    ("ERROR in ./src/index.js", "app", {"level": None, "message": "ERROR in ./src/index.js"}),
    ("Error: no such file", "app", {"level": None, "message": "Error: no such file"}),
    ("warning: unused variable", "app", {"level": None, "message": "warning: unused variable"}),
    ("[worker 3] ready", "app", {"level": None, "message": "[worker 3] ready"}),
    ("10:00 is when it opens", "app", {"level": None, "message": "10:00 is when it opens"}),
]  # fmt: skip


def sent(*lines: str) -> list[dict[str, Any]]:
    """The events of a file, each of which the contracts take."""
    found = list(LogFile(Path("/logs/app.log"), written_ns=WRITTEN).events(f"{line}\n".encode() for line in lines))
    for raw in found:
        CHECKER.at_ingress(raw, publisher="app", door="http", now_ns=WRITTEN)
    return [orjson.loads(raw) for raw in found]


@pytest.mark.parametrize(("line", "entity", "data"), UNTIMED, ids=[line[:30] for line, *_ in UNTIMED])
def test_a_line_without_a_time_has_the_level_that_its_format_says(line: str, entity: str, data: dict[str, Any]) -> None:
    [event] = sent(line)
    assert (event["time"], event["subject"]) == ("2026-11-21T00:00:00.000Z", entity)
    assert {name: event["data"].get(name) for name in data} == data


def test_files_of_npm_say_the_level_behind_the_number() -> None:
    events = sent("0 info it worked if it ends with ok", "1 verbose stack Error: x", "31 error code ENOENT", "7 seats")
    assert [event["data"].get("level") for event in events] == ["info", "verbose", "error", None]

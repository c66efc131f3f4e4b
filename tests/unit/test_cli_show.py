"""What others wrote is shown on a terminal and does not act on it; tables fit 80 columns, a pipe gets everything."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
import rich.console

from penstock.cli import console, show
from penstock.cli.printable import json_shown, shown

KEY = "019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355"
HOSTILE = {
    "clear screen": "a\x1b[2J\x1b[1;1Hb",
    "title": "a\x1b]0;till 7\x07b",
    "C1 control sequence": "a\x9b31mb",
    "device control": "a\x1bP1$r\x1b\\b",
    "backspace": "abc\b\b\bx",
    "carriage return": "refused\raccepted",
    "delete": "a\x7fb",
    "right to left": "a\u202eb\u2066c\u2069d",
    "line separator": "a\u2028b\u2029c\x85d",
    "nothing to see": "a\u200bb\u2060c\ufeffd",
    "tag characters": "a\U000e0041b",
    "half a pair": "a\ud800b",
}
ACTING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0041]"
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> io.StringIO:
    """What a command prints on a terminal of 80 columns, or into a pipe."""
    terminal = getattr(request, "param", "terminal") == "terminal"
    out = io.StringIO()
    monkeypatch.setenv("COLUMNS", "80")
    make = rich.console.Console

    def consoles(**options: Any) -> rich.console.Console:
        return make(**options, file=out, force_terminal=terminal, color_system="standard", legacy_windows=False)

    monkeypatch.setattr(console, "Console", consoles)
    return out


both = pytest.mark.parametrize("printed", ["terminal", "pipe"], indirect=True)


def hit(text: str, **more: Any) -> dict[str, Any]:
    event = {"type": "log.line.v1", "data": {"message": text, "level": text, "process": text}}
    record = {"time": "2026-11-20T10:00:00.000Z", "entity": text, "event": event}
    named = {"key": KEY, "type": "log.line.v1", "time": record["time"], "entity": text}
    return {**named, "anomaly": {"score": 0.9995, "pattern": text}, "record": record, **more}


@both
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_of_others_acts_on_the_terminal(printed: io.StringIO, text: str) -> None:
    marked = {"message": [f"<em>{text}</em> {text}"]}
    show.print_hits({"hits": [hit(text), hit(text, highlight=marked, record=None)], "cursor": text}, score="score")
    entry = {"key": KEY, "type": "log.line.v1", "time": "2026-11-20T10:00:00.000Z", "summary": text}
    show.print_timeline({"entity": text, "entries": [entry]})
    show.print_timeline({"entity": text, "entries": []})
    console.console().print(show.record_line(hit(text)["record"]))
    console.print_line(text)
    console.print_table(["a"], [[text]], empty="none")
    assert ACTING.search(COLOURS.sub("", printed.getvalue())) is None


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_escaped_can_be_read_and_json_stays_the_same(text: str) -> None:
    assert shown(text) != text
    assert "\\" in shown(text)
    body = json.dumps({"m": text}, ensure_ascii=False)
    assert json.loads(json_shown(body)) == json.loads(body)
    assert ACTING.search(json_shown(body)) is None


@pytest.mark.parametrize("text", ["plain", "Käse für 3 €", "日本語", "עברית", "نمی‌خواهم", "👩‍🍳", "a\u00a0b"])
def test_text_of_all_languages_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == text


@both
def test_lines_of_one_event_do_not_look_like_another(printed: io.StringIO) -> None:
    show.print_hits({"hits": [hit("one\n2026-11-20 10:00:00 other-host ready")]})
    console.console().print(show.record_line(hit("one\n2026-11-20 10:00:00 other-host ready")["record"]))
    lines = COLOURS.sub("", printed.getvalue()).splitlines()
    assert not any(line.startswith("2026-11-20 10:00:00 other-host") for line in lines)


def test_tables_fit_80_columns_and_keys_stay_whole(printed: io.StringIO) -> None:
    long = "a message that is longer than a line of the terminal, " * 3
    show.print_hits({"hits": [hit(long, score=0.5)] * 2}, score="relevance")
    entry = {"key": KEY, "type": "user.interaction.v1", "time": "2026-11-20T10:00:00.123Z", "summary": long}
    show.print_timeline({"entity": "till-7", "entries": [entry]})
    console.print_table(["id", "many"], [[KEY, ", ".join(["user.interaction.v1"] * 9)]], empty="none", whole=("id",))
    lines = COLOURS.sub("", printed.getvalue()).splitlines()
    assert max(len(line) for line in lines) <= 80
    assert sum(KEY in line for line in lines) == 4


@pytest.mark.parametrize("printed", ["pipe"], indirect=True)
def test_nothing_is_cut_in_a_pipe_and_each_row_is_a_line(printed: io.StringIO) -> None:
    long = "a message much longer than a line " * 100 + "with its end"
    show.print_hits({"hits": [hit(long)]})
    entry = {"key": KEY, "type": "log.line.v1", "time": "2026-11-20T10:00:00.123Z", "summary": long}
    show.print_timeline({"entity": "till-7", "entries": [entry]})
    lines = printed.getvalue().splitlines()
    assert len(lines) == 4
    assert all(KEY in line and long in line for line in (lines[1], lines[3]))


@both
def test_an_empty_answer_says_so(printed: io.StringIO) -> None:
    show.print_hits({"hits": []})
    show.print_timeline({"entity": "till-7", "entries": []})
    console.print_table(["a"], [], empty="no keys")
    assert printed.getvalue().splitlines() == ["nothing found", "no events of till-7", "no keys"]

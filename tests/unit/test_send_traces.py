"""`penstock send`: a stack trace stays with its line, in the common languages and within the frames of containers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.cli.shipping.log_lines import LogFile

WRITTEN = 1_795_219_200_000_000_000  # 2026-11-21T00:00:00Z
FIRST, NEXT = "2026-11-20 10:00:00 ERROR no seat", "2026-11-20 10:00:01 INFO next"

TRACES = {
    "Python": """Traceback (most recent call last):
  File "till.py", line 3, in sell
    seats[row]
KeyError: 'C'""",
    "Python, an exception of another name": """Traceback (most recent call last):
  File "till.py", line 3, in sell
shop.errors.SoldOut: row C
of hall 2 is sold out""",
    "Python, chained": """Traceback (most recent call last):
  File "a.py", line 1, in f
OSError: gone

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "b.py", line 2, in g
RuntimeError: no seat""",
    "Python, a group": """  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 1, in f
  | ExceptionGroup: many (1 sub-exception)
  +-+---------------- 1 ----------------
    | ValueError: one
    +------------------------------------""",
    "Java": """java.lang.IllegalStateException: no seat
\tat shop.Till.sell(Till.java:7)
\tSuppressed: java.io.IOException: close
Caused by: SeatMissing: C
\t... 12 more""",
    "Node.js": """TypeError: Cannot read properties of null
    at sell (/app/till.js:3:9) {
  code: 'E_SEAT',
  rows: [
    1
  ]
}

Node.js v22.1.0""",
    "Go": """panic: no seat

goroutine 7 [running]:
main.sell(0xc000012345)
\t/app/till.go:9 +0x1d
created by main.main in goroutine 1
\t/app/main.go:4 +0x20
exit status 2""",
    "Rust": """thread 'till' (12) panicked at src/till.rs:4:5:
no seat in row C
stack backtrace:
   0: till::sell
             at ./src/till.rs:4:5
note: run with `RUST_BACKTRACE=full` for a verbose backtrace.""",
    ".NET": """System.InvalidOperationException: no seat
 ---> System.NullReferenceException: row
   at Shop.Rows.Get() in Rows.cs:line 3
   --- End of inner exception stack trace ---
   at Shop.Till.Sell()""",
    "Java, an exception of another name": """com.acme.SeatGone: row C
\tat com.acme.Till.sell(Till.java:7)
Caused by: com.acme.RowGone
\t... 2 more""",
    "Node.js, an exception of another name": """SeatGone: row C
    at sell (/app/till.js:3:9)""",
    ".NET, an exception of another name": """Shop.SeatGone
   at Shop.Till.Sell() in Till.cs:line 7""",
    "Go, of a logger, of another name": """example.com/till.(*Desk).Start.func2
\t/go/pkg/mod/example.com/till@v0.14/desk.go:234
example.com/till.Run
\t/app/main.go:12""",
    "Ruby": """till.rb:3:in `sell': no seat (ArgumentError)
\tfrom till.rb:9:in `<main>'""",
    "PHP": """Stack trace:
#0 /app/till.php(9): sell()
#1 {main}
  thrown in /app/till.php on line 3""",
}


def sent(text: str) -> list[dict[str, Any]]:
    file = LogFile(Path("/logs/app.log"), written_ns=WRITTEN)
    return [orjson.loads(raw) for raw in file.events(line.encode() for line in text.splitlines(keepends=True))]


@pytest.mark.parametrize("trace", TRACES.values(), ids=TRACES)
def test_a_trace_stays_with_its_line(trace: str) -> None:
    first, second = sent(f"{FIRST}\n{trace}\n{NEXT}\n")
    assert first["data"]["message"] == f"no seat\n{trace}"
    assert (second["data"]["message"], second["data"]["level"]) == ("next", "INFO")


# Without times, nothing says where a text over two lines ends.
@pytest.mark.parametrize("trace", [trace for name, trace in TRACES.items() if "of another name" not in name])
def test_a_trace_without_a_line_before_it_is_one_event(trace: str) -> None:
    first, second = sent(f"{trace}\n{NEXT}\n")
    assert first["data"]["message"] == trace.strip()
    assert second["data"]["message"] == "next"


# How records begin of programs that write all of theirs so: what has no time goes on with the record before it.
WHOLE = [
    "[2026-11-20T10:00:00,123][WARN ][o.e.c.s.MasterService] [node-1] ",
    "ERROR [main] 2026-11-20 10:00:00,123 CassandraDaemon.java:911 - ",
    "2026-11-20 10:00:00,123 ERROR [main] org.apache.hadoop.X: ",
    "2026-11-20 10:00:00,123 - ERROR [main:QuorumPeer@12] - ",
    "20-Nov-2026 10:00:00.123 SEVERE [main] org.apache.catalina.X ",
    "2026-11-20T10:00:00.123Z ERROR 7 --- [main] c.x.Y : ",
    "[2026-11-20 10:00:00] local.ERROR: ",
    "E, [2026-11-20T10:00:00.123456 #12] ERROR -- : ",
    "E1120 10:00:00.123456       1 till.go:12] ",
    "1234:M 20 Nov 2026 10:00:00.123 # ",
    "2026-11-20 10:00:00 UTC,,,70,,65a1.46,2,,2026-11-20 09:59:00 UTC,,0,ERROR,42P01,",
    "=ERROR REPORT==== 20-Nov-2026::10:00:00.123456 ===",
    "# Time: 2026-11-20T10:00:00.123456Z",
]


@pytest.mark.parametrize("begin", WHOLE)
def test_a_message_over_several_lines_and_its_trace_are_one_event(begin: str) -> None:
    text = "cannot commit version [7]" if begin[-1] not in "=Z" else ""
    more = f"uuid [abc]\nlevel: high\n[ERROR] of a part\n\nlast words\n{TRACES['Java']}"
    first, second = sent(f"{begin}{text}\n{more}\n{begin}{text or ' '}\n")
    assert first["data"]["message"].endswith(f"{text}\n{more}".strip())
    assert second["data"]["line"] == 2 + len(more.splitlines())


def test_the_two_lines_of_java_logging_are_one_event() -> None:
    head = "Nov 20, 2026 3:00:00 PM com.x.Till sell"
    first, second = sent(f"{head}\nSEVERE: no seat\n{TRACES['Java']}\n{head}\nINFO: next\nof two lines\n")
    assert (first["time"], first["data"]["level"], first["data"]["logger"]) == (
        "2026-11-20T15:00:00.000Z", "SEVERE", "com.x.Till",
    )  # fmt: skip
    assert first["data"]["message"] == f"no seat\n{TRACES['Java']}"
    assert (second["data"]["level"], second["data"]["message"]) == ("INFO", "next\nof two lines")


def test_a_line_of_another_kind_does_not_go_on_with_a_record() -> None:
    lines = [f"{WHOLE[0]}one", 'level=info msg="logfmt" n=1', '{"msg":"json"}', f"{WHOLE[0]}two", FIRST]
    assert [event["data"]["message"] for event in sent("\n".join(lines))] == ["one", "logfmt", "json", "two", "no seat"]


def test_outputs_of_a_container_do_not_go_on_with_each_other() -> None:
    lines = [docker(f"{FIRST}\n", "stdout"), *(docker(f"{line}\n") for line in TRACES["Python"].split("\n"))]
    first, second, third = sent("\n".join([*lines, docker("plain\n", "stdout")]))
    assert (first["data"]["message"], second["data"]["message"]) == ("no seat", TRACES["Python"])
    assert third["data"]["message"] == "plain"


def test_two_traces_are_two_events() -> None:
    both = sent("\n".join((FIRST, TRACES["Python"], FIRST, TRACES["Java"])))
    assert [event["data"]["message"].split("\n")[1] for event in both] == [
        "Traceback (most recent call last):",
        "java.lang.IllegalStateException: no seat",
    ]


def test_lines_that_are_no_trace_stay_events_of_their_own() -> None:
    assert (
        len(sent("# a heading\nError handling was improved\n#7 is open\nplain text\n}\n")) == 4
    )  # } closes what is open


def test_a_line_that_only_looks_like_the_name_of_an_exception_stays_an_event_of_its_own() -> None:
    lines = [
        FIRST,
        "Total: 7",
        FIRST,
        "Done",
        "  indented",
        FIRST,
        "Shop.Till: open",
        '{"msg":"json"}',
        FIRST,
        "Last: one",
    ]
    events = sent("\n".join(lines))
    found = ["no seat", "Total: 7", "no seat", "Done\n  indented", "no seat", "Shop.Till: open", "json", "no seat"]
    assert [event["data"]["message"] for event in events] == [*found, "Last: one"]


def test_no_line_of_a_long_trace_is_lost() -> None:
    lines = [f"\tat shop.Till.sell(Till.java:{n})" for n in range(2000)]
    events = sent("\n".join([FIRST, "a.b.SomeException: x", *lines, NEXT]))
    text = "\n".join(event["data"]["message"] for event in events)
    assert all(f"Till.java:{n})" in text for n in range(2000))


def docker(text: str, stream: str = "stderr") -> str:
    return json.dumps({"log": text, "stream": stream, "time": "2026-11-20T10:00:00.5Z"})


def cri(text: str, tag: str = "F", stream: str = "stdout") -> str:
    return f"2026-11-20T10:00:00.000000007Z {stream} {tag} {text}"


@pytest.mark.parametrize("frame", [lambda line: docker(line + "\n"), cri], ids=["Docker", "CRI"])
def test_frames_of_containers_are_taken_off(frame: Any) -> None:
    lines = [FIRST, *TRACES["Python"].split("\n"), '{"level":"warn","msg":"json"}', "plain"]
    first, second, third = sent("\n".join(frame(line) for line in lines))
    assert first["data"]["message"].endswith("KeyError: 'C'")
    assert (second["data"]["level"], second["data"]["message"]) == ("warn", "json")
    assert third["time"].startswith("2026-11-20T10:00:00")
    assert first["time"] == "2026-11-20T10:00:00.000Z"


@pytest.mark.parametrize(
    "lines",
    [
        [docker("one ", "stdout"), docker("other\n", "stderr"), docker("line\n", "stdout")],
        [cri("one ", "P", "stdout"), cri("other", "F", "stderr"), cri("line", "F", "stdout")],
    ],
    ids=["Docker", "CRI"],
)
def test_the_parts_of_a_long_line_are_joined_within_their_stream(lines: list[str]) -> None:
    events = sent("\n".join(lines))
    assert [(each["data"]["message"], each["data"]["labels"]["stream"]) for each in events] == [
        ("other", "stderr"),
        ("one line", "stdout"),
    ]


def test_a_part_without_its_end_is_sent() -> None:
    assert [event["data"]["message"] for event in sent(cri("half", "P"))] == ["half"]

"""`penstock send`, files: what can be read is sent, what cannot is named, the same file is the same events again."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
import typer

from penstock.cli.shipping.sources import Files, Problems, paths

UTC = ZoneInfo("UTC")
LINES = [f"2026-11-20 10:00:{n % 60:02d} INFO seat {n} is {n * 7919 % 1000}\n" for n in range(2000)]
TEXT = "".join(LINES).encode()


def sent(*names: Path | str, zone: ZoneInfo = UTC) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    problems = Problems()
    files = Files(paths([str(name) for name in names], problems), zone, None, problems)
    return [orjson.loads(raw) for raw in files], problems.found


def identities(events: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(event["source"], event["id"], event["time"]) for event in events]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gzip", "bzip2", "xz"])
def test_packed_files_are_unpacked_whatever_their_name(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "app.log").write_bytes(pack(TEXT[:1000]) + pack(TEXT[1000:]))
    events, problems = sent(tmp_path)
    assert (len(events), problems) == (len(LINES), [])


@pytest.mark.parametrize(
    ("pack", "damage"),
    [(gzip.compress, "cut"), (gzip.compress, "flipped"), (bz2.compress, "cut"), (lzma.compress, "cut")],
    ids=["gzip cut", "gzip flipped", "bzip2 cut", "xz cut"],
)
def test_a_damaged_file_gives_what_can_be_read(tmp_path: Path, pack: Any, damage: str) -> None:
    packed = bytearray(pack(TEXT))
    at = len(packed) * 3 // 4
    packed[at:] = b"" if damage == "cut" else bytes(byte ^ 0xFF for byte in packed[at:])
    (tmp_path / "a.log.gz").write_bytes(packed)
    (tmp_path / "b.log").write_text("2026-11-20 10:00:00 INFO behind it\n")
    events, [(name, reason)] = sent(tmp_path)
    assert name == str(tmp_path / "a.log.gz")
    assert "packed data" in reason
    assert events[-1]["data"]["message"] == "behind it"
    if pack is gzip.compress:  # the others give whole blocks only
        assert len(events) > len(LINES) // 2


def test_padding_behind_packed_data_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(TEXT) + bytes(512))
    events, problems = sent(tmp_path / "a.log.gz")
    assert (len(events), problems) == (len(LINES), [])


def test_what_cannot_be_opened_is_named_and_the_others_are_sent(tmp_path: Path) -> None:
    (tmp_path / "a.log").symlink_to("/proc/self/mem")  # opens, and cannot be read
    (tmp_path / "b.log").write_text(LINES[0])
    (tmp_path / "c.log.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    events, problems = sent(tmp_path / "a.log", tmp_path / "b.log", tmp_path / "c.log.zst")
    assert len(events) == 1
    assert [Path(name).name for name, _ in problems] == ["a.log", "c.log.zst"]
    assert "zstdcat" in problems[1][1]


def tar_of(text: bytes) -> bytes:
    out, member = io.BytesIO(), tarfile.TarInfo("app.log")
    member.size = len(text)
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        archive.addfile(member, io.BytesIO(text))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (b"\x28\xb5\x2f\xfd" + bytes(20), "zstdcat FILE"),
        (b"\x04\x22\x4d\x18" + bytes(20), "lz4cat FILE"),
        (b"PK\x03\x04" + bytes(20), "unzip -p FILE"),
        (b"LPKSHHRH" + bytes(20), "journalctl -o json --file FILE"),
        (tar_of(TEXT), "tar -xOf FILE"),
    ],
    ids=["Zstandard", "LZ4", "ZIP", "journal", "tar"],
)
def test_what_is_not_read_is_named_with_the_command_that_does(tmp_path: Path, content: bytes, command: str) -> None:
    (tmp_path / "app.log").write_bytes(content)
    events, [(_, reason)] = sent(tmp_path / "app.log")
    assert events == []
    assert f"{command} | penstock send -" in reason


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_files_of_other_systems(tmp_path: Path, encoding: str) -> None:
    text = "2026-11-20 10:00:00 ERROR Kasse geöffnet\r\n2026-11-20 10:00:01 INFO zu\r\n"
    (tmp_path / "a.log").write_bytes(text.encode(encoding))
    events, problems = sent(tmp_path / "a.log")
    found = [(event["time"][17:19], event["data"]["level"], event["data"]["message"]) for event in events]
    assert (found, problems) == ([("00", "ERROR", "Kasse geöffnet"), ("01", "INFO", "zu")], [])


@pytest.mark.parametrize("mark", [b"\0" * 4096, b"\xef\xbb\xbf", b"\0\0\xef\xbb\xbf"], ids=["NUL", "BOM", "both"])
def test_what_stands_before_a_line_and_is_no_text_is_dropped(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "a.log").write_bytes(LINES[0].encode() + mark + LINES[1].encode() + mark + b'{"msg":"json"}\n')
    messages = [event["data"]["message"] for event in sent(tmp_path / "a.log")[0]]
    assert messages == ["seat 0 is 0", "seat 1 is 919", "json"]


def test_bytes_that_are_no_text_stay_visible(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes("2026-11-20 10:00:00 INFO geöffnet\n".encode("latin-1"))
    assert sent(tmp_path / "a.log")[0][0]["data"]["message"] == "ge\\xf6ffnet"


@pytest.mark.parametrize("first", ["2026-11-20 10:00:00 INFO begin\n", "no time\n", '{"msg":"no time"}\n'])
def test_a_file_that_grew_or_was_rotated_gives_the_same_events_and_the_new_ones(tmp_path: Path, first: str) -> None:
    log = tmp_path / "app.log"
    log.write_text(first + LINES[1] + "also no time\n")
    before = identities(sent(log)[0])
    with log.open("a") as file:
        file.write("more\n")
    os.utime(log, (time.time() + 3600,) * 2)
    assert identities(sent(log)[0])[:3] == before
    log.rename(tmp_path / "app.log.1")
    os.utime(tmp_path / "app.log.1", (time.time() + 7200,) * 2)
    rotated = identities(sent(tmp_path / "app.log.1")[0])
    assert (rotated[:3], len(rotated)) == (before, 4)
    (tmp_path / "app.log.2.gz").write_bytes(gzip.compress((tmp_path / "app.log.1").read_bytes()))
    assert identities(sent(tmp_path / "app.log.2.gz")[0]) == rotated
    log.write_text("another beginning\n" + LINES[5])
    assert not set(identities(sent(log)[0])) & set(rotated)


def test_a_folder_gives_its_logs_also_rotated_ones(tmp_path: Path) -> None:
    wanted = [
        "a.log",
        "a.log.1",
        "a.log.2.gz",
        "b.log-20261101",
        "b.json",
        "syslog",
        "syslog.1",
        "sub/c.jsonl",
        "access_log",
        "error_log.1",
        "d.log.2.zst",
    ]
    for name in [*wanted, "notes.md", "tool.py"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(gzip.compress(b"x") if name.endswith(".gz") else b"x")
    found = paths([str(tmp_path)], Problems())
    assert sorted(str(path.relative_to(tmp_path)) for path in found if path) == sorted(wanted)
    with pytest.raises(typer.BadParameter):
        paths([str(tmp_path / "none")], Problems())


def test_standard_input_and_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Standard:
        buffer = io.BytesIO(LINES[0].encode())

    monkeypatch.setattr("sys.stdin", Standard)
    assert len(sent("-")[0]) == 1
    reader, writer = os.pipe()
    os.write(writer, LINES[0].encode())
    os.close(writer)
    assert len(sent(f"/dev/fd/{reader}")[0]) == 1
    os.close(reader)


def times(tmp_path: Path, lines: list[str], *, zone: ZoneInfo = UTC) -> list[str]:
    log = tmp_path / f"{len(lines)}.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    os.utime(log, (1_795_860_000,) * 2)  # 2026-11-28T10:00:00Z
    return [event["time"][:16] for event in sent(log, zone=zone)[0]]


@pytest.mark.parametrize(
    ("days", "years"),
    [
        (["Feb 28", "Feb 29", "Mar  1"], [2024, 2024, 2024]),
        (["Dec 31", "Jan  1", "Feb 29", "Nov  2"], [2023, 2024, 2024, 2024]),
        (["Feb 29", "Dec 30", "Jan  2", "Mar  3"], [2024, 2024, 2025, 2025]),
        (["Dec 30", "Jan  2", "Dec 30", "Jan  2"], [2024, 2025, 2025, 2026]),
        (["Dec 31", "Jan  1", "Dec 31", "Jan  1"], [2025, 2026, 2025, 2026]),
        (["Nov 27", "Nov 28"], [2026, 2026]),
        (["Dec  1"], [2025]),
    ],
)
def test_lines_without_a_year(tmp_path: Path, days: list[str], years: list[int]) -> None:
    assert [int(each[:4]) for each in times(tmp_path, [f"{day} 09:00:00 h p: m" for day in days])] == years


def test_the_hour_that_comes_twice(tmp_path: Path) -> None:
    berlin = ["02:10:00", "02:59:59", "02:00:00", "02:59:00", "03:00:00"]
    found = times(tmp_path, [f"2026-10-25 {clock} INFO m" for clock in berlin], zone=ZoneInfo("Europe/Berlin"))
    assert [each[11:] for each in found] == ["00:10", "00:59", "01:00", "01:59", "02:00"]


def test_the_zone_holds_for_every_format(tmp_path: Path) -> None:
    lines = ["2026-07-01 02:00:00 INFO m", '{"time":"2026-07-01 02:00:00","msg":"m"}', "Jul  1 02:00:00 h p: m",
             "07-01 02:00:00.0  1  2 D T: m", 'time="2026-07-01 02:00:00" level=info msg=m']  # fmt: skip
    assert times(tmp_path, lines, zone=ZoneInfo("Asia/Tokyo")) == ["2026-06-30T17:00"] * 5


@pytest.mark.parametrize(
    "make",
    [
        lambda size: "2026-11-20 10:00:00,123 - INFO  [" + "deadbeef" * (size // 8),
        lambda size: "a.b" * (size // 3),
        lambda size: " " * size + "x",
        lambda size: "2026-11-20 10:00:00 h p" + "(" * size,
        lambda size: "<1>1 2026-11-20T10:00:00Z h p - - " + '[a b="c"]' * (size // 9),
        lambda size: '{"msg":' + "[" * size,
        lambda size: "{" * size,
        lambda size: "level=info " + "a=b " * (size // 4),
        lambda size: '{"msg":"' + "\\u0000" * (size // 6) + '"}',
        lambda size: "\x1b[" + "1;" * (size // 2),
    ],
)
def test_time_grows_with_the_length_of_a_line_not_with_its_square(tmp_path: Path, make: Any) -> None:
    def seconds(size: int) -> float:
        (tmp_path / "long.log").write_text(make(size) + "\n")
        took = []
        for _ in range(3):
            began = time.process_time()
            assert sent(tmp_path / "long.log")[0]
            took.append(time.process_time() - began)
        return min(took)

    # Eight times the length: with the square of it, 64 times the time.
    assert seconds(400_000) < 24 * max(seconds(50_000), 0.002)

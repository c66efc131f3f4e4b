"""The commands that talk to the ingress, as a person runs them."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.rpc.caller import RequestCaller
from penstock.rpc.server import serve
from penstock.stack.place import CHECKOUT
from tests.support.broker_rig import Rig
from tests.support.ingress import Ingress, event
from tests.support.until import BOUND, until

KEY = "019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355"
HIT = {
    "key": KEY,
    "type": "log.line.v1",
    "dataset": "logs",
    "time": "2026-11-20T10:00:00.000Z",
    "entity": "web-1",
    "score": 1.5,
    "anomaly": {"score": 0.9995, "model": {"name": "lines", "version": 1}},
    "record": {"time": "2026-11-20T10:00:00.000Z", "entity": "web-1", "event": event("1")},
}


@pytest.fixture(scope="module")
async def ingress(rig: Rig) -> AsyncIterator[Ingress]:
    ingress = await Ingress(rig.place).start()
    yield ingress
    await ingress.stop()


class Command:
    """One run of `penstock`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def end(self, given: bytes | None = None) -> tuple[int, str, str]:
        async with asyncio.timeout(BOUND):
            out, err = await self.process.communicate(given)
        return self.process.returncode or 0, out.decode(), err.decode()


async def penstock(ingress: Ingress, *arguments: str, **environment: str) -> Command:
    settings = {"PENSTOCK_KEY": ingress.key, "COLUMNS": "200", **environment}
    return Command(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "penstock.cli.main", *arguments,
            env={**os.environ, **ingress.place.environment(), **settings}, cwd=CHECKOUT,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )
    )  # fmt: skip


async def as_json(ingress: Ingress, *arguments: str, given: bytes | None = None) -> Any:
    code, out, err = await (await penstock(ingress, *arguments, "--json")).end(given)
    assert code == 0, err
    return json.loads(out)


async def test_a_key_is_made_used_listed_and_revoked(ingress: Ingress) -> None:
    made = await as_json(ingress, "key", "create", "--identity", "sender_7", "--types", "log.line.v1")
    assert (await ingress.send(event("k-1"), key=made["key"])).status_code == 202
    listed = await as_json(ingress, "key", "list")
    [entry] = [each for each in listed if each["id"] == made["id"]]
    assert (entry["identity"], entry["types"], entry["roles"]) == ("sender_7", ["log.line.v1"], ["sender"])
    assert "sha256" not in entry
    code, out, _ = await (await penstock(ingress, "key", "revoke", made["id"])).end()
    assert (code, made["id"] in out) == (0, True)
    code, _, err = await (await penstock(ingress, "key", "create", "--identity", "indexer")).end()
    assert code == 1
    assert "KEY_INVALID" in err


async def test_a_saved_key_is_found_by_the_other_commands(ingress: Ingress) -> None:
    await (await penstock(ingress, "key", "create", "--identity", "saved", "--types", "*", "--save")).end()
    assert (ingress.place.secrets / "key").stat().st_mode & 0o777 == 0o600
    sending = await penstock(ingress, "send", "-", "--json", PENSTOCK_KEY="")
    code, out, err = await sending.end(b"2026-11-20 10:00:00 saved key\n")
    assert (code, json.loads(out or "{}").get("accepted")) == (0, 1), err


async def test_what_is_said_of_one_host_is_stored_as_it_was_read(rig: Rig, ingress: Ingress, tmp_path: Path) -> None:
    log = tmp_path / "syslog"
    log.write_text("".join(f"Nov 20 10:00:00 ordered-{n % 3} till[4]: step {n}\n" for n in range(900)))
    first = await rig.next_sequence("EVENTS_HTTP")
    sent = await as_json(ingress, "send", str(log), "--batch", "50", "--concurrency", "8")
    assert sent["accepted"] == 900
    steps: dict[str, list[int]] = {}
    for message in await rig.stored("EVENTS_HTTP", first):
        stored = json.loads(message.data)
        steps.setdefault(stored["subject"], []).append(int(stored["data"]["message"].split()[-1]))
    assert steps == {f"ordered-{host}": list(range(host, 900, 3)) for host in range(3)}


async def test_files_are_sent_once_however_often(ingress: Ingress, tmp_path: Path) -> None:
    lines = [f"2026-11-20T10:00:00.{n:03d}Z line {n}\n" for n in range(700)]
    (tmp_path / "app.log").write_text("".join(lines))
    record = {
        "eventSource": "s3.amazonaws.com",
        "eventName": "Get",
        "eventTime": "2026-11-20T10:00:00Z",
        "eventID": "1",
    }
    with gzip.open(tmp_path / "trail.jsonl.gz", "wt") as file:
        file.write(json.dumps(record) + "\n")
    (tmp_path / "ready.jsonl").write_text(json.dumps(event("ready")) + "\n" + '{"specversion":"1.0","id":"bad"}\n')
    code, out, _ = await (await penstock(ingress, "send", str(tmp_path), "--json")).end()
    first = json.loads(out)
    assert (code, first["read"], first["accepted"], first["duplicate"]) == (1, 703, 702, 0)
    assert {code: each["count"] for code, each in first["refused"].items()} == {"ENVELOPE_INVALID": 1}
    again = json.loads((await (await penstock(ingress, "send", str(tmp_path), "--json")).end())[1])
    assert (again["accepted"], again["duplicate"]) == (0, 702)
    with (tmp_path / "app.log").open("a") as log:
        log.write("2026-11-20T10:00:01Z one more\n")
    more = await as_json(ingress, "send", str(tmp_path / "app.log"))
    assert (more["accepted"], more["duplicate"]) == (1, 700)
    code, out, _ = await (await penstock(ingress, "send", str(tmp_path / "ready.jsonl"))).end()
    assert code == 1
    assert "0 accepted, 1 duplicate, 1 refused" in out


@pytest.mark.parametrize("size", [300_000, 9_000_000])
async def test_an_event_too_large_does_not_stop_those_behind_it(ingress: Ingress, tmp_path: Path, size: int) -> None:
    sizes = (1, size, 2)
    lines = [json.dumps(event(f"large-{size}-{n}", data={"message": "m" * n})) for n in sizes]
    (tmp_path / "large.jsonl").write_text("\n".join(lines))
    for batch in ("1", "500"):
        sending = await penstock(ingress, "send", str(tmp_path / "large.jsonl"), "--json", "--batch", batch)
        code, out, _ = await sending.end()
        counts = json.loads(out)
        assert (code, counts["accepted"] + counts["duplicate"]) == (1, 2)
        assert {name: each["count"] for name, each in counts["refused"].items()} == {"EVENT_TOO_LARGE": 1}


async def test_what_was_not_sent_whole_is_said(ingress: Ingress, tmp_path: Path) -> None:
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(b"2026-11-20 10:00:00 INFO one\n" * 500, mtime=0)[:-30])
    (tmp_path / "b.log").write_text("2026-11-20 10:00:00 " + "x" * 70_000 + "\n")
    code, out, err = await (await penstock(ingress, "send", str(tmp_path), TZ="Asia/Tokyo")).end()
    assert code == 1
    assert f"{tmp_path}/a.log.gz: the packed data ends early" in err
    assert "1 cut" in out
    assert "Asia/Tokyo" in out
    code, out, _ = await (await penstock(ingress, "send", str(tmp_path / "b.log"), "--json", "--zone", "UTC")).end()
    counts = json.loads(out)
    assert (code, counts["cut"], counts["zone"], counts["problems"]) == (0, 1, "UTC", [])


async def test_sending_goes_on_after_the_broker_was_away(ingress: Ingress, rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("".join(f"2026-11-20T11:00:00.{n:03d}Z line {n}\n" for n in range(300)))
    rig.processes.kill("nats")
    sending = await penstock(ingress, "send", str(tmp_path / "app.log"), "--json", "--batch", "100")

    async def turned_away() -> bool:
        return 'status="503"' in (await ingress.client.get("/metrics")).text

    await until(turned_away)
    await asyncio.to_thread(rig.processes.restart, "nats")
    code, out, err = await sending.end()
    assert (code, json.loads(out)["accepted"]) == (0, 300), err


async def test_tail_shows_what_is_sent(ingress: Ingress, rig: Rig) -> None:
    tailing = await penstock(ingress, "tail", "--most", "1", "--json", "--type", "log.line.v1")

    async def followed() -> bool:
        return "penstock_tail_clients 1.0" in (await ingress.client.get("/metrics")).text

    await until(followed)
    await ingress.send([event("t-0", type="metric.sample.v1", data={"name": "n", "value": 1}), event("t-1")])
    code, out, _ = await tailing.end()
    assert (code, json.loads(out)["event"]["id"]) == (0, "t-1")


@pytest.fixture
async def asked(rig: Rig) -> AsyncIterator[list[tuple[str, dict[str, Any]]]]:
    """Workers that answer with one hit, and what they were asked."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def answering(name: str, reply: dict[str, Any]) -> Any:
        async def answer(request: dict[str, Any], _: RequestCaller) -> dict[str, Any]:
            seen.append((name, request))
            return reply

        return answer

    page = {"hits": [HIT], "total": {"value": 1, "relation": "eq"}}
    indexer, writer = await rig.broker("indexer"), await rig.broker("writer")
    entry = {name: HIT[name] for name in ("key", "time", "type", "dataset")} | {"summary": "hello"}
    running = [
        await serve(indexer, "search", {name: answering(name, page) for name in ("query", "similar", "anomalies")}),
        await serve(
            writer,
            "store",
            {
                "get": answering("get", {"records": [HIT["record"]]}),
                "timeline": answering("timeline", {"entity": "web-1", "entries": [entry]}),
            },
        ),
    ]
    await indexer.flush()
    await writer.flush()
    yield seen
    for responder in running:
        await responder.stop()


async def test_query_commands_show_their_answers(ingress: Ingress, asked: list[tuple[str, dict[str, Any]]]) -> None:
    code, out, err = await (
        await penstock(ingress, "search", "disk", "full", "-w", "level=error,fatal", "-w", "value>=0.5", "-n", "5")
    ).end()
    assert code == 0, err
    assert all(part in out for part in ("web-1", "hello", "0.9995", KEY, "1 found"))
    assert asked[0][1]["text"] == "disk full"
    assert asked[0][1]["filters"] == [
        {"field": "level", "op": "in", "value": ["error", "fatal"]},
        {"field": "value", "op": "gte", "value": "0.5"},
    ]
    assert (await as_json(ingress, "similar", KEY))["hits"][0]["key"] == KEY
    assert (await as_json(ingress, "anomalies", "--from", "2026-11-01T00:00:00Z"))["hits"]
    assert "hello" in (await (await penstock(ingress, "timeline", "web-1")).end())[1]
    assert "hello" in (await (await penstock(ingress, "get", KEY)).end())[1]
    assert [name for name, _ in asked] == ["query", "similar", "anomalies", "timeline", "get"]
    assert asked[1][1]["key"] == KEY


async def test_errors_are_shown_with_their_code(ingress: Ingress) -> None:
    for arguments, code in (
        (("search", "-w", "nonsense"), "QUERY_INVALID"),
        (("search", "--dataset", "Nothing*"), "QUERY_INVALID"),
        (("get", "no-key"), "QUERY_INVALID"),
    ):
        status, _, err = await (await penstock(ingress, *arguments)).end()
        assert (status, code in err) == (1, True), err
    status, _, err = await (await penstock(ingress, "search", PENSTOCK_KEY="pk_wrong")).end()
    assert (status, "UNAUTHENTICATED" in err) == (1, True)
    status, _, err = await (await penstock(ingress, "tail", PENSTOCK_URL="http://127.0.0.1:1")).end()
    assert (status, "SERVICE_UNAVAILABLE" in err) == (1, True)


async def test_the_example_needs_nothing_but_http(ingress: Ingress) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHECKOUT / "examples" / "post.py"),
        env={**os.environ, "PENSTOCK_URL": ingress.url, "PENSTOCK_KEY": ingress.key},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await Command(process).process.communicate()
    assert out.decode().startswith("202 accepted ")


async def opened(ingress: Ingress, count: int = 1) -> None:
    async def followed() -> bool:
        return f"penstock_tail_clients {count}.0" in (await ingress.client.get("/metrics")).text

    await until(followed)


async def test_each_event_is_in_the_pipe_at_once_whatever_it_holds(ingress: Ingress) -> None:
    tailing = await penstock(ingress, "tail", "--json", PYTHONUNBUFFERED="")
    await opened(ingress)
    assert tailing.process.stdout is not None
    for number, text in enumerate(("table 4\u2028no onions", "a\u2029b\x85c\x0bd\x0ce\x1cf", "x\ry", "plain")):
        await ingress.send(event(f"pipe-{number}", data={"message": text}))
        async with asyncio.timeout(BOUND):
            line = await tailing.process.stdout.readline()
        assert json.loads(line)["event"]["data"]["message"] == text
    tailing.process.terminate()
    await tailing.end()


async def test_a_tail_whose_key_is_revoked_says_so_and_fails(ingress: Ingress) -> None:
    made = await as_json(ingress, "key", "create", "--identity", "tails", "--datasets", "logs", "--roles", "reader")
    tailing = await penstock(ingress, "tail", PENSTOCK_KEY=made["key"])
    await opened(ingress)
    await (await penstock(ingress, "key", "revoke", made["id"])).end()
    code, _, err = await tailing.end()
    assert (code, "UNAUTHENTICATED" in err) == (1, True), err


async def test_a_tail_comes_back_after_a_restart_and_has_missed_nothing(ingress: Ingress) -> None:
    tailing = await penstock(ingress, "tail", "--json", "--most", "3", "--entity", "comes-back")
    impatient = await penstock(ingress, "tail", "--patience", "0.5", "--entity", "never-sends")
    await opened(ingress, 2)
    for number in range(3):
        if number == 1:
            await ingress.stop_process()
            code, _, err = await impatient.end()
            assert (code, err.count("trying again for 0.5 s"), "cannot be reached" in err) == (1, 1, True), err
            await ingress.start()
        assert (await ingress.send(event(f"back-{number}", subject="comes-back"))).status_code == 202
    code, out, err = await tailing.end()
    assert (code, [json.loads(line)["event"]["id"] for line in out.splitlines()]) == (0, ["back-0", "back-1", "back-2"])
    assert "trying again" in err

"""`penstock dlq`, as an operator runs it."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path

from penstock.stack.place import CHECKOUT
from tests.support.broker_rig import Rig, Sink, subject
from tests.support.command import dlq
from tests.support.dead_letters import fail
from tests.support.replay_hosts import Replica
from tests.support.runbook import Runbook

DECISIONS = ("deny", "allow")  # of `penstock identity`


async def test_from_the_list_to_a_patched_redrive(operator: Rig, tmp_path: Path) -> None:
    since = await operator.next_sequence("DLQ")
    payloads = [b'{"data": {"level": "\\u001b[31mwarn"}}', b'{"data": {"level": "x"}}']
    sequences = await operator.store(payloads, publisher="till")
    await operator.consumer()
    indexer = await operator.broker("indexer")
    reason = "no level\x1b[2J (at /data/level)"
    await fail(indexer, subject("till"), payloads, first=sequences[0], reason=reason)

    code, out, errors = await dlq(operator, "list", "--worker", "indexer")
    assert (code, "SINK_REFUSED" in out, "2 messages in 2 dead letters" in out) == (0, True, True), errors
    code, out, errors = await dlq(operator, "show", str(since))
    assert code == 0, errors
    assert '"level": "\\u001b[31mwarn"  ◀── fails here' in out
    assert "\x1b" not in out
    code, out, errors = await dlq(operator, "stats", "--json")
    assert json.loads(out)["states"]["open"]["dead_letters"] == 2, errors

    exported = tmp_path / "dead.jsonl"
    code, out, errors = await dlq(operator, "export", str(exported), "--number", f"{since}-{since + 1}", "-r", "look")
    assert code == 0, errors
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    assert [line["payload"].encode() for line in lines] == payloads
    code, _, errors = await dlq(operator, "export", str(exported), "-r", "again")
    assert (code, "cannot be written" in errors) == (2, True)

    unwritten = tmp_path / "unwritten.jsonl"
    code, _, errors = await dlq(operator, "export", str(unwritten), "--number", str(since))
    assert (code, "REPLAY_REASON_MISSING" in errors, unwritten.exists()) == (1, True, False), errors

    code, out, errors = await dlq(operator, "park", "--number", str(since + 1), "-r", "for tomorrow")
    assert (code, "1 dead letters (1 messages) are parked now" in out) == (0, True), errors
    code, _, errors = await dlq(operator, "drop", "-r", "everything")
    assert (code, "REPLAY_UNBOUNDED" in errors) == (1, True)

    fix = tmp_path / "fix.json"
    fix.write_text('{"data": {"level": "WARN"}}')
    bounds = ("--number", f"{since}-{since + 1}", "--fix", str(fix), "-r", "levels are upper case")
    code, out, errors = await dlq(operator, "plan", "indexer", *bounds, "--json")
    assert code == 0, errors
    plan = json.loads(out)
    assert (plan["dead_letters"], plan["counts"]["total"]) == (1, 1)
    sink = Sink()
    async with Replica(indexer, sink.handle):
        code, out, errors = await dlq(operator, "redrive", plan["hash"], "--watch", "--json")
    assert code == 0, errors
    assert json.loads(out.splitlines()[-1])["run"]["state"] == "done"
    assert sink.payloads == [b'{"data":{"level":"WARN"}}']


def documented() -> list[list[str]]:
    """Every line of docs/dead-letters.md that runs `penstock dlq`, as words."""
    text = (CHECKOUT / "docs/dead-letters.md").read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line, comments=True)[2:] for line in lines if line.startswith("penstock dlq ")]


async def test_every_documented_line_works(operator: Rig, tmp_path: Path) -> None:
    since = await operator.next_sequence("DLQ")
    indexer = await operator.broker("indexer")
    shop = subject("web_shop")
    payloads = [b'{"data": {"level": "warn"}}'] * 3
    for refusal in ("SINK_REFUSED", "TYPE_UNKNOWN"):
        sequences = await operator.store(payloads)
        await fail(indexer, shop, payloads, first=sequences[0], code=refusal)
    await operator.consumer()
    (tmp_path / "fix.json").write_text('{"data": {"level": "WARN"}}')
    hash = ""
    sink = Sink()
    async with Replica(indexer, sink.handle):
        for words in documented():
            end = words.index(">") if ">" in words else len(words)
            given = [
                re.sub(r"77497000029|77497000999", lambda found: str(since + (found[0] == "77497000999")), word)
                for word in words[:end]
            ]
            given = [hash if word == "<hash>" else word for word in given]
            given = [str(tmp_path / word) if word in ("fix.json", "dead.jsonl") else word for word in given]
            if given[0] == "plan" and "--fix" in given:
                await dlq(operator, "reopen", "--number", f"{since}-{since + 1}", "--state", "redriven", "-r", "again")
            code, out, errors = await dlq(operator, *given)
            assert code == 0, (given, errors)
            if given[0] == "plan":
                hash = hash or out.split("apply ")[-1].strip()
    assert len(sink.seen) == 3


async def test_the_runbook_of_a_poison_publisher_line_by_line(operator: Rig, tmp_path: Path) -> None:
    payloads = [b'{"data": {"severity": 3, "level": "WARN"}}', b'{"data": {"severity": 4, "level": "INFO"}}']
    sequences = await operator.store(payloads, publisher="billing")
    await operator.consumer()
    since = await operator.next_sequence("DLQ")
    for name in ("indexer", "writer"):
        reason = "additional member (at /data/severity)"
        broker = await operator.broker(name)
        await fail(broker, subject("billing"), payloads, first=sequences[0], code="SCHEMA_VIOLATION", reason=reason)
    book = Runbook(operator.place, tmp_path, "docs/dead-letters.md", "poison publisher", {"<number>": str(since + 2)})

    groups, single, shown, _ = await asyncio.gather(
        book.run("penstock dlq list --since 1h"),
        book.run("penstock dlq list --publisher"),
        book.run("penstock dlq show"),
        book.run("penstock dlq export"),
    )
    assert {line.split()[0] for line in groups.splitlines() if "billing" in line} == {"indexer", "writer"}
    assert str(since + 2) in single
    assert '"severity": 3  ◀── fails here' in shown
    assert len((tmp_path / "billing.jsonl").read_text().splitlines()) == 2
    assert "4 dead letters" in await book.run("penstock dlq park")
    await book.run("echo")
    book.hash(json.loads(await book.run("penstock dlq plan", "--json"))["hash"])
    sink = Sink()
    async with Replica(await operator.broker("indexer"), sink.handle):
        await book.run("penstock dlq redrive")
    assert sink.payloads == [b'{"data":{"level":"WARN"}}', b'{"data":{"level":"INFO"}}']
    assert "verified" in await book.run("penstock replay report")
    assert "2 dead letters" in await book.run("penstock dlq drop")  # the writer's
    stats = json.loads(await book.run("penstock dlq stats", "--json"))
    assert [group for group in stats["open"] if group["code"] == "SCHEMA_VIOLATION"] == []
    # These two are run where there is an authority to disconnect the publisher.
    assert [command.split()[:3] for command in book.left] == [["penstock", "identity", each] for each in DECISIONS]

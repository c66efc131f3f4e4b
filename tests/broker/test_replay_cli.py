"""`penstock replay`, as an operator runs it: exit codes, JSON, and a watch that survives the operator."""

from __future__ import annotations

import json
from typing import Any

from penstock.broker import Keys
from penstock.contracts.nats_subjects import key
from penstock.replay.run import BUCKET, run_key
from tests.support.bare_replica import BareReplica
from tests.support.broker_rig import Rig
from tests.support.command import replay
from tests.support.replay_console import put


async def planned(rig: Rig, *arguments: str, count: int = 200) -> dict[str, Any]:
    sequences = await put(rig, ["evt.00.http.till.log.line.v1"] * count)
    await rig.consumer(name="writer")
    bounds = ("--sequences", f"EVENTS_HTTP:{sequences[0]}-{sequences[-1]}", "--reason", "a test", "--by", "ann")
    code, out, errors = await replay(rig, "plan", "writer", *bounds, "--json", *arguments)
    assert code == 0, errors
    plan: dict[str, Any] = json.loads(out)
    return plan


async def test_from_plan_to_proof(operator: Rig) -> None:
    plan = await planned(operator)
    assert (plan["counts"]["total"], plan["by"]) == (200, "ann")
    async with BareReplica(await operator.broker("writer"), "writer"):
        code, out, errors = await replay(operator, "apply", plan["hash"], "--run", "nightly", "--watch", "--json")
    assert code == 0, errors
    last = json.loads(out.splitlines()[-1])
    assert (last["run"]["state"], last["outcomes"]["confirmed"]) == ("done", 200)
    code, out, _ = await replay(operator, "report", "nightly", "--watch")
    assert code == 0
    assert "nightly is done: verified" in out
    code, out, _ = await replay(operator, "list", "--watch", "--json")
    assert code == 0
    assert [run["id"] for run in json.loads(out)["runs"]] == ["nightly"]


async def test_a_run_that_cannot_be_read_is_named_and_the_others_are_listed(operator: Rig) -> None:
    plan = await planned(operator, "--rate", "0.1")
    code, out, errors = await replay(operator, "apply", plan["hash"], "--json")
    assert code == 0, errors
    run = json.loads(out)["id"]
    broker = await operator.broker("operator")
    await Keys(broker, BUCKET).put(run_key("damaged"), b'{"id": "damaged", "rate": "fast"}')
    try:
        code, out, errors = await replay(operator, "list")
        assert (code, run in out, "run damaged cannot be read: " in errors) == (0, True, True), errors
        code, out, errors = await replay(operator, "list", "--json", "--active")
        assert [each["id"] for each in json.loads(out)["unreadable"]] == ["damaged"], errors
        code, _, errors = await replay(operator, "status", "damaged")
        assert (code, errors.startswith("REPLAY_UNREADABLE")) == (1, True), errors
    finally:
        await broker.publish(key(BUCKET, run_key("damaged")), b"", {"KV-Operation": "DEL"})
    assert (await replay(operator, "cancel", run, "--reason", "a test"))[0] == 0


async def test_states_have_exit_codes(operator: Rig) -> None:
    plan = await planned(operator, "--rate", "0.1")  # it would take an hour
    code, out, _ = await replay(operator, "apply", plan["hash"], "--json")
    run = json.loads(out)["id"]
    assert code == 0
    async with BareReplica(await operator.broker("writer"), "writer"):
        while json.loads((await replay(operator, "status", run, "--json"))[1])["run"]["state"] == "planned":
            pass
        for verb, state, expected in (("pause", "paused", 5), ("resume", "running", 0), ("cancel", "cancelled", 4)):
            # Whoever watches a pause or a cancel wants it: that is no failure.
            watch = () if verb == "resume" else ("--watch",)
            code, out, errors = await replay(operator, verb, run, "--reason", "a test", *watch)
            assert code == 0, errors
            assert state in out
            assert (await replay(operator, "status", run))[0] == expected
    assert (await replay(operator, "report", run))[0] == 6
    assert (await replay(operator, "status", run, "--watch"))[0] == 4


async def test_a_refusal_says_what_to_do(operator: Rig) -> None:
    for arguments, code in (
        (("plan", "writer", "--since", "2h"), "REPLAY_REASON_MISSING"),
        (("plan", "writer", "--reason", "x"), "REPLAY_UNBOUNDED"),
        (("plan", "writer", "--reason", "x", "--since", "soon"), "REPLAY_BOUNDS_INVALID"),
        (("plan", "writer", "--reason", "x", "--sequences", "EVENTS_HTTP"), "REPLAY_BOUNDS_INVALID"),
        (("apply", "0" * 64), "NOT_FOUND"),
        (("status", "nothing"), "NOT_FOUND"),
    ):
        found, _, errors = await replay(operator, *arguments)
        assert found == 1
        assert errors.startswith(code), errors


async def test_a_plan_is_readable(operator: Rig) -> None:
    await put(operator, ["evt.00.http.till.log.line.v1"] * 5)
    code, out, errors = await replay(
        operator, "plan", "indexer", "--since", "1h", "--reason", "a look", "--dataset", "logs"
    )
    assert code == 0, errors
    for text in (
        "repair events to indexer",
        "evt.*.http.*.log.line.v1",
        "by publisher: till",
        "penstock replay apply ",
    ):
        assert text in out

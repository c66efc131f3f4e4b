"""The stack with its defaults, from HTTPS to the stores: tokens, bearer keys, denials, and a new key of the issuer."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.auth.denials import write
from penstock.auth.token_sources import claims
from penstock.broker.server_connections import list_connections
from penstock.services.issuer import signing_keys as issuer_keys
from penstock.stack import process, status
from tests.support.default_stack import BOUND, READER, SENDER, DefaultStack, event
from tests.support.processes import Processes
from tests.support.scoring_models import RARE
from tests.support.secret_leaks import Secrets, leaks, leaks_in_files, log_and_config_files, processes, tracked
from tests.support.until import until

FLEET = ("ingress", "indexer", "writer", "scorer", "operator")


@pytest.fixture(scope="module")
async def stack(fleet: Processes, haproxy: None) -> AsyncIterator[DefaultStack]:
    stack = await DefaultStack(fleet.place).open()
    yield stack
    await stack.close()


async def stages(stack: DefaultStack, credentials: str, body: dict[str, Any]) -> dict[str, Any]:
    """Sends the event, and again the same one until its workers have said what became of it."""

    async def look() -> dict[str, Any] | None:
        answer = await stack.send(credentials, body, prefer="wait=20")
        if answer.status_code == 503:
            return None
        assert answer.status_code in (200, 202), answer.text  # 200: all that was waited for has been said
        result: dict[str, Any] = answer.json()["results"][0]
        assert result["status"] in ("accepted", "duplicate")
        return result if {"indexed", "stored", "scored"} <= set(result.get("stages") or {}) else None

    return await until(look, 3 * BOUND)


async def found(stack: DefaultStack, credentials: str, text: str, key: str) -> dict[str, Any]:
    """The hit with this key, as soon as a search finds it."""

    async def look() -> dict[str, Any] | None:
        answer = await stack.ask(credentials, "POST", "/v1/search", json={"text": text, "size": 10})
        assert answer.status_code == 200, answer.text
        return next((hit for hit in answer.json()["hits"] if hit["key"] == key), None)

    return await until(look, BOUND)


async def test_the_fleet_is_up_with_tokens_and_says_so(stack: DefaultStack) -> None:
    states = {part.name: part.state for part in status.status(stack.place)}
    expected = ["issuer_0", "authority_0", "authority_1", "edge", "edge_keys", *(f"{name}_0" for name in FLEET)]

    async def ready() -> bool | None:
        states.update({part.name: part.state for part in status.status(stack.place)})
        return all(states[name] == "ready" for name in expected) or None

    await until(ready, BOUND)
    connected = {session.identity for session in await list_connections(stack.warden)}
    assert set(FLEET) <= connected  # names are those of user JWTs; who came with an nkey has a public key there


async def test_an_event_goes_the_whole_way_and_a_person_reads_it(stack: DefaultStack) -> None:
    sender, reader = await stack.token(SENDER), await stack.token(READER)
    body = event(RARE)
    result = await stages(stack, sender, body)
    assert set(result["stages"]) >= {"indexed", "stored", "scored"}
    answer = await stack.ask(reader, "GET", f"/v1/events/{result['key']}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["publisher"] == stack.sender
    assert answer.json()["event"]["id"] == body["id"]
    await found(stack, reader, "kernel panic", result["key"])

    async def scored() -> bool | None:
        unusual = await stack.ask(reader, "GET", "/v1/anomalies", params={"size": 20})
        assert unusual.status_code == 200, unusual.text
        return result["key"] in [hit["key"] for hit in unusual.json()["hits"]] or None

    await until(scored, BOUND)


async def test_groups_decide_what_a_caller_may_do(stack: DefaultStack) -> None:
    sender, reader = await stack.token(SENDER), await stack.token(READER)
    assert (await stack.send(reader, event())).json()["code"] == "FORBIDDEN"
    assert (await stack.ask(sender, "POST", "/v1/search", json={"text": "x"})).json()["code"] == "FORBIDDEN"
    machine = await stack.token("penstock-indexer")
    assert (await stack.ask(machine, "GET", "/v1/types")).json()["code"] == "FORBIDDEN"


async def test_an_api_key_passes_the_edge_too(stack: DefaultStack) -> None:
    result = await stages(stack, stack.key, event("till 7 is open"))
    assert (await found(stack, stack.key, "till open", result["key"]))["key"] == result["key"]
    answer = await stack.ask(stack.key, "GET", f"/v1/events/{result['key']}")
    assert answer.json()["publisher"] == "till"


async def test_a_denied_identity_is_cut_off_at_broker_and_edge_within_two_seconds(stack: DefaultStack) -> None:
    """The same caller has a connection to the broker and one to the edge; both end, and both come back."""
    token = await stack.token(SENDER)
    assert (await stack.send(token, event())).status_code == 202
    broker = await stack.broker_of(SENDER)
    billing = await stack.broker("billing")
    began = time.monotonic()
    await write(stack.warden, stack.sender, denied=True, by="test", reason="on trial")
    try:
        at_the_edge, _ = await asyncio.gather(stack.denied(SENDER), until(lambda: not broker.connected, bound=BOUND))
        assert time.monotonic() - began < 2.0
        assert at_the_edge < 2.0
        assert billing.connected
    finally:
        await write(stack.warden, stack.sender, denied=False, by="test", reason="over")
    await broker.wait_connected(BOUND)

    async def accepted() -> bool | None:
        return (await stack.send(await stack.token(SENDER), event())).status_code == 202 or None

    await until(accepted, BOUND)


async def test_a_bearer_key_is_denied_at_the_edge_by_its_identity(stack: DefaultStack) -> None:
    await write(stack.warden, "till", denied=True, by="test", reason="on trial")
    try:
        assert await stack.denied("till") < 2.0
    finally:
        await write(stack.warden, "till", denied=False, by="test", reason="over")

    async def accepted() -> bool | None:
        return (await stack.send(stack.key, event())).status_code == 202 or None

    await until(accepted, BOUND)


async def test_a_rotated_key_of_the_issuer_reaches_the_edge_by_itself_and_costs_no_request(
    stack: DefaultStack,
) -> None:
    """Clients that send one event after another, with new tokens all the time, while the key changes under them."""
    old = await stack.token(SENDER, new=True)
    old_id = key_id(old)
    answers: list[tuple[str, int]] = []
    stop = asyncio.Event()
    turns = itertools.count()

    async def client(credentials: str = "") -> None:
        async with stack.new_client() as http:
            while not stop.is_set():
                token = credentials or await stack.token(SENDER, new=next(turns) % 5 == 0)
                headers = {"authorization": f"Bearer {token}", "content-type": "application/cloudevents+json"}
                if claims(token)["exp"] < time.time() + 2:
                    return  # the end of its life is another matter
                answer = await http.post("/v1/events", content=orjson.dumps(event()), headers=headers)
                answers.append((key_id(token), answer.status_code))

    clients = [asyncio.create_task(client()) for _ in range(3)] + [asyncio.create_task(client(old))]
    began = time.monotonic()
    made = await asyncio.to_thread(issuer_keys.rotate, stack.place.state / "issuer")

    async def passed() -> bool | None:
        assert not any(task.done() and task.exception() for task in clients)
        return sum(id == made for id, _ in answers) >= 20 or None

    try:
        await until(passed, BOUND)
        took = time.monotonic() - began
        assert (await stack.ask(old, "GET", "/v1/types")).status_code == 200
    finally:
        stop.set()
        await asyncio.gather(*clients)
    assert took < stack.place.issuer_key_ahead + BOUND / 2
    assert {status for _, status in answers} == {202}
    assert {id for id, _ in answers} == {old_id, made}


def key_id(token: str) -> str:
    from jose import jwt  # type: ignore[import-untyped]

    return str(jwt.get_unverified_header(token)["kid"])


async def test_the_fleet_renews_its_tokens_without_a_disconnect(stack: DefaultStack) -> None:
    """By now, or soon: a token here lives less than a minute."""
    operator = await stack.broker("operator")

    async def renewed() -> bool | None:
        seen = dict.fromkeys(FLEET, 0)
        sequence = 1
        while page := await operator.jetstream.get_many("AUDIT", sequence=sequence, subject="audit.authority.>"):
            sequence = page[-1].sequence + 1
            for message in page:
                record = orjson.loads(message.data)
                if record["decision"] == "admitted" and record["identity"] in seen:
                    seen[record["identity"]] += 1
        return min(seen.values()) >= 2 or None

    await until(renewed, 3 * stack.place.issuer_token_seconds)
    result = await stages(stack, await stack.token(SENDER), event("after the renewal"))
    assert result["key"]


def known(stack: DefaultStack) -> Secrets:
    """The secrets of the stack, with those that its callers were given here."""
    tokens = {f"token {number} of a caller": token for number, token in enumerate(stack.tokens)}
    return Secrets(stack.place, {"bearer key": stack.key, **tokens})


async def test_no_secret_is_in_logs_command_lines_or_tracked_files(stack: DefaultStack) -> None:
    secrets = known(stack)
    assert len(secrets) > 30
    logs = {path.name for path in log_and_config_files(stack.place)}
    assert logs >= {f"{name}.log" for name in ("nats", "elasticsearch", "cassandra", "authority_1", "edge", "issuer_0")}
    assert set(processes(stack.place).values()) >= {"nats", "elasticsearch", "cassandra", "edge", "writer_0"}
    assert await asyncio.to_thread(leaks, stack.place, secrets) == []
    assert await asyncio.to_thread(leaks_in_files, tracked(), secrets) == []
    operator = await stack.broker("operator")
    sequence, trail = 1, b""
    while page := await operator.jetstream.get_many("AUDIT", sequence=sequence):
        sequence = page[-1].sequence + 1
        trail += b"\n".join(message.data for message in page)
    assert trail
    assert secrets.within(trail) == set()


@pytest.mark.parametrize(
    "file",
    ["credentials/warden.nk", "credentials/authority.xkey.nk", "secrets/oidc/penstock-ingress",
     "secrets/cassandra_admin", "secrets/cassandra_writer", "secrets/elasticsearch_reader", "issuer/first.pem",
     "tls/edge.pem", "a bearer key", "a token"],
)  # fmt: skip
async def test_planted_secrets_are_found(stack: DefaultStack, tmp_path: Path, file: str) -> None:
    """Each kind of secret in a log, on a command line, in an environment and in a tracked file."""
    place = stack.place
    made_here = {"a bearer key": stack.key, "a token": await stack.token(SENDER)}
    secret = made_here.get(file) or (place.state / file).read_text()
    log, record = place.log("planted"), place.record("planted")
    try:
        with log.open("wb") as output:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", "import sys; print(sys.argv[1], flush=True); sys.stdin.read()", secret),
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                env={**os.environ, "PLANTED": secret},
                start_new_session=True,
            )
        await until(lambda: log.stat().st_size > 0, bound=BOUND)
        started = process.start_ticks(child.pid) or 0
        record.write_text(json.dumps(asdict(process.Record("planted", child.pid, started, (), {}, 1.0))))
        (tmp_path / "tracked").write_text(f"x = {secret!r}")
        secrets = known(stack)
        where = {each.where for each in await asyncio.to_thread(leaks, place, secrets)}
        assert {"logs/planted.log", f"command line of {child.pid}", "environment of planted"} <= where
        assert leaks_in_files([tmp_path / "tracked"], secrets)
    finally:
        child.kill()
        await child.wait()
        record.unlink(missing_ok=True)
        log.unlink()

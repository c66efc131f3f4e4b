"""The registry of models on a real server: what it takes, keeps and refuses."""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import orjson
import pytest

from penstock.broker import Broker, Keys, Objects
from penstock.errors import PenstockError, Refused
from penstock.rpc.client import ask
from penstock.scoring.package import verify
from penstock.scoring.registry import MODELS, REGISTRY, active_key, object_name
from penstock.services.operator.__main__ import build
from tests.support.blank_package import blank_package
from tests.support.broker_rig import Rig
from tests.support.records import records_of
from tests.support.until import BOUND, until
from tests.support.workers import RunningWorker, ask_registry, register


@pytest.fixture(scope="module")
async def registry(rig: Rig) -> AsyncIterator[Rig]:
    async with RunningWorker(rig, "operator", build):
        yield rig


@pytest.fixture
async def trainer(registry: Rig) -> Broker:
    return await registry.broker("trainer")


def piece(raw: bytes, **changes: Any) -> dict[str, Any]:
    """A package in one piece."""
    whole = {"name": "surprise", "upload": os.urandom(16).hex(), "offset": 0, "data": b64encode(raw).decode()}
    return whole | {"last": True, "digest": sha256(raw).hexdigest()} | changes


async def refusal(broker: Broker, operation: str, request: dict[str, Any]) -> PenstockError:
    with pytest.raises(PenstockError) as caught:
        await ask(broker, "registry", operation, request, timeout=BOUND)
    return caught.value


async def test_an_uploaded_model_can_be_read_back_whole(registry: Rig, trainer: Broker) -> None:
    model = await register(registry, blank_package(), activate=False)
    scorer = await registry.broker("scorer")
    raw = await Objects(scorer, MODELS).get(object_name("surprise", model.version))
    assert verify(raw, model.digest).raw == blank_package()
    assert (model.state, model.types, model.created_by) == ("ready", ["log.line.v1"], "trainer")


async def test_the_same_package_again_is_the_same_version(registry: Rig) -> None:
    first, again = [await register(registry, blank_package(), activate=False) for _ in range(2)]
    assert first == again


async def test_activation_moves_the_pointer_notifies_and_is_audited(registry: Rig) -> None:
    heard = asyncio.Event()
    scorer = await registry.broker("scorer")
    await scorer.subscribe("ctl.models", lambda _: heard.set())
    await scorer.flush()
    audited = await registry.next_sequence("AUDIT")
    model = await register(registry, blank_package())
    pointer = orjson.loads((await Keys(scorer, REGISTRY).get(active_key("surprise"))).value)
    assert (pointer["version"], pointer["digest"]) == (model.version, model.digest)
    await until(heard.is_set)
    (record,) = await registry.stored("AUDIT", audited)
    records_of([record])
    assert record.subject == "audit.operator.model_activated"
    said = orjson.loads(record.data)
    assert (said["actor"], said["model"], said["version"], said["reason"]) == (
        "trainer",
        "surprise",
        model.version,
        "a test",
    )


async def test_registered_versions_have_states(registry: Rig) -> None:
    first = await register(registry, blank_package())
    second = await register(registry, blank_package(2))
    await register(registry, blank_package(3), activate=False)
    found = (await ask_registry(registry, "list", {"model": "surprise"}, "ann", "operator"))["models"]
    assert [model["state"] for model in found] == ["retired", "active", "ready"]
    back = {"name": "surprise", "version": first.version, "reason": "the second was worse"}
    active = await ask_registry(registry, "activate", back, "ann", "operator")
    assert (active["version"], active["activated_by"]) == (first.version, "ann")
    assert (await ask_registry(registry, "list", {"model": "surprise"}, "ann", "operator"))["models"][1][
        "state"
    ] == "retired"
    assert second.version == first.version + 1


async def test_a_person_without_the_role_is_refused(registry: Rig) -> None:
    for operation, request in (("list", {}), ("activate", {"name": "surprise", "version": 1})):
        with pytest.raises(Refused, match="FORBIDDEN"):
            await ask_registry(registry, operation, request, "bob", "reader", "sender")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"digest": "0" * 64}, "MODEL_INVALID"),
        ({"data": b64encode(b"not a zip").decode(), "digest": sha256(b"not a zip").hexdigest()}, "MODEL_INVALID"),
        ({"data": "***"}, "QUERY_INVALID"),
        ({"offset": 7}, "QUERY_INVALID"),
        ({"digest": None}, "QUERY_INVALID"),
        ({"name": "Not A Token"}, "QUERY_INVALID"),
        ({"name": "all"}, "QUERY_INVALID"),
        ({"upload": "short"}, "QUERY_INVALID"),
    ],
)
async def test_what_is_not_a_package_makes_no_version(trainer: Broker, changes: dict[str, Any], code: str) -> None:
    before = await ask(trainer, "registry", "list", {})
    assert (await refusal(trainer, "upload", piece(b"PK small", **changes))).code == code
    assert await ask(trainer, "registry", "list", {}) == before


async def test_an_upload_chunk_may_repeat_but_not_differ(trainer: Broker) -> None:
    raw = blank_package()
    upload = os.urandom(16).hex()
    first = piece(raw[:1000], upload=upload, last=False, digest=None)
    for _ in range(2):
        state = await ask(trainer, "registry", "upload", first)
        assert state["received"] == 1000
    other = piece(raw[1000:2000], upload=upload, last=False, digest=None)
    assert (await refusal(trainer, "upload", other)).pointer == "/offset"


async def test_an_unknown_version_cannot_be_activated(trainer: Broker) -> None:
    assert (await refusal(trainer, "activate", {"name": "surprise", "version": 99})).code == "NOT_FOUND"


async def test_more_uploads_than_allowed_at_once_are_refused(trainer: Broker) -> None:
    codes = []
    for _ in range(6):
        try:
            await ask(trainer, "registry", "upload", piece(b"x", last=False, digest=None))
        except PenstockError as error:
            codes.append(error.code)
    assert codes
    assert set(codes) == {"OVERLOADED"}

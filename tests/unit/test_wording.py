"""Every rule that a request or an event can break has words: no validator's sentence and no pattern reaches people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict

from penstock.auth import issuers
from penstock.contracts import drift, load, wording
from penstock.contracts.model_file import read_model
from penstock.errors import Refused
from penstock.events import Checker, timestamps
from penstock.rpc import messages
from penstock.rpc.messages import Request, SearchQuery, SimilarQuery
from tests.support.sentences import MACHINE

CONTRACTS = load()
REQUESTS = [
    found
    for name in messages.__all__
    if isinstance(found := getattr(messages, name), type) and issubclass(found, Request)
]


def refusals(check: Callable[[Any], Any], values: Iterable[Any]) -> list[Refused]:
    found = []
    for value in values:
        try:
            check(value)
        except Refused as error:
            found.append(error)
    return found


def patterns(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for inner in schema.values():
            yield from patterns(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from patterns(inner)


def test_every_pattern_has_words() -> None:
    envelope = yaml.safe_load((CONTRACTS.root / "envelope.yaml").read_text(encoding="utf-8"))
    schemas = [envelope, *(each.data for each in CONTRACTS.types.values())]
    schemas += [drift.lenient(each.data) for each in CONTRACTS.types.values()]
    schemas += [request.model_json_schema() for request in REQUESTS]
    found = set(patterns(schemas))
    assert len(found) > 15
    assert found - wording.PATTERNS.keys() == set()


WRONG: list[Any] = [None, True, -1, 1.5, 1 << 70, "", "\x00", "A b", "x" * 70_000, [], {}, [None], [{}], {"x": 1}, [[]]]


@pytest.mark.parametrize("request_type", REQUESTS, ids=lambda each: each.__name__)
def test_a_wrong_request_is_refused_in_words(request_type: type[Request]) -> None:
    names = [field.alias or name for name, field in request_type.model_fields.items()]
    requests: list[Any] = [{"no_member": 1}, [], "x", *({name: value} for name in names for value in WRONG)]
    refused = refusals(request_type.read, requests)
    assert len(refused) > 2
    assert {error.code for error in refused} == {"QUERY_INVALID"}
    assert [error.detail for error in refused if MACHINE.search(error.detail)] == []
    assert [error.pointer for error in refused if "function-" in error.pointer or "constrained" in error.pointer] == []


@pytest.mark.parametrize(
    ("request_type", "request_", "detail", "pointer"),
    [
        (SearchQuery, {"size": "many"}, "`size` must be a whole number", "/size"),
        (SearchQuery, {"filters": [{"value": 1}]}, "`filters[0].field` is missing", "/filters/0/field"),
        (SearchQuery, {"filter": []}, "`filter` is not a member of the request", "/filter"),
        (SearchQuery, {"filters": [{"field": "a", "value": {}}]}, "`filters[0].value` must be true or false, a number, "
         "text or a list", "/filters/0/value"),
        (SearchQuery, {"filters": [{"field": "a", "op": "in", "value": [{}]}]}, "`filters[0].value[0]` must be true or "
         "false, a number or text", "/filters/0/value/0"),
        (SearchQuery, {"sort": "size"}, "`sort` must be time, relevance or anomaly", "/sort"),
        (SimilarQuery, {}, "give one of `key` and `text`", ""),
    ],
)  # fmt: skip
def test_the_sentence_names_the_member_and_the_rule(
    request_type: type[Request], request_: Any, detail: str, pointer: str
) -> None:
    with pytest.raises(Refused) as refused:
        request_type.read(request_)
    assert (refused.value.detail, refused.value.pointer) == (detail, pointer)


def invalid_examples() -> Iterator[Any]:
    for name in CONTRACTS.types:
        folder = CONTRACTS.root / "examples" / name / "invalid"
        yield from (pytest.param(path, id=f"{name}/{path.stem}") for path in sorted(folder.glob("*.json")))


CHECKER = Checker(CONTRACTS)
NOW_NS = timestamps.parse("2026-11-01T12:00:00Z")  # as expected.yaml beside the examples has it


def check(raw: bytes) -> None:
    CHECKER.at_ingress(raw, publisher="shop", door="http", now_ns=NOW_NS)


@pytest.mark.parametrize("path", list(invalid_examples()))
def test_a_wrong_event_is_refused_in_words(path: Any) -> None:
    with pytest.raises(Refused) as refused:
        check(path.read_bytes())
    assert not MACHINE.search(refused.value.detail), refused.value.detail


@pytest.mark.parametrize("value", WRONG)
def test_each_attribute_and_member_of_a_wrong_kind_is_refused_in_words(value: Any) -> None:
    plain = {"specversion": "1.0", "id": "1", "source": "s", "type": "log.line.v1", "subject": "a"}
    names = [
        "specversion",
        "id",
        "source",
        "type",
        "time",
        "subject",
        "datacontenttype",
        "traceparent",
        "data",
        "other",
    ]
    data = CONTRACTS.types["log.line.v1"].data["properties"]
    wrong = [{**plain, "data": {"message": "m"}, name: value} for name in names]
    wrong += [{**plain, "data": {"message": "m", name: value}} for name in data]
    refused = refusals(check, (json.dumps(event).encode() for event in wrong))
    assert len(refused) > 5
    assert [error.detail for error in refused if MACHINE.search(error.detail)] == []


class Shop(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    tills: list[int] = []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"name: [", "it is not YAML at line"),
        (b"\xff", "it is not"),
        (b"", "`name` is missing"),
        (b"- 1", "the file must be an object"),
        (b"{name: a, till: 1}", "`till` is not a member of the file"),
        (b"{name: a, tills: [1, x]}", "`tills[1]` must be a whole number"),
    ],
)
def test_a_wrong_file_is_refused_in_words(tmp_path: Path, text: bytes, words: str) -> None:
    (tmp_path / "shop.yaml").write_bytes(text)
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        read_model(tmp_path / "shop.yaml", Shop)
    assert not MACHINE.search(str(refused.value))


def test_an_issuers_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "issuers.yaml").write_text("issuers: [{issuer: 'https://id.test', audience: penstock, gives: [all]}]")
    with pytest.raises(Refused) as refused:
        issuers.read(tmp_path / "issuers.yaml")
    assert refused.value.code == "ISSUERS_INVALID"
    assert "`issuers[0].gives[0]` must be" in refused.value.detail
    assert not MACHINE.search(refused.value.detail)

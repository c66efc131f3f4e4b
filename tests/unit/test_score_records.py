"""Every example of the contracts becomes a score record that the stores take."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from penstock.contract_check.example_files import valid_files
from penstock.contract_check.lint_examples import NOW
from penstock.contracts import load
from penstock.events import Checker, Event
from penstock.scoring.features import Extractor
from penstock.scoring.package import verify
from penstock.scoring.score import read_score
from penstock.services.scorer.logic import score
from penstock.services.scorer.model import Model
from penstock.services.scorer.records import indexed_fields
from tests.support.scoring_models import package

CONTRACTS = load()
CHECKER = Checker(CONTRACTS)
EXAMPLES = [path for type in sorted(CONTRACTS.types) for path in valid_files(CONTRACTS, type)]


@dataclass
class Delivered:
    subject: str
    data: bytes
    headers: dict[str, str] = field(default_factory=dict)
    stream: str = "SCORES"
    sequence: int = 1
    stored_at_ns: int = NOW


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load("surprise", 3, verify(package()))


def accepted(path: Path) -> Event:
    event = CHECKER.at_ingress(path.read_bytes(), publisher="web_shop", door="http", now_ns=NOW)
    event.stream, event.sequence, event.stored_at_ns = "EVENTS_HTTP", 7, NOW
    return event


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_an_example_becomes_a_record_that_the_stores_take(model: Model, path: Path) -> None:
    event = accepted(path)
    (found,) = score([event], Extractor(CONTRACTS), model)
    read = read_score(Delivered(found.outgoing.subject, found.outgoing.payload), CONTRACTS)
    assert (read.key, read.sequence, read.version, read.dataset) == (event.key, 7, 3, event.type.dataset)
    assert len(found.outgoing.payload) < CONTRACTS.streams["SCORES"].max_message


def test_the_same_events_give_the_same_records(model: Model) -> None:
    events = [accepted(path) for path in EXAMPLES]
    extractor = Extractor(CONTRACTS)
    once, again = score(events, extractor, model), score(events, extractor, model)
    assert [one.outgoing for one in once] == [one.outgoing for one in again]


def test_members_below_arrays_are_listed() -> None:
    event = accepted(next(path for path in EXAMPLES if "cloud.audit" in path.parent.name))
    event.value["data"]["resources"] = [{"ARN": "a", "type": "t"}, {"ARN": "b"}, {}]
    event.value["data"]["userIdentity"] = {"type": "Root", "sessionContext": None}
    fields = indexed_fields(event)
    assert (fields["resources.ARN"], fields["resources.type"], fields["userIdentity.type"]) == (
        ["a", "b"],
        ["t"],
        "Root",
    )
    assert "userIdentity.sessionContext.sessionIssuer.arn" not in fields
    assert orjson.dumps(fields)

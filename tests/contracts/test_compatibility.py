"""What was released may be extended, never broken; the finding says what breaks and who must deploy first."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.contract_check.check import check
from penstock.contract_check.compatibility import Release, compare
from penstock.contract_check.schema_change import schema_changes
from tests.contracts.conftest import Edit

TEXT = {"type": "string", "maxLength": 10}
LINE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["message"],
    "properties": {
        "message": TEXT,
        "level": {"type": "string", "enum": ["info", "error"]},
        "code": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "parts": {"type": "array", "maxItems": 3, "items": TEXT},
        "free": {
            "type": "object",
            "x-open": True,
            "maxProperties": 2,
            "propertyNames": {"pattern": "^a", "maxLength": 5},
            "additionalProperties": TEXT,
        },
        "tree": {"$ref": "#/$defs/tree"},
    },
    "$defs": {
        "tree": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {"left": {"$ref": "#/$defs/tree"}, "leaf": TEXT},
        }
    },
}
TYPE = {
    "type": "log.row.v1",
    "meaning": "A row.",
    "owner": "somebody",
    "dataset": "logs",
    "status": "released",
    "entity": {"meaning": "host", "required": True},
    "time": {"past": "P2Y", "future": "PT1H"},
    "retention": "P3Y",
    "pii": ["message"],
    "indexed": {"message": {"as": "text", "search": True}, "level": {"as": "keyword"}},
    "score": {"text": ["message"]},
    "examples": ["smallest"],
    "data": LINE,
}


def _set(path: str, to: Any) -> Callable[[Any], None]:
    """A change of one member; `path` has slashes, and `to` None removes it."""

    def change(body: Any) -> None:
        *parents, last = path.split("/")
        for name in parents:
            body = body[name]
        if to is None:
            del body[last]
        else:
            body[last] = to

    return change


def _id(value: object) -> str:
    return str(sorted(value) if isinstance(value, set) else value)[:40]


SCHEMA_CHANGES = [
    ("properties/message/maxLength", 20, {("message", "wider")}),
    ("properties/message/maxLength", 9, {("message", "narrower")}),
    ("properties/message/minLength", 1, {("message", "narrower")}),
    ("properties/message/pattern", "x", {("message", "narrower")}),
    ("properties/message/type", ["string", "null"], {("message", "looser")}),
    ("properties/code/pattern", "^[a-z0-9]+$", {("code", "unclear")}),
    ("properties/code/pattern", None, {("code", "looser")}),
    ("properties/count/maximum", 10, {("count", "wider")}),
    ("properties/count/minimum", 1, {("count", "narrower")}),
    ("properties/count/type", "number", {("count", "narrower"), ("count", "looser")}),
    ("properties/level/enum", ["info", "error", "fatal"], {("level", "wider")}),
    ("properties/level/enum", ["info"], {("level", "narrower")}),
    ("properties/parts/maxItems", 4, {("parts", "wider")}),
    ("properties/parts/items/maxLength", 4, {("parts[]", "narrower")}),
    ("properties/free/maxProperties", 1, {("free", "narrower")}),
    ("properties/free/propertyNames/maxLength", 9, {("free[propertyNames]", "wider")}),
    ("properties/free/additionalProperties", False, {("free", "narrower")}),
    ("properties/free/x-open", False, {("free", "unclear")}),
    ("properties/extra", {"type": "boolean"}, {("extra", "wider")}),
    ("properties/level", None, {("level", "narrower")}),
    ("additionalProperties", True, {("", "unclear")}),
    ("required", ["message", "level"], {("", "narrower")}),
    ("required", [], {("", "looser")}),
    ("properties/level/description", "words", set()),
    ("title", "words", set()),
    ("$defs/tree/properties/leaf/maxLength", 1, {("tree.leaf", "narrower")}),
    ("$schema", "another", {("", "unclear")}),
    ("anyOf", [{}], {("", "unclear")}),
]


@pytest.mark.parametrize(("path", "to", "verdicts"), SCHEMA_CHANGES, ids=_id)
def test_a_change_of_a_schema_is_judged(path: str, to: Any, verdicts: set[tuple[str, str]]) -> None:
    after = fresh(LINE)
    _set(path, to)(after)
    assert {(change.where, change.verdict) for change in schema_changes(LINE, after)} == verdicts


TYPE_CHANGES = [
    ("meaning", "Another sentence.", None),
    ("owner", "somebody_else", None),
    ("examples", ["smallest", "typical"], None),
    ("score", {"text": []}, None),
    ("time/past", "P3Y", None),
    ("time/past", "P1Y", "breaking-narrower"),
    ("time/future", "PT30M", "breaking-narrower"),
    ("retention", "P4Y", None),
    ("retention", "P2Y", "breaking-looser"),
    ("dataset", "rows", "breaking-unclear"),
    ("status", "draft", "breaking-unclear"),
    ("entity/required", False, "breaking-looser"),
    ("pii", [], "breaking-looser"),
    ("indexed/free", {"as": "keyword"}, None),
    ("indexed/level", None, "breaking-looser"),
    ("indexed/level/as", "text", "breaking-looser"),
    ("indexed/level/search", True, None),
    ("indexed/message/search", False, "breaking-looser"),
    ("colour", "red", "breaking-unclear"),
    ("data/properties/message/maxLength", 1, "breaking-narrower"),
]


@pytest.mark.parametrize(("path", "to", "rule"), TYPE_CHANGES, ids=_id)
def test_a_change_of_a_released_type_is_judged(path: str, to: Any, rule: str | None) -> None:
    after = fresh(TYPE)
    _set(path, to)(after)
    findings, _ = compare(release(TYPE), release(after))
    assert [finding.rule for finding in findings] == ([rule] if rule else [])


def test_a_breaking_change_names_who_deploys_first_and_the_next_version() -> None:
    after = fresh(TYPE)
    _set("data/properties/message/maxLength", 1)(after)
    [finding], _ = compare(release(TYPE), release(after))
    assert finding.where == "events/log.row.v1.yaml message"
    assert "maxLength is 1, was 10" in finding.what
    assert "Senders must stop sending it first" in finding.next_step
    assert "v2" in finding.next_step


def test_an_extension_is_allowed_and_names_who_deploys_first() -> None:
    after = fresh(TYPE)
    _set("data/properties/extra", {"type": "boolean"})(after)
    findings, [note] = compare(release(TYPE), release(after))
    assert findings == []
    assert "readers first, then the senders" in note


def test_a_draft_may_change_and_go() -> None:
    draft = {**TYPE, "status": "draft"}
    assert compare(release(draft), Release("now", {}, {}, {})) == ([], [])


def test_a_released_type_dataset_or_code_may_not_go() -> None:
    before = Release("v1", {"log.row.v1": TYPE}, {"logs": {"period": "day"}}, {"GONE": {"status": 400}})
    findings, _ = compare(before, Release("now", {}, {}, {}))
    assert [finding.where for finding in findings] == [
        "events/log.row.v1.yaml",
        "datasets.yaml logs",
        "errors.yaml GONE",
    ]


def test_a_dataset_keeps_its_period_and_a_code_its_status() -> None:
    before = Release("v1", {}, {"logs": {"period": "day"}}, {"CODE": {"status": 400}})
    findings, _ = compare(before, Release("now", {}, {"logs": {"period": "year"}}, {"CODE": {"status": 409}}))
    assert [finding.where for finding in findings] == ["datasets.yaml logs", "errors.yaml CODE"]


def test_the_envelope_is_held_to_the_same() -> None:
    old = {"type": "object", "additionalProperties": False, "properties": {"id": {"type": "string", "maxLength": 9}}}
    new = fresh(old)
    new["properties"]["id"]["maxLength"] = 8
    new["properties"]["extension"] = {"type": "string", "maxLength": 9}
    [finding], [note] = compare(Release("v1", {}, {}, {}, old), Release("now", {}, {}, {}, new))
    assert (finding.where, finding.rule) == ("envelope.yaml id", "breaking-narrower")
    assert note.startswith("envelope.yaml extension: a new member")


@pytest.fixture
def repository(copy: Path) -> Callable[..., str]:
    """git(...) in a repository that holds a copy of the contracts in its first commit."""

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(copy.parent), *who, "-c", "tag.gpgsign=false", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    return git


def breaking(copy: Path, base: str | None = None) -> list[str]:
    return [finding.where for finding in check(copy, base).findings if finding.rule.startswith("breaking")]


def test_the_newest_tag_is_what_was_released(repository: Callable[..., str], copy: Path, edit: Edit) -> None:
    line = "events/log.line.v1.yaml"
    shorten = _set("data/properties/host/maxLength", 9)

    edit(line, shorten)
    assert check(copy).compared_with is None
    assert breaking(copy) == [], "nothing is frozen before the first release"

    repository("checkout", "--quiet", "--", ".")
    repository("tag", "v0.1.0")
    edit(line, shorten)
    assert check(copy).compared_with == "v0.1.0"
    assert breaking(copy) == ["events/log.line.v1.yaml host"]

    repository("commit", "--quiet", "--all", "-m", "break")
    assert breaking(copy) == ["events/log.line.v1.yaml host"], "committing it does not make it right"
    assert breaking(copy, base="HEAD") == []

    repository("tag", "v0.2.0")
    assert check(copy).compared_with == "v0.2.0"
    assert breaking(copy) == []


def test_a_base_revision_that_does_not_exist_is_an_error(repository: Callable[..., str], copy: Path) -> None:
    assert "release-unknown" in {finding.rule for finding in check(copy, "no-such-commit").findings}


def test_a_shallow_clone_without_tags_is_refused(
    repository: Callable[..., str], copy: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    repository("commit", "--quiet", "--allow-empty", "-m", "second")
    clone = tmp_path_factory.mktemp("clone")
    repository("clone", "--quiet", "--depth=1", f"file://{copy.parent}", str(clone))
    assert "release-unknown" in {finding.rule for finding in check(clone / "contracts").findings}


def release(*types: dict[str, Any]) -> Release:
    return Release("v1", {each["type"]: each for each in types}, {}, {})


def fresh(body: Any) -> Any:
    """A copy in which no two members are the same object, so that a change of one is a change of one."""
    return json.loads(json.dumps(body))

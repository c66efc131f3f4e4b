"""The contracts pass their own check, and each thing that may be wrong with them is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.contract_check.check import check
from penstock.contract_check.finding import Finding
from penstock.contract_check.lint_references import lint_error_codes
from penstock.contracts import find_root, load
from tests.contracts.conftest import Edit, set_member

LINE = "events/log.line.v1.yaml"
PLACE = "events/user.interaction.v1.yaml"


def test_the_contracts_have_no_findings() -> None:
    assert check(find_root()).findings == []


def _drop(*path: str) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        for name in path[:-1]:
            body = body[name]
        del body[path[-1]]

    return change


with (Path(__file__).parent / "mistakes.yaml").open(encoding="utf-8") as file:
    MISTAKES: dict[str, Any] = yaml.safe_load(file)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(copy: Path, edit: Edit, mistake: str) -> None:
    made = MISTAKES[mistake]
    edit(made["file"], set_member(*made["set"], to=made["to"]) if "set" in made else _drop(*made["drop"]))
    found = check(copy).findings
    assert made["finds"] in rules(found), found
    assert all(finding.what and finding.next_step for finding in found)


def test_one_path_indexed_in_two_ways_by_two_types_of_a_dataset_is_found(copy: Path, edit: Edit) -> None:
    edit(PLACE, set_member("dataset", to="logs"))
    edit(PLACE, set_member("data", "properties", "message", to={"type": "string", "maxLength": 9}))
    edit(PLACE, set_member("indexed", "message", to={"as": "keyword"}))
    assert "two-mappings" in rules(check(copy).findings)


def test_a_member_given_twice_is_found_though_yaml_would_take_it(copy: Path) -> None:
    with (copy / LINE).open("a") as file:
        file.write("owner: somebody_else\n")
    assert rules(check(copy).findings) == {"yaml"}


def test_an_example_that_is_not_listed_is_found(copy: Path) -> None:
    (copy / "examples/log.line.v1/extra.json").write_text("{}")
    (copy / "examples/log.line.v1/invalid/extra.json").write_text("{}")
    found = check(copy).findings
    assert [finding.where for finding in found if finding.rule == "examples"] == [
        "examples/log.line.v1/extra.json",
        "examples/log.line.v1/invalid/extra.json",
    ]


def test_an_example_that_its_type_refuses_is_found(copy: Path, edit: Edit) -> None:
    edit(LINE, set_member("data", "properties", "level", "maxLength", to=3))
    found = [finding for finding in check(copy).findings if finding.rule == "example-refused"]
    assert {finding.where for finding in found} >= {"examples/log.line.v1/typical.json"}
    assert "/data/level" in found[0].what


def test_a_bad_example_that_passes_is_found(copy: Path) -> None:
    good = copy / "examples/log.line.v1/smallest.json"
    (copy / "examples/log.line.v1/invalid/time_too_old.json").write_bytes(good.read_bytes())
    found = [finding for finding in check(copy).findings if finding.rule == "example-accepted"]
    assert [finding.where for finding in found] == ["examples/log.line.v1/invalid/time_too_old"]


def test_a_generated_file_that_is_stale_is_found(copy: Path, edit: Edit) -> None:
    edit(LINE, set_member("indexed", "file", "search", to=True))
    stale = {finding.where for finding in check(copy).findings if finding.rule == "stale"}
    assert "contracts/generated/elasticsearch/component-penstock-events-logs.json" in stale


def test_an_error_code_that_is_not_in_the_catalogue_is_found(tmp_path: Path) -> None:
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "bad.py").write_text('raise Refused("NO_SUCH_CODE", "x")\nraise Refused("NOT_FOUND", "x")\n')
    found = list(lint_error_codes(load(), tmp_path))
    assert [(finding.where, finding.rule) for finding in found] == [("libs/bad.py:1", "error-code")]


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule for finding in findings}

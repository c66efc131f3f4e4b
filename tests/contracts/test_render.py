"""What is made from the contracts is whole, as it should be, and fresh."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from typer.testing import CliRunner

from penstock.cli.contracts import app
from penstock.contract_check import asyncapi, json_schemas, readme_tables, render
from penstock.contract_check.example_files import invalid, valid_files
from penstock.contracts import load
from penstock.elasticsearch.templates import templates
from penstock.events import Checker
from penstock.scoring.vectors import DIMS

CONTRACTS = load()


def test_generated_files_are_fresh() -> None:
    assert list(render.stale(CONTRACTS)) == []


def test_render_writes_what_is_stale_and_removes_what_nothing_makes(copy: Path) -> None:
    generated = copy / "generated"
    (generated / "asyncapi.yaml").unlink()
    (generated / "old.json").write_text("{}")
    (copy.parent / "README.md").write_text(
        "# x\n<!-- generated: events -->\nold\n<!-- end generated: events -->\nkept\n"
    )
    contracts = load(copy)

    written = {path.relative_to(copy.parent).as_posix() for path in render.write(contracts)}
    assert written == {"contracts/generated/asyncapi.yaml", "contracts/generated/old.json", "README.md"}
    assert list(render.stale(contracts)) == []
    assert not (generated / "old.json").exists()
    readme = (copy.parent / "README.md").read_text()
    assert "old" not in readme
    assert "kept" in readme
    assert all(name in readme for name in contracts.types)


@pytest.mark.parametrize("name", readme_tables.TABLES)
def test_every_table_has_its_place_in_the_readme(name: str) -> None:
    readme = (CONTRACTS.root.parent / "README.md").read_text()
    assert f"<!-- generated: {name} -->\n" in readme
    assert f"<!-- end generated: {name} -->" in readme


def test_a_cell_with_a_bar_or_a_backslash_stays_one_cell() -> None:
    text = readme_tables.insert("<!-- generated: events -->\n<!-- end generated: events -->", CONTRACTS)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_the_standalone_schemas_decide_as_the_check_does() -> None:
    of_the_schema = {"ENVELOPE_INVALID", "ATTRIBUTE_UNKNOWN", "SCHEMA_VIOLATION"}
    for type, schema in json_schemas.event_schemas(CONTRACTS).items():
        validator = jsonschema_rs.Draft202012Validator(schema)
        for path in valid_files(CONTRACTS, type):
            assert validator.is_valid(json.loads(path.read_bytes())), path
        for bad in invalid(CONTRACTS, type):
            if bad.code in of_the_schema:
                assert not validator.is_valid(json.loads(bad.raw)), bad.name


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = yaml.safe_load((CONTRACTS.root / "generated/asyncapi.yaml").read_text())
    references = list(_references(document))
    assert len(references) > 100
    for reference in references:
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part.replace("~1", "/").replace("~0", "~")]


def test_the_asyncapi_document_has_every_event_record_and_request() -> None:
    document = asyncapi.document(CONTRACTS)
    addresses = {channel["address"]: channel for channel in document["channels"].values()}
    for type in CONTRACTS.types:
        for door in ("http", "nats"):
            channel = addresses[f"evt.{{pp}}.{door}.{{publisher}}.{type}"]
            assert set(channel["parameters"]) == set(re.findall(r"{(\w+)}", channel["address"]))
            assert channel["x-jetstream"]["stream"] == f"EVENTS_{door.upper()}"
    for name, record in CONTRACTS.records.items():
        assert document["channels"][name]["address"] == record.subject
        assert document["operations"][f"receive.{name}"]["action"] == "receive"
        assert set(document["components"]["messages"][name]) & {"headers", "payload"}
    for service, body in CONTRACTS.services.items():
        for operation in body.operations:
            assert f"svc.{service}.{operation}.{{caller}}" in addresses
            assert document["operations"][f"request.{service}.{operation}"]["reply"]


def test_only_the_record_and_indexed_members_are_mapped() -> None:
    bodies = templates(CONTRACTS)["component"]
    mapping = bodies["penstock-events-metrics"]["template"]["mappings"]
    assert mapping["dynamic"] is False
    event = mapping["properties"]["event"]["properties"]
    assert set(event) == {"id", "source", "type", "subject", "data"}
    assert set(event["data"]["properties"]) == set(CONTRACTS.types["metric.sample.v1"].indexed)
    scored = bodies["penstock-scored-metrics"]["template"]["mappings"]["properties"]
    assert scored["vector"]["dims"] == DIMS
    assert set(scored["fields"]["properties"]) == set(CONTRACTS.types["metric.sample.v1"].indexed)


def test_every_dataset_has_templates_of_a_rank_of_its_own() -> None:
    index = templates(CONTRACTS)["index"]
    scored = [body["priority"] for name, body in index.items() if name.startswith("penstock-scored-")]
    assert len(set(scored)) == len(CONTRACTS.datasets)


def test_the_command_prints_findings_as_json_and_says_by_its_exit_code_whether_there_are_any(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.cli.contracts.find_root", lambda: copy)
    run = CliRunner()
    assert run.invoke(app, ["render"]).exit_code == 0
    good = run.invoke(app, ["check", "--json"])
    assert (good.exit_code, json.loads(good.stdout)["findings"]) == (0, [])
    assert run.invoke(app, ["render", "--check"]).exit_code == 0

    (copy / "generated/asyncapi.yaml").write_text("stale")
    bad = run.invoke(app, ["check", "--json"])
    assert bad.exit_code == 1
    [finding] = json.loads(bad.stdout)["findings"]
    assert finding["where"] == "contracts/generated/asyncapi.yaml"
    assert set(finding) == {"where", "rule", "what", "next_step"}
    assert run.invoke(app, ["render", "--check"]).exit_code == 1


def test_every_type_compiles_into_the_check() -> None:
    assert Checker(CONTRACTS)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)

"""The AsyncAPI document is valid to the official parser, which `npm ci` puts into the cache at its locked version."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock import yaml_text
from penstock.contract_check import asyncapi
from penstock.contracts import load
from tests.support.npm_packages import NPM_SECONDS, installed

PARSE_SECONDS = 120
ERROR = 0  # the parser's severities: error, warning, information, hint

MISTAKES: list[tuple[tuple[str, ...], object]] = [
    (("operations", "receive.score.v1", "action"), "read"),
    (("operations", "receive.score.v1", "channel"), {"$ref": "#/channels/nowhere"}),
]

pytestmark = pytest.mark.timeout(NPM_SECONDS + PARSE_SECONDS)


@pytest.fixture(scope="module")
def parser() -> Path:
    """The folder with validate.mjs and its packages."""
    return installed("asyncapi-parser")


@pytest.fixture(scope="module")
def found(parser: Path) -> dict[str, Any]:
    """What the parser says of the rendered document, and of those with a mistake. One process: it starts slowly."""
    documents = {"": (load().root / "generated/asyncapi.yaml").read_text(encoding="utf-8")}
    documents |= {".".join(path): yaml.safe_dump(_with(path, to)) for path, to in MISTAKES}
    done = subprocess.run(
        ["node", str(parser / "validate.mjs")],
        input=json.dumps([*documents.values()]), capture_output=True, text=True, timeout=PARSE_SECONDS, check=True,
        cwd=parser,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return dict(zip(documents, map(json.loads, done.stdout.splitlines()), strict=True))


def test_the_rendered_document_is_valid(found: dict[str, Any]) -> None:
    assert found[""] == {"accepted": True, "diagnostics": []}


@pytest.mark.parametrize("path", [".".join(path) for path, _ in MISTAKES])
def test_the_parser_refuses_a_document_that_is_not(found: dict[str, Any], path: str) -> None:
    assert not found[path]["accepted"]
    assert ERROR in {each["severity"] for each in found[path]["diagnostics"]}


def _with(path: tuple[str, ...], to: object) -> dict[str, Any]:
    document: dict[str, Any] = yaml_text.parse(yaml.safe_dump(asyncapi.document(load())))
    node = document
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = to
    return document

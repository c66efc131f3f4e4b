"""A wrong path is answered with the one that was probably meant, and with none where that would be a guess."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock.services import edge
from penstock.services.ingress.http.dispatch import PATHS
from penstock.services.ingress.http.refusals import wrong_path

KNOWN = dict.fromkeys((*PATHS, "/v1/events/{key}", "/livez", "/readyz", "/docs", "/openapi.json"), ("get",))


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/events", "/v1/events"),
        ("/event", "/v1/events"),
        ("/v1/events/", "/v1/events"),
        ("/V1/Events", "/v1/events"),
        ("/events/01a2", "/v1/events/{key}"),
        ("/v1/type", "/v1/types"),
        ("/anomaly", "/v1/anomalies"),
        ("/v1/serch", "/v1/search"),
        ("/v1/tial", "/v1/tail"),
        ("//timeline", "/v1/timeline"),
        ("/doc", "/docs"),
        ("/v1/readyz", "/readyz"),
    ],
)
def test_the_path_that_was_probably_meant(path: str, near: str) -> None:
    assert wrong_path("POST", path, KNOWN).detail == f"there is no path {path}; did you mean {near}?"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/admin", "/v1/x", "/v1/logs", "/.env", "/v1/search/01a2/more"])
def test_a_path_that_is_like_no_other(path: str) -> None:
    assert wrong_path("GET", path, KNOWN).detail == f"there is no path {path}"


def test_the_edge_knows_the_paths_of_the_api() -> None:
    rules = (Path(edge.__file__).parent / "templates" / "edge.cfg").read_text()
    [named] = re.findall(r"\{ var\(txn\.near\) -m str ([^}]+) \}", rules)
    assert sorted(f"/v1{name}" for name in named.split()) == sorted(PATHS)

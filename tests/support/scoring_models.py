"""Small models for tests: trained in a second or two on lines that are said here."""

from __future__ import annotations

from functools import cache
from typing import Any

from penstock.contracts import load
from penstock.scoring.features import SCHEMA_DIGEST, Extractor
from penstock.services.trainer.export import export
from penstock.services.trainer.model import train

TYPE = "log.line.v1"


def usual(number: int) -> str:
    """A line like nearly all others."""
    return (f"user {number} logged in from 10.0.0.{number % 250}", f"request {number} took {number % 90} ms")[
        number % 2
    ]


RARE = "kernel panic: attempted to kill init"


def item(message: str, entity: str = "host-1") -> tuple[str, dict[str, Any], str]:
    """A log line as the extractor takes it."""
    return TYPE, {"source": "/app", "data": {"message": message}}, entity


def package(seed: int = 1) -> bytes:
    """A model package: the same bytes for the same seed, as long as the process lives."""
    return _package(seed)


@cache
def _package(seed: int) -> bytes:
    return trained(seed)


def trained(seed: int) -> bytes:
    """Such a package, trained now."""
    extractor = Extractor(load())
    items = [item(usual(number)) for number in range(1_200)] + [item(RARE)]
    network, figures = train(extractor.extract(items), seed)
    names = {plan.hash: name for name, plan in extractor.plans.items()}
    return export(network, {"rows": len(items), "schema": SCHEMA_DIGEST, "metrics": figures}, names)

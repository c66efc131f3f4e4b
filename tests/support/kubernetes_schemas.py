"""Strict JSON Schemas of Kubernetes' kinds, of the package kubernetes-validate, each read once."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema
import referencing
from kubernetes_validate import utils

OLDEST, NEWEST = "1.30", "1.37"


@cache
def _schemas(version: str, name: str) -> Any:
    return utils.schema_contents(f"kubernetes-json-schema/v{version}-local-strict/{name}.json", version)


@cache
def _validator(version: str, name: str) -> Any:
    registry = referencing.Registry()
    for each in ("_definitions", name):
        registry = referencing.Resource.from_contents(_schemas(version, each)) @ registry
    return jsonschema.Draft202012Validator(_schemas(version, name), registry=registry)


def faults(body: dict[str, Any], version: str) -> list[str]:
    """What is wrong with an object, in words; raises FileNotFoundError for a kind that this version does not have."""
    group, _, kind_version = body["apiVersion"].rpartition("/")
    short = f"{group.partition('.')[0]}-{kind_version}" if group else kind_version
    validator = _validator(full(version), f"{body['kind'].lower()}-{short}")
    return [f"{'.'.join(map(str, each.path))}: {each.message}" for each in validator.iter_errors(body)]


@cache
def full(version: str) -> str:
    """The release whose schemas stand for a minor version."""
    return str(next(each for each in utils.all_versions() if utils.major_minor(each) == version))

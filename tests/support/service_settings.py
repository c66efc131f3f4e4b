"""Which settings each service reads, and which of the stores it speaks to, from its source."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from pathlib import Path

from pydantic_settings import BaseSettings

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "services"
_MODULES = (
    "penstock.settings",
    "penstock.elasticsearch.settings",
    "penstock.audit.settings",
    *(f"penstock.services.{path.parent.name}.settings" for path in SERVICES.glob("*/settings.py")),
)


@cache
def classes() -> dict[str, type[BaseSettings]]:
    """Every class of settings, by its name."""
    found = [value for module in _MODULES for value in vars(import_module(module)).values()]
    kinds = [each for each in found if isinstance(each, type) and issubclass(each, BaseSettings)]
    return {each.__name__: each for each in kinds if each is not BaseSettings}


@cache
def used(service: str) -> frozenset[str]:
    """The names of the classes that the source of a service names."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (SERVICES / service).rglob("*.py"))
    return frozenset(name for name in classes() if re.search(rf"\b{name}\b", text)) | {"Settings"}


def variables(names: frozenset[str]) -> set[str]:
    """The variables that settings of these classes are read from."""
    return {
        f"{kind.model_config['env_prefix']}{field}".upper()
        for name in names
        if (kind := classes()[name])
        for field in kind.model_fields
    }


def services() -> set[str]:
    """The services that can be started."""
    return {path.parent.name for path in SERVICES.glob("*/__main__.py")}

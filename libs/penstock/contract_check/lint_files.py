"""Rules for contracts/ as files: YAML that says everything once, and nothing that no reader knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from penstock.contract_check.finding import Finding


class _Strict(yaml.CSafeLoader):
    """Refuses duplicate members, of which YAML keeps the last one silently."""


def _mapping(loader: _Strict, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else str(key)
        if name in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{name!r} is given twice", key.start_mark)
        seen.add(name)
    return dict(loader.construct_mapping(node, deep=True))


_Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def lint_files(root: Path) -> Iterator[Finding]:
    """Findings about every YAML file below `root` that people write."""
    for path in sorted(root.rglob("*.yaml")):
        where = path.relative_to(root).as_posix()
        if where.startswith("generated/"):
            continue
        try:
            with path.open(encoding="utf-8") as file:
                yaml.load(file, _Strict)  # noqa: S506 - a SafeLoader that is stricter still
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            yield Finding(where, "yaml", " ".join(str(error).split()), "Correct the YAML.")

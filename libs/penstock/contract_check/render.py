"""contracts/ → generated/, docs/metrics.md, alert rules, the chart's data, tables of README.md; finds what is stale."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from penstock.contract_check import alert_rules, asyncapi, chart_data, json_schemas, metrics_page, readme_tables
from penstock.contract_check.finding import Finding
from penstock.contracts import Contracts
from penstock.elasticsearch.templates import templates

_NOTE = "# Made from contracts/ by `penstock contracts render`; do not edit.\n"


def rendered(contracts: Contracts) -> dict[Path, str]:
    """The text of every generated file, by path."""
    folder = contracts.root / "generated"
    files = {folder / f"elasticsearch/{name}.json": _json(body) for name, body in _templates(contracts)}
    for name, schema in json_schemas.event_schemas(contracts).items():
        files[folder / f"json-schema/{name}.json"] = _json(schema)
    files[folder / "asyncapi.yaml"] = _NOTE + yaml.dump(
        json.loads(_json(asyncapi.document(contracts))), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110
    )
    readme = contracts.root.parent / "README.md"
    if readme.exists():
        files[readme] = readme_tables.insert(readme.read_text(encoding="utf-8"), contracts)
    project = contracts.root.parent
    if (project / "docs").is_dir():
        files[project / "docs/metrics.md"] = metrics_page.page(contracts.metrics)
        files[project / "compose/observe/alerts.yaml"] = alert_rules.text(contracts.objectives)
    if (project / "helm").is_dir():
        files[project / "helm/penstock/files/fleet.yaml"] = chart_data.text(contracts)
    return files


def stale(contracts: Contracts) -> Iterator[Finding]:
    """Findings about generated files that are not as they would be made now, and files that nothing makes."""
    files = rendered(contracts)
    there = {path for path in (contracts.root / "generated").rglob("*") if path.is_file()}
    for path in sorted(there | files.keys()):
        where = path.relative_to(contracts.root.parent).as_posix()
        if path not in files:
            yield Finding(where, "stale", "nothing makes this file", "Remove it: `penstock contracts render`.")
        elif not path.exists() or path.read_text(encoding="utf-8") != files[path]:
            yield Finding(where, "stale", "not as the contracts say now", "Run `penstock contracts render`.")


def write(contracts: Contracts) -> list[Path]:
    """Makes every generated file; returns those that changed or went."""
    changed = [contracts.root.parent / finding.where for finding in stale(contracts)]
    files = rendered(contracts)
    for path in changed:
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
        else:
            path.unlink()
    return changed


def _templates(contracts: Contracts) -> Iterator[tuple[str, Any]]:
    for kind, bodies in templates(contracts).items():
        for name, body in bodies.items():
            yield f"{kind}-{name}", body


class _Plain(yaml.CSafeDumper):
    """Without anchors: a reader of the document sees every schema in full."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _json(body: Any) -> str:
    return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

"""A real Prometheus that scrapes processes of a test by the rendered alert rules."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "compose/observe/alerts.yaml"


class Prometheus:
    """Runs in `folder` on `port`; scrapes `targets` (host:port by job) and evaluates the rules every second."""

    def __init__(self, folder: Path, port: int, targets: dict[str, str]) -> None:
        self._client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)
        rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
        for group in rules["groups"]:
            group["interval"] = "1s"
        (folder / "alerts.yaml").write_text(yaml.safe_dump(rules))
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yaml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in targets.items()
            ],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        options = {
            "config.file": folder / "prometheus.yaml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": f"127.0.0.1:{port}",
        }
        with (folder / "prometheus.log").open("wb") as log:
            command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    async def stop(self) -> None:
        """Kills it: its data are the test's."""
        self._process.kill()
        self._process.wait()
        await self._client.aclose()

    async def api(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API; None while it does not answer."""
        try:
            response = await self._client.get(f"/api/v1/{path}", params=parameters)
        except httpx.TransportError:
            return None
        return response.json()["data"] if response.status_code == 200 else None

    async def value(self, expression: str) -> float | None:
        """The value of an expression that gives one; None while it gives none."""
        data = await self.api("query", query=expression)
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    async def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        data = await self.api("alerts")
        return {each["labels"]["alertname"] for each in data["alerts"]} if data else set()

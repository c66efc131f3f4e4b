"""A real Prometheus scrapes a real ingress, and the rendered rules say whether the objectives are met."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from penstock.provisioning import provision
from tests.support.ingress import Ingress
from tests.support.lax_conf import lax
from tests.support.processes import Processes
from tests.support.prometheus import Prometheus
from tests.support.until import until

FIRES = "PenstockAcceptedIsDurableBurnsFast"


@pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed (Debian: apt-get install prometheus)"
)
async def test_the_alert_about_an_ingress_that_is_not_durable_fires(
    throwaway_nats: Callable[..., Processes], tmp_path: Path
) -> None:
    place = throwaway_nats(lax).place
    await provision.apply(place)
    ingress = await Ingress(place).start()
    target = ingress.url.removeprefix("http://")
    prometheus = Prometheus(tmp_path, place.local_port("keycloak"), {"ingress": target})
    try:

        async def fires() -> bool:
            return FIRES in await prometheus.firing()

        await until(fires)
        # A scrape that takes too long leaves no value behind for a second.
        for query, expected in (
            ('up{job="ingress"}', 1.0),
            ("penstock_ingress_durable", 0.0),
            ('penstock:objective_broken{objective="accepted_is_durable"}', 1.0),
        ):
            await until(partial(has, prometheus, query, expected))
        groups = (await prometheus.api("rules"))["groups"]
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        assert len(groups) == 3
    finally:
        await prometheus.stop()
        await ingress.stop()


async def has(prometheus: Prometheus, query: str, expected: float) -> bool:
    return await prometheus.value(query) == expected

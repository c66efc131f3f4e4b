"""The operator's process: answers svc.registry.*"""

from __future__ import annotations

from penstock.broker import Broker
from penstock.runtime import Parts, main
from penstock.services.operator.registry import Registry
from penstock.settings import Settings, load_settings


async def build(broker: Broker, _: Settings) -> Parts:
    """One registry."""
    registry = Registry(broker)
    return Parts(
        service="registry",
        operations={"list": registry.versions, "upload": registry.upload, "activate": registry.activate},
        concurrency=8,
    )


if __name__ == "__main__":
    main("operator", build, load_settings())

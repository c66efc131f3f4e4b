"""settings → keys of the issuers → haproxy.cfg → this process becomes HAProxy."""

from __future__ import annotations

import sys

import structlog

from penstock import telemetry
from penstock.errors import PenstockError
from penstock.settings import settings
from services.edge import configuration, keys, running
from services.edge.settings import EdgeSettings

_log = structlog.get_logger("penstock.edge")


def main() -> int:
    """Does not return unless HAProxy cannot be started."""
    chosen = settings()
    telemetry.configure_logging(chosen.log_level, "edge")
    folder = configuration.folder(chosen)
    try:
        _, faults = keys.fetch(configuration.believed(chosen), folder.keys)
        for fault in faults:
            _log.warning("keys_not_fetched", reason=fault)
        configuration.write(chosen, EdgeSettings())
        running.become(folder)
    except PenstockError as error:
        _log.critical("edge_not_started", code=error.code, reason=error.detail)
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""settings → keys of the issuers → haproxy.cfg → this process becomes HAProxy.

With the argument `update` it brings a running edge up to date instead, and ends.
"""

from __future__ import annotations

import sys

import structlog

from penstock import telemetry
from penstock.errors import PenstockError
from penstock.settings import settings
from services.edge import configuration, running
from services.edge.settings import EdgeSettings
from services.edge.update import update

_log = structlog.get_logger("penstock.edge")


def main() -> int:
    """The exit status; but a started HAProxy does not come back here."""
    chosen = settings()
    telemetry.configure_logging(chosen.log_level, "edge")
    try:
        folder = configuration.folder(chosen)
        done = update(chosen, EdgeSettings())
        for fault in done.faults:
            _log.warning("keys_not_fetched", reason=fault)
        if sys.argv[1:] == ["update"]:
            return 0
        running.become(folder)
    except PenstockError as error:
        _log.critical("edge_not_started", code=error.code, reason=error.detail)
    return 1


if __name__ == "__main__":
    sys.exit(main())

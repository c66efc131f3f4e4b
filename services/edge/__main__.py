"""settings → keys of the issuers → haproxy.cfg → this process becomes HAProxy.

With the argument `update` it brings a running edge up to date instead, and ends; with `keys` it does so again and
again, so that new keys of an issuer reach HAProxy before they sign.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable
from typing import NoReturn

import structlog

from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.errors import PenstockError
from penstock.services.edge import configuration, running
from penstock.services.edge.settings import EdgeSettings
from penstock.services.edge.update import update
from penstock.telemetry import configure_logging

_log = structlog.get_logger("penstock.edge")


def main() -> int:
    """The exit status; but a started HAProxy does not come back here."""
    settings = ElasticsearchSettings()
    configure_logging(settings.log_level, "edge")
    try:
        folder = configuration.folder(settings)
        if sys.argv[1:] == ["keys"]:
            keep_up(settings, EdgeSettings())
        _warn(update(settings, EdgeSettings()).faults)
        if sys.argv[1:] == ["update"]:
            return 0
        running.become(folder)
    except PenstockError as error:
        _log.critical("edge_not_started", code=error.code, reason=error.detail)
    return 1


def keep_up(settings: ElasticsearchSettings, edge: EdgeSettings) -> NoReturn:
    """Brings the edge up to date every `edge.keys_every` seconds, until SIGTERM. What fails is tried again then."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            done = update(settings, edge)
            _warn(done.faults)
            if done.written or done.reloaded:
                _log.info("keys_changed", keys=done.keys, reloaded=done.reloaded)
        except PenstockError as error:
            _log.error("keys_not_updated", code=error.code, reason=error.detail)
        time.sleep(edge.keys_every)


def _warn(faults: Iterable[str]) -> None:
    for fault in faults:
        _log.warning("keys_not_fetched", reason=fault)


if __name__ == "__main__":
    sys.exit(main())

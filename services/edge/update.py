"""issuers' key sets and settings → haproxy.cfg → a reload, if it is another configuration than the running one."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.file_lock import locked
from penstock.services.edge import configuration, issuer_keys, running
from penstock.services.edge.settings import EdgeSettings

UPDATE_SECONDS = 60.0  # for which another round may go on


@dataclass(frozen=True, slots=True)
class Updated:
    """What a round did; `faults` are issuers whose keys could not be fetched, and which keep their last ones."""

    keys: int
    written: bool
    reloaded: bool
    faults: tuple[str, ...]

    def __str__(self) -> str:
        if self.reloaded:
            return f"{self.keys} keys; reloaded"
        return f"{self.keys} keys; {'written' if self.written else 'as they were'}"


def update(settings: ElasticsearchSettings, edge: EdgeSettings) -> Updated:
    """One round; others wait for its end. Raises PenstockError as the parts do.

    What is compared is what runs: a reload that failed is made up for in the next round.
    """
    folder = configuration.folder(settings)
    with locked(folder.root / ".update.lock", UPDATE_SECONDS):
        found, faults = issuer_keys.fetch(configuration.trusted(settings), folder.keys)
        written = configuration.write(settings, edge)
        serves = running.configuration(settings)
        reloaded = serves is not None and serves != configuration.name(folder.configuration)
        if reloaded:
            running.reload(settings, folder)
            issuer_keys.sweep(folder.keys)
    return Updated(len(found), written, reloaded, tuple(faults))

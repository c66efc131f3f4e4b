"""EVENTS_HTTP, EVENTS_NATS (headers) → who published what → AUDIT
DLQ, ADMIN, SESSIONS, the server's log → who, what, when      → AUDIT
AUDIT → chain of hashes → every 10 s its head, signed          → AUDIT

Any number of processes may run: each record says up to where it goes, and the stream takes it only if it follows the
last one (journal.py). So whichever is killed, the next one goes on, and nothing is told twice or left out.
"""

from __future__ import annotations

from penstock.audit.seal import Signer
from penstock.auth import nkey_files
from penstock.broker import Broker
from penstock.contracts import load
from penstock.runtime import Parts, main
from penstock.services.auditor.admin import Calls
from penstock.services.auditor.connections import Sessions
from penstock.services.auditor.dead_letters import letter
from penstock.services.auditor.follow import Follow
from penstock.services.auditor.journal import Journal
from penstock.services.auditor.publishes import Publishes
from penstock.services.auditor.sealer import Sealer
from penstock.services.auditor.settings import AuditorSettings
from penstock.services.auditor.violations import Violations


async def build(broker: Broker, settings: AuditorSettings) -> Parts:
    """The parts of the auditor."""
    streams = load().event_streams
    names = nkey_files.names(settings.credentials_folder)
    stand_by = 3 * settings.audit_seconds
    publishes = [Publishes(broker, stream, every=settings.audit_seconds) for stream in streams]
    follows = [
        Follow(broker, "DLQ", "dead_letters", lambda page: [letter(message) for message in page], stand_by),
        Follow(broker, "ADMIN", "admin", Calls(load(), names).entries, stand_by),
        Follow(broker, "SESSIONS", "sessions", Sessions(names).entries, stand_by),
    ]
    signer = Signer(settings.credentials_folder)
    sealer = Sealer(broker, Journal(broker, "seal", stand_by), signer, settings.seal_keys, every=settings.audit_seconds)
    parts: list[Publishes | Follow | Sealer] = [*publishes, *follows, sealer]
    log = [Violations(broker, settings.nats_log_file, names).run] if settings.nats_log_file else []
    return Parts(
        background=[*(part.run for part in parts), *log],
        unready_reason=lambda: "; ".join(part.unready_reason for part in parts if part.unready_reason),
    )


if __name__ == "__main__":
    main("auditor", build, AuditorSettings())

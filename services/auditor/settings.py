"""Settings of the auditor, on top of those of every process."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from penstock.audit.settings import SealSettings


class AuditorSettings(SealSettings):
    """How often it writes, and which log it reads."""

    audit_seconds: float = Field(
        10.0, ge=0.1, le=60, description="of a window of publishes on the audit trail, and between its seals"
    )
    nats_log_file: Path | None = Field(
        None, description="log of a NATS server, in which the auditor finds violations of permissions"
    )

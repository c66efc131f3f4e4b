"""Settings of whoever seals the audit trail or verifies its seals."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from penstock.settings import Settings


class SealSettings(Settings):
    """Which keys the seals are checked with."""

    seal_keys_file: Path | None = Field(
        None, description="public keys that the audit trail's seals are checked with; default: the auditor's own"
    )

    @property
    def seal_keys(self) -> Path:
        """The file with the public keys of the audit trail's seals."""
        return self.seal_keys_file or self.credentials_folder / "auditor.seal.pub"

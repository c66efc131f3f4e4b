"""Settings of the local stack's issuer, on top of those of every process."""

from __future__ import annotations

from pydantic import Field

from penstock.settings import Settings


class IssuerSettings(Settings):
    """What its tokens say, and how long they and its keys live."""

    token_audience: str = Field("penstock", description="audience of the tokens that the local issuer gives")
    issuer_token_seconds: int = Field(300, ge=2, le=86_400, description="life of the tokens of the local issuer")
    issuer_key_ahead: int = Field(
        150, ge=0, le=86_400, description="seconds that a new key of the local issuer is published before it signs"
    )

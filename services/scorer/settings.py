"""Settings of the scorer, on top of those of every process; prefix PENSTOCK_SCORER_."""

from __future__ import annotations

import re

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_MODEL = "surprise"


class ScorerSettings(BaseSettings):
    """What one scorer process takes on."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_SCORER_", env_file=".env", extra="ignore")

    model: str = Field(DEFAULT_MODEL, description="the model whose active version scores")
    lanes: str = Field("", description="lanes that this process works on, e.g. 0-3 or 0,2,5; default: all")
    batch: int = Field(256, ge=1, le=1000, description="events of one lane scored and published together")
    recent: int = Field(20_000, ge=0, description="keys remembered, so that a redelivered event is not scored again")

    @field_validator("lanes")
    @classmethod
    def _readable(cls, text: str) -> str:
        if text and not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
            raise ValueError(f"{text!r} is not a list of lanes like 0-3 or 0,2,5")
        return text

    def assigned(self, lanes: int) -> list[int]:
        """The lanes of `lanes` that this process takes."""
        if not self.lanes:
            return list(range(lanes))
        found: set[int] = set()
        for part in self.lanes.split(","):
            first, _, last = part.partition("-")
            found.update(range(int(first), int(last or first) + 1))
        return sorted(lane for lane in found if lane < lanes)

"""What only the operator reads: environment variables with the prefix PENSTOCK_OPERATOR_."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class OperatorSettings(BaseSettings):
    """Who may do what."""

    model_config = SettingsConfigDict(env_prefix="PENSTOCK_OPERATOR_", env_file=".env", extra="ignore")

    approval: Literal["own", "another"] = Field(
        "own", description="who may apply a plan: also who made it, or only another (with the role approver)"
    )


def load_operator_settings() -> OperatorSettings:
    """The settings of this process."""
    return OperatorSettings()

"""The base of everything that contracts/ holds: frozen, and without members that no reader knows."""

from __future__ import annotations

from functools import cached_property

from pydantic import BaseModel, ConfigDict


class Data(BaseModel):
    """One mapping of a contract file. Raises pydantic.ValidationError for an unknown or mistyped member."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

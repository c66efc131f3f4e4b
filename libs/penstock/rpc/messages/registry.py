"""svc.registry.*: versions of models."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from penstock.rpc.messages.fields import ModelRef, Reply, Request, Token

MAX_CHUNK = 512 * 1024  # base64 characters of one piece of a model; a message is at most 1 MiB


class RegistryList(Request):
    """All versions, or those of one model."""

    model: Token | None = None


class RegisteredModel(ModelRef):
    """A version in the registry, and whether it scores."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    state: Literal["ready", "active", "retired"] = "ready"
    size: int = Field(0, description="bytes")
    types: list[str] = Field(default_factory=list)
    created_at: str | None = None
    created_by: str | None = None
    activated_at: str | None = None
    activated_by: str | None = None
    manifest: dict[str, Any] | None = Field(None, description="how it was trained, and its figures")


class RegisteredModels(Reply):
    """By name and version."""

    models: list[RegisteredModel]


class UploadChunk(Request):
    """One piece of a model's archive; the last one carries digest and manifest and makes the version."""

    name: Token
    upload: str = Field(pattern="^[0-9a-f]{32}$", description="random, chosen by the sender")
    offset: int = Field(ge=0, description="bytes before this piece")
    data: str = Field(max_length=MAX_CHUNK, description="base64")
    last: bool = False
    digest: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the whole, with `last`")
    manifest: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.last != (self.digest is not None):
            raise ValueError("`digest` comes with the last piece")
        return self


class UploadState(Reply):
    """Bytes received so far; the version once it is complete and verified."""

    upload: str
    received: int
    model: RegisteredModel | None = None


class ActivateModel(Request):
    """Makes a version the one that scores."""

    name: Token
    version: int = Field(ge=1)
    reason: str | None = Field(None, max_length=1024)

"""svc.score.*: embeddings, and the model versions that are loaded."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from penstock.rpc.messages.fields import ModelRef, Reply, Request, TypeName, Vector, Words


class EmbedRequest(Request):
    """A text (as if it were the message of an event of `type`), or the data of such an event."""

    type: TypeName
    text: Words | None = None
    data: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.text is None) == (self.data is None):
            raise ValueError("give one of `text` and `data`")
        return self


class Embedding(Reply):
    """Where the model puts it."""

    vector: Vector
    model: ModelRef
    pattern: str | None = None
    pattern_id: str | None = None


class ModelsQuery(Request):
    """No members."""


class LoadedModel(ModelRef):
    """A model version that a scorer has in memory."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    types: list[str] = Field(default_factory=list)
    active: bool = True


class LoadedModels(Reply):
    """What the scorer that answered has loaded."""

    models: list[LoadedModel]

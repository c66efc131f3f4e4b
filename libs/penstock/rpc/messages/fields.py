"""What requests and replies have in common: types of members, the base models, filters and ranges of time."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.functional_validators import AfterValidator

from penstock.contracts.model_violation import violation
from penstock.contracts.subjects import TOKEN, TYPE
from penstock.errors import Refused
from penstock.events import is_key, timestamps

# Members outside an event's data that filters, sorting and counting know, and where the stored record has them.
# A field without `@` is a path in the data, as the type's `indexed` lists it: `level`, `exception.type`.
OUTER_FIELDS = {
    "@key": "key",
    "@entity": "entity",
    "@publisher": "publisher",
    "@door": "door",
    "@stored_at": "stored_at",
    "@type": "event.type",
    "@source": "event.source",
    "@id": "event.id",
}


def _time(text: str) -> str:
    try:
        timestamps.parse(text)
    except Refused as error:
        raise ValueError(error.detail) from None
    return text


def _within(ns: int) -> int:
    return max(0, min(ns, _LAST_NS))


_LAST_NS = 253_402_300_799_999_999_999  # the end of the year 9999


def _key(text: str) -> str:
    if not is_key(text):
        raise ValueError(f"{text!r} is not an event key")
    return text


Token = Annotated[str, StringConstraints(pattern="^" + TOKEN.pattern.replace(r"\Z", "$"))]
TypeName = Annotated[str, StringConstraints(pattern="^" + TYPE.pattern.replace(r"\Z", "$"), max_length=255)]
Key = Annotated[str, StringConstraints(max_length=36), AfterValidator(_key)]
Time = Annotated[str, StringConstraints(max_length=35), AfterValidator(_time)]
FieldName = Annotated[
    str, StringConstraints(pattern="^@?[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*$", max_length=255)
]
EntityName = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Words = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Datasets = Annotated[list[Token], Field(min_length=1, max_length=32)]
Types = Annotated[list[TypeName], Field(min_length=1, max_length=32)]
Plain = (
    bool
    | Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, StringConstraints(max_length=1024)]
)
Vector = Annotated[str, StringConstraints(min_length=4, max_length=8192)]  # penstock.scoring.vectors


class WireModel(BaseModel):
    # Most processes use few of the models: those that are never used take no memory.
    model_config = ConfigDict(defer_build=True)

    def to_json(self) -> dict[str, Any]:
        """The members as they go over the wire; what was not given is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Request(WireModel):
    """A request: unknown members are refused, and no text becomes a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)

    @classmethod
    def read(cls, request: dict[str, Any]) -> Self:
        """The typed request in a JSON object. Raises Refused QUERY_INVALID with a pointer to the member at fault."""
        try:
            return cls.model_validate(request)
        except ValidationError as error:
            sentence, pointer = violation(error.errors(include_url=False, include_input=False), request)
            raise Refused("QUERY_INVALID", sentence, pointer=pointer) from None


class Reply(WireModel):
    """A reply: unknown members are ignored."""

    model_config = ConfigDict(extra="ignore", validate_by_name=True, validate_by_alias=True)


class TimeRange(Request):
    """Of the event's own time: from inclusive, to exclusive; either may be left open."""

    from_: Time | None = Field(None, alias="from", examples=["2026-11-20T00:00:00Z"])
    to: Time | None = None

    @property
    def from_ns(self) -> int | None:
        """Unix nanoseconds of the beginning, within the times that an event can have (1970 to 9999)."""
        return None if self.from_ is None else _within(timestamps.parse(self.from_))

    @property
    def to_ns(self) -> int | None:
        """Unix nanoseconds of the end, within the times that an event can have."""
        return None if self.to is None else _within(timestamps.parse(self.to))

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.from_ is not None and self.to is not None and timestamps.parse(self.from_) >= timestamps.parse(self.to):
            raise ValueError("`from` must lie before `to`")
        return self


class Filter(Request):
    """A condition on one field. `in` takes a list, `exists` true or false (default true), the others one value."""

    field: FieldName = Field(examples=["level"], description="path in the data, or one of " + ", ".join(OUTER_FIELDS))
    op: Literal["eq", "in", "gte", "lte", "gt", "lt", "exists", "prefix"] = "eq"
    value: Plain | Annotated[list[Plain], Field(min_length=1, max_length=256)] | None = Field(None, examples=["error"])

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if self.field.startswith("@") and self.field not in OUTER_FIELDS:
            raise ValueError(f"{self.field} is not one of {', '.join(OUTER_FIELDS)}")
        fits = {
            "in": isinstance(self.value, list),
            "exists": self.value is None or isinstance(self.value, bool),
            "prefix": isinstance(self.value, str) and self.value != "",
        }.get(self.op, self.value is not None and not isinstance(self.value, list))
        if not fits:
            raise ValueError(f"the value does not fit `{self.op}`")
        return self


class Scope(Request):
    """Where to look. Left out: everything that the caller may read."""

    datasets: Datasets | None = None
    types: Types | None = None
    time: TimeRange | None = None


class ModelRef(Reply):
    """One version of a model; vectors and scores of different versions do not compare."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Token
    version: int = Field(ge=1)
    feature_schema: str = Field("", alias="schema", max_length=128, description="hash of how events are read")
    digest: str = Field("", max_length=128, description="SHA-256 of the model's files")


class Anomaly(Reply):
    """What a model said of an event."""

    score: float = Field(description="share of what the model saw in training that was less unusual, 0 to 1")
    raw: float | None = None
    pattern: str | None = None
    pattern_id: str | None = None
    model: ModelRef

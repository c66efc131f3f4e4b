"""Hypothesis strategies: requests that are valid, and JSON that looks like requests and mostly is not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from penstock.contracts import Contracts, FieldKind
from penstock.rpc.messages import OUTER_FIELDS

Json = dict[str, Any]

WORD = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters='"'), min_size=1, max_size=2)
TEXT = st.lists(
    st.sampled_from(["password", "-root", '"for root"', '-"a b"', "blk_42", "10.0.0.1", "é𝄞", "*", "a*", "/x/", "a:b"])
    | WORD.map(lambda word: f"x{word}"),
    min_size=1,
    max_size=6,  # few enough for all fields of all types
).map(lambda words: " ".join([*words, "a1"]))
MOMENT = st.sampled_from(
    [
        "2026-10-01T10:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "1969-12-31T23:59:59.999999999Z",
        "2026-02-28T23:59:59.123456789-19:30",
        "9999-12-31T23:59:59-23:59",
    ]
)
STRING = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(
    ["error", "*", "now-1d/d", "\x00", "_id", "𝄞" * 512, "\\", "1e400", "/.*/"]
)
VALUES: dict[FieldKind, st.SearchStrategy[Any]] = {
    "keyword": STRING,
    "text": STRING,
    "long": st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(-(2.0**62), 2.0**62),
    "double": st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "date": st.sampled_from(["2026-10-01T10:00:00Z", "1970-01-02T00:00:00.123456789+19:00", "9999-12-31T23:59:59Z"]),
    "ip": st.ip_addresses().map(str),
    "geo_point": st.nothing(),
}
ORDERED = {"keyword", "long", "double", "date", "ip"}
PREFIX = st.text(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=30)


def fields(contracts: Contracts, datasets: list[str]) -> dict[str, FieldKind]:
    """The fields that a request to these datasets may name, and what they are."""
    outer: dict[str, FieldKind] = {name: "date" if name == "@stored_at" else "keyword" for name in OUTER_FIELDS}
    return outer | {
        path: field.kind
        for event_type in contracts.types.values()
        if event_type.dataset in datasets
        for path, field in event_type.indexed.items()
    }


def searches(contracts: Contracts, datasets: list[str]) -> st.SearchStrategy[Json]:
    """Valid requests of /v1/search."""
    plain = st.fixed_dictionaries({}, optional=_members(contracts, datasets) | {"sort": st.just("time")})
    relevant = st.fixed_dictionaries(
        {"text": TEXT}, optional=_members(contracts, datasets) | {"boost_anomaly": st.floats(0, 10)}
    )
    return plain | relevant


def counts(contracts: Contracts, datasets: list[str]) -> st.SearchStrategy[Json]:
    """Valid requests of /v1/count."""
    without = ("size", "order")
    members = {name: each for name, each in _members(contracts, datasets).items() if name not in without}
    countable = [
        name
        for name, kind in fields(contracts, datasets).items()
        if kind not in ("text", "geo_point") and name not in ("@key", "@id")
    ]
    size = {"size": st.integers(1, 1000)}
    return st.one_of(
        st.fixed_dictionaries({"by": st.sampled_from(countable)}, optional=members | size),
        st.fixed_dictionaries(
            {"per": st.sampled_from(["minute", "hour", "day", "month", "year"])}, optional=members | size
        ),
        st.fixed_dictionaries({"text": TEXT}, optional=members),
    )


def filters(known: dict[str, FieldKind]) -> st.SearchStrategy[Json]:
    """One valid condition on one of these fields."""
    return st.sampled_from(sorted(known)).flatmap(lambda name: _conditions(name, known[name]))


def _members(contracts: Contracts, datasets: list[str]) -> dict[str, st.SearchStrategy[Any]]:
    types = [name for name, each in contracts.types.items() if each.dataset in datasets]
    return {
        "entity": STRING.filter(bool),
        "filters": st.lists(filters(fields(contracts, datasets)), max_size=6),
        "datasets": st.just(datasets),
        "types": st.just(types),
        "time": st.builds(lambda moment: {"from": moment}, MOMENT)
        | st.builds(lambda moment: {"to": moment}, MOMENT)
        | st.just({"from": "1969-12-31T00:00:00Z", "to": "2026-12-31T00:00:00Z"}),
        "size": st.integers(1, 100),
        "order": st.sampled_from(["asc", "desc"]),
    }


def _conditions(name: str, kind: FieldKind) -> st.SearchStrategy[Json]:
    def of(op: str, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
        return st.fixed_dictionaries({"field": st.just(name), "op": st.just(op), "value": value})

    exists = of("exists", st.booleans())
    if kind == "geo_point":
        return exists
    value = VALUES[kind]
    found = [exists, of("eq", value), of("in", st.lists(value, min_size=1, max_size=20))]
    if kind in ORDERED:
        found += [of(op, value) for op in ("gt", "gte", "lt", "lte")]
    if kind in ("keyword", "text"):
        found.append(of("prefix", PREFIX))
    if kind == "ip":
        found.append(of("eq", st.sampled_from(["10.0.0.1/8", "2001:db8::/32", "0.0.0.0/0"])))
    return st.one_of(found)


# --- what is mostly not valid

NAMES = st.sampled_from(
    """
    text entity filters sort order size cursor boost_anomaly model datasets types time from to field op
    value key vector one_per_pattern min_score by per query bool script runtime_mappings
    aggs index _id _index ids terms more_like_this wildcard regexp query_string knn rescore pit collapse
    from_
    """.split()  # noqa: SIM905
)
ODD = st.sampled_from(
    [
        "", "*", "_all", "events-*", "events-metrics", "logs,metrics", "-logs", "<logs-{now/d}>", "cluster:logs",
        ".security", "logs::failures", "../_search", "%2e%2e", "\ud800",
        "\x00", "message", "@key", "@time", "_source", "_id",
        "019aa5b3-4b1a-8c41-9d6e-2f1c7a90e355", "now-1d", "anomaly", "relevance", "eq", "prefix", "lines",
        "WyIiLDFd", "x" * 5000,
    ]
)  # fmt: skip
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**30, -1, 101, 1 << 63])
    | ODD
    | st.text(max_size=20)
)


def anything() -> st.SearchStrategy[Any]:
    """JSON of any form, with the names that requests and Elasticsearch know."""
    return st.recursive(
        PLAIN,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=6),
        max_leaves=25,
    )


def spoiled(valid: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """Valid requests with members added or replaced by anything."""
    return st.builds(lambda first, more: first | more, valid, st.dictionaries(NAMES, anything(), max_size=2))

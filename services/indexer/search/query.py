"""typed request → Elasticsearch query. Only the clauses built here exist; nothing of a request is passed through."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from penstock.errors import Refused
from penstock.rpc.messages import Filter, TimeRange
from penstock.services.indexer.search.levels import spellings_of
from penstock.services.indexer.search.scope import Field, Scope, Where
from penstock.services.indexer.search.values import fit

Json = dict[str, Any]
_WORD = re.compile(r'(-?)"([^"]*)"|(\S+)')
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
_ANY_WORD = re.compile(r"\w+")
MOST_WORDS = 64
MOST_CLAUSES = 1024  # of words and conditions, each field of a word counted; the least that any node takes
MOST_BYTES = 256 * 1024  # of the query, as much as the ingress takes of a request
_EXPANSIONS = 50  # words that a prefix in full text may stand for


def build(
    scope: Scope,
    where: Where,
    *,
    text: str | None = None,
    entity: str | None = None,
    filters: Sequence[Filter] = (),
    time: TimeRange | None = None,
) -> Json:
    """The query for all conditions at once. Raises Refused QUERY_INVALID with a pointer."""
    must: list[Json] = []
    must_not: list[Json] = []
    conditions: list[Json] = []
    if text is not None:
        must, must_not = _words(text, scope, where)
    if entity is not None:
        conditions.append({"term": {"entity": entity}})
    if scope.narrowed:
        path = "event.type" if where == "events" else "type"
        conditions.append({"terms": {path: [event_type.type for event_type in scope.types]}})
    if time is not None and (bounds := _bounds(time)):
        conditions.append({"range": {"time": bounds}})
    for number, asked in enumerate(filters):
        try:
            clause = condition(asked, scope.field(asked.field, where))
        except Refused as error:
            raise Refused(error.code, error.detail, pointer=f"/filters/{number}") from None
        (must_not if asked.op == "exists" and asked.value is False else conditions).append(clause)
    query = {"must": must, "filter": conditions, "must_not": must_not}
    found = {"bool": {name: clauses for name, clauses in query.items() if clauses}}
    if (clauses := weight(found)) > MOST_CLAUSES:
        raise Refused(
            "QUERY_INVALID",
            f"it comes to {clauses} comparisons, more than {MOST_CLAUSES}: give fewer words, or narrow `types`",
        )
    if (size := len(orjson.dumps(found))) > MOST_BYTES:
        raise Refused(
            "QUERY_INVALID", f"it comes to {size} bytes, more than {MOST_BYTES}: give fewer or shorter values"
        )
    return found


def weight(query: Json) -> int:
    """How many comparisons of a field with a value or a word a query comes to; Elasticsearch counts them much alike."""
    [(name, body)] = query.items()
    match name:
        case "bool":
            groups = (clauses for clauses in body.values() if isinstance(clauses, list))
            return sum(weight(clause) for clauses in groups for clause in clauses)
        case "multi_match":
            return len(body["fields"]) * _words_in(body["query"])
        case "terms":
            return sum(len(values) for values in body.values())
        case "match_phrase" | "match_phrase_prefix":
            [found] = body.values()
            return _words_in(found["query"] if isinstance(found, dict) else found)
        case _:
            return 1


def _words_in(text: str) -> int:
    """No fewer than an analyzer makes: in some scripts each character is one, and very long ones are cut."""
    return max(1, len(_ANY_WORD.findall(text)) + sum(character >= "\u2000" for character in text) + len(text) // 255)


def condition(asked: Filter, field: Field) -> Json:
    """The clause of one filter; that of `exists: false` is to be negated. Raises Refused QUERY_INVALID."""
    path, value = field.path, asked.value
    if asked.op == "exists":
        return {"exists": {"field": path}}
    values = [fit(each, asked, field.kind) for each in (value if isinstance(value, list) else [value])]
    if field.kind == "text":
        return _in_text(asked, path, values)
    if field.is_level and asked.op in ("eq", "in", "prefix"):
        return _in_level(asked, path, values)
    match asked.op:
        case "eq":
            return {"term": {path: values[0]}}
        case "in":
            return {"terms": {path: values}}
        case "prefix":
            return {"prefix": {path: {"value": values[0]}}}
        case _:
            return {"range": {path: {asked.op: values[0]}}}


def _in_level(asked: Filter, path: str, values: list[str]) -> Json:
    if asked.op == "prefix":
        return {"prefix": {path: {"value": values[0], "case_insensitive": True}}}
    spellings = sorted({spelling for value in values for spelling in spellings_of(value)})
    terms = [{"term": {path: {"value": spelling, "case_insensitive": True}}} for spelling in spellings]
    return terms[0] if len(terms) == 1 else {"bool": {"should": terms, "minimum_should_match": 1}}


def _in_text(asked: Filter, path: str, values: list[Any]) -> Json:
    match asked.op:
        case "eq" | "in":
            phrases = [{"match_phrase": {path: value}} for value in values]
            return phrases[0] if len(phrases) == 1 else {"bool": {"should": phrases, "minimum_should_match": 1}}
        case _:
            return {"match_phrase_prefix": {path: {"query": values[0], "max_expansions": _EXPANSIONS}}}


def _bounds(time: TimeRange) -> Json:
    # In milliseconds, as the index keeps them: the zones that Elasticsearch can read are fewer than RFC 3339 has.
    bounds = {"gte": time.from_ns, "lt": time.to_ns}
    found: Json = {name: bound // 1_000_000 for name, bound in bounds.items() if bound is not None}
    return {**found, "format": "epoch_millis"} if found else {}


def _words(text: str, scope: Scope, where: Where) -> tuple[list[Json], list[Json]]:
    """All words must be there, those behind a minus must not; quotes make a phrase."""
    fields = scope.searched(where)
    if not fields:
        raise Refused("QUERY_INVALID", f"{scope.names} have no text to search", pointer="/text")
    must: list[Json] = []
    must_not: list[Json] = []
    for minus, phrase, word in _WORD.findall(text):
        if word.startswith("-") and len(word) > 1:
            minus, word = "-", word[1:]
        words = phrase or word
        if _LETTER_OR_DIGIT.search(words):
            (must_not if minus else must).append(_somewhere(words, fields.values()))
    if not must and not must_not:
        raise Refused("QUERY_INVALID", f"{text!r} has no letter or digit to look for", pointer="/text")
    if len(must) + len(must_not) > MOST_WORDS:
        raise Refused("QUERY_INVALID", f"more than {MOST_WORDS} words", pointer="/text")
    return must, must_not


def _somewhere(words: str, fields: Any) -> Json:
    # `.words` holds letters only, so that DataNode finds dfs.DataNode$PacketResponder; block_42 would find all blocks.
    by_letters = not any(character.isdigit() or character == "_" for character in words)
    paths = [field.path for field in fields]
    if by_letters:
        paths += [f"{field.path}.words" for field in fields]
    return {"multi_match": {"query": words, "type": "phrase", "fields": paths}}


def highlight(scope: Scope) -> Json:
    """Marks what was found, per field; the text around it is escaped for HTML."""
    paths = [field.path for field in scope.searched("events").values()]
    fields = {path: {"matched_fields": [path, f"{path}.words"]} for path in paths}
    return {
        "encoder": "html",
        "number_of_fragments": 3,
        "fragment_size": 200,
        "fields": fields,
    }

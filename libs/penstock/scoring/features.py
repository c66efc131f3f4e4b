"""events → arrays for the model: fixed names, types and widths, the same in the trainer and in every scorer.

text        → pattern hash, token ids
categories  → token ids, and hashes of path and value
pattern and categories, alone and with type, source and entity → cells: what the model has counted in training
numbers     → values, each with the hashes of the series that it belongs to
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from penstock.contracts import Contracts
from penstock.scoring.patterns import MASKS_VERSION, TOKENS, VOCABULARY, Pattern
from penstock.scoring.reading import CATEGORIES, NUMBERS, Plan, Reader, plan_of

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Wide = npt.NDArray[np.uint64]

# Cells: pattern in its type, in its source, of its entity; each category; pattern with each category.
CELLS = 3 + 2 * CATEGORIES
CELL_NAMES = (
    "pattern",
    "pattern_in_source",
    "pattern_of_entity",
    *(f"category_{n}" for n in range(CATEGORIES)),
    *(f"pattern_with_category_{n}" for n in range(CATEGORIES)),
)
SERIES = 2  # a number is compared within the entity's series, else within the pattern's

SCHEMA: Mapping[str, Any] = {
    "version": 1,
    "masks": MASKS_VERSION,
    "vocabulary": VOCABULARY,
    "cells": list(CELL_NAMES),
    "inputs": [
        {"name": "type", "dtype": "int32", "shape": []},
        {"name": "source", "dtype": "int32", "shape": []},
        {"name": "tokens", "dtype": "int32", "shape": [TOKENS]},
        {"name": "categories", "dtype": "int32", "shape": [CATEGORIES]},
        {"name": "cells", "dtype": "int32", "shape": [CELLS]},
        {"name": "fields", "dtype": "int32", "shape": [CELLS]},
        {"name": "numbers", "dtype": "float32", "shape": [NUMBERS]},
        {"name": "series", "dtype": "int32", "shape": [NUMBERS, SERIES]},
    ],
}
SCHEMA_DIGEST = sha256(orjson.dumps(SCHEMA, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True, slots=True)
class Features:
    """The arrays of a batch, first axis = event, named as in SCHEMA; and each event's pattern to show."""

    type: Ints
    source: Ints
    tokens: Ints
    categories: Ints
    cells: Ints
    fields: Ints
    numbers: Floats
    series: Ints
    patterns: list[Pattern]

    def inputs(self) -> dict[str, npt.NDArray[Any]]:
        """Keyword arguments of the model's signature."""
        return {spec["name"]: getattr(self, spec["name"]) for spec in SCHEMA["inputs"]}

    def take(self, rows: npt.NDArray[Any]) -> Features:
        """The events that `rows` (indices or a mask) chooses."""
        chosen = {name: array[rows] for name, array in self.inputs().items()}
        return Features(**chosen, patterns=[self.patterns[row] for row in np.arange(len(self.patterns))[rows]])


def mix(*parts: Wide | int) -> Wide:
    """One 64-bit hash of several (splitmix64 steps); arrays broadcast."""
    total: Wide = np.uint64(0x9E3779B97F4A7C15) * np.ones(1, np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            total = (total ^ np.asarray(part, np.uint64)) * np.uint64(0xBF58476D1CE4E5B9)
            total = (total ^ (total >> np.uint64(29))) * np.uint64(0x94D049BB133111EB)
            total ^= total >> np.uint64(32)
    return total


def fold(wide: Wide) -> Ints:
    """The low 31 bits, as the model takes them."""
    return (wide & np.uint64(0x7FFFFFFF)).astype(np.int32)


class Extractor:
    """Turns events into arrays. One per process and thread."""

    def __init__(self, contracts: Contracts) -> None:
        self.plans = {name: plan_of(event_type) for name, event_type in contracts.types.items()}
        self._reader = Reader()

    def extract(self, events: Iterable[tuple[str, Mapping[str, Any], str]]) -> Features:
        """Arrays of events given as (type, CloudEvent, entity). Raises KeyError on a type outside the contracts."""
        patterns: list[Pattern] = []
        types: list[int] = []
        sources: list[int] = []
        entities: list[int] = []
        categories: list[bytes] = []
        values: list[bytes] = []
        numbered: list[tuple[int, Plan, dict[str, Any]]] = []
        plans, read, hash_of = self.plans, self._reader.read, self._reader.hash
        for row, (name, event, entity) in enumerate(events):
            plan = plans[name]
            data = event.get("data")
            if data.__class__ is not dict:
                data = {}
            pattern, given = read(plan, data)
            patterns.append(pattern)
            types.append(plan.hash)
            sources.append(hash_of(event["source"]))
            entities.append(hash_of(entity))
            categories.append(given.tokens)
            values.append(given.values)
            if plan.numbers:
                numbered.append((row, plan, data))
        count = len(patterns)
        type_hash = np.array(types, np.uint64)
        source_hash = np.array(sources, np.uint64)
        entity_hash = np.array(entities, np.uint64)
        pattern_hash = np.array([pattern.hash for pattern in patterns], np.uint64)
        value_hash = np.frombuffer(b"".join(values), "<i4").reshape(count, CATEGORIES).astype(np.uint64)
        cells, fields = _cells(type_hash, source_hash, entity_hash, pattern_hash, value_hash)
        numbers, series = self._numbers(count, numbered, entity_hash, pattern_hash)
        return Features(
            type=type_hash.astype(np.int32),
            source=source_hash.astype(np.int32),
            tokens=np.frombuffer(b"".join([p.tokens for p in patterns]), "<i4").reshape(count, TOKENS),
            categories=np.frombuffer(b"".join(categories), "<i4").reshape(count, CATEGORIES),
            cells=cells,
            fields=fields,
            numbers=numbers,
            series=series,
            patterns=patterns,
        )

    def _numbers(
        self, count: int, numbered: list[tuple[int, Plan, dict[str, Any]]], entities: Wide, patterns: Wide
    ) -> tuple[Floats, Ints]:
        numbers = np.zeros((count, NUMBERS), np.float32)
        series = np.zeros((count, NUMBERS, SERIES), np.int32)
        if not numbered:
            return numbers, series
        paths = np.zeros((count, NUMBERS), np.uint64)
        for row, plan, data in numbered:
            for column, value in enumerate(self._reader.numbers(plan, data)):
                if value is not None:
                    # Compressed, so that a model of small and of huge values stays within float32.
                    numbers[row, column] = math.asinh(value)
                    paths[row, column] = plan.number_hashes[column]
        given = paths != 0
        of_pattern = mix(paths, patterns[:, None], 5)
        of_entity = mix(of_pattern, entities[:, None], 6)
        series[..., 0] = np.where(given, fold(of_entity) | 1, 0)
        series[..., 1] = np.where(given, fold(of_pattern) | 1, 0)
        return numbers, series


def _cells(types: Wide, sources: Wide, entities: Wide, patterns: Wide, values: Wide) -> tuple[Ints, Ints]:
    """What is counted (cells) and within what it is counted (fields); -1 where the event has no such cell."""
    count = len(types)
    cells = np.full((count, CELLS), -1, np.int32)
    fields = np.full((count, CELLS), -1, np.int32)
    # A field of its own for each source and entity: one that training has not met knows nothing, and surprises nobody.
    for place, field in enumerate((mix(types, 0), mix(types, sources, 1), mix(types, entities, 2))):
        fields[:, place] = fold(field)
        cells[:, place] = fold(mix(field, patterns))
    given = values != 0
    places = np.arange(CATEGORIES, dtype=np.uint64)[None, :]
    by_category = mix(types[:, None], places, 3)
    cells[:, 3 : 3 + CATEGORIES] = np.where(given, fold(mix(by_category, values)), -1)
    fields[:, 3 : 3 + CATEGORIES] = np.where(given, fold(by_category), -1)
    with_pattern = mix(types[:, None], places, 4)
    cells[:, 3 + CATEGORIES :] = np.where(given, fold(mix(with_pattern, values, patterns[:, None])), -1)
    fields[:, 3 + CATEGORIES :] = np.where(given, fold(with_pattern), -1)
    return cells, fields

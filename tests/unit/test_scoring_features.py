"""Arrays of events: same everywhere, whatever was read before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.contracts import load
from penstock.scoring.features import CELLS, SCHEMA, SCHEMA_DIGEST, Extractor

Item = tuple[str, dict[str, Any], str]


def line(message: str, source: str = "/app", **data: Any) -> Item:
    return "log.line.v1", {"source": source, "data": {"message": message, **data}}, "host-1"


def sample(value: float, name: str = "cpu") -> Item:
    return "metric.sample.v1", {"source": "agent", "data": {"name": name, "value": value}}, f"host/{name}"


@pytest.fixture
def extractor() -> Extractor:
    return Extractor(load())


def test_arrays_have_the_shapes_and_types_of_the_schema(extractor: Extractor) -> None:
    arrays = extractor.extract([line("a b c"), sample(0.5)]).inputs()
    assert {spec["name"]: (spec["dtype"], [2, *spec["shape"]]) for spec in SCHEMA["inputs"]} == {
        name: (str(array.dtype), list(array.shape)) for name, array in arrays.items()
    }


def test_no_events_give_empty_arrays(extractor: Extractor) -> None:
    assert {len(array) for array in extractor.extract([]).inputs().values()} == {0}


def test_an_event_reads_the_same_alone_and_among_others(extractor: Extractor) -> None:
    items = [line(f"user {n} logged in", level="info") for n in range(50)] + [sample(float(n)) for n in range(50)]
    together = extractor.extract(items)
    for row in (0, 49, 50, 99):
        alone = Extractor(load()).extract([items[row]])
        for name, array in alone.inputs().items():
            np.testing.assert_array_equal(array[0], getattr(together, name)[row])


def test_the_schema_is_what_models_were_trained_for() -> None:
    # A change here makes every trained model unusable: raise MASKS_VERSION or the schema's version on purpose only.
    assert SCHEMA_DIGEST == "a31a8a42527da27fbf0b87d586e34dd24a2de4203cefefea4834bd384ade7c18"


def test_hashes_do_not_depend_on_process_or_platform(extractor: Extractor) -> None:
    features = extractor.extract([line("user 7 logged in", level="info")])
    assert features.cells[0, :4].tolist() == [1850628050, 107506234, 550429817, 781855245]


def test_source_entity_and_category_change_their_own_cells(extractor: Extractor) -> None:
    base = extractor.extract([line("a b", level="info")]).cells[0]
    other_source = extractor.extract([line("a b", source="/else", level="info")]).cells[0]
    other_level = extractor.extract([line("a b", level="error")]).cells[0]
    assert np.flatnonzero(base != other_source).tolist() == [1]
    assert np.flatnonzero(base != other_level).tolist() == [3, 3 + (CELLS - 3) // 2]


def test_a_number_knows_its_series(extractor: Extractor) -> None:
    features = extractor.extract([sample(1.0), sample(2.0), sample(1.0, "memory"), line("no number")])
    assert (features.series[0] == features.series[1]).all()
    assert (features.series[0, 0] != features.series[2, 0]).all()
    assert not features.series[3].any()
    np.testing.assert_allclose(features.numbers[:2, 0], np.arcsinh([1.0, 2.0]), rtol=1e-6)


def test_an_event_without_text_is_patterned_by_its_categories(extractor: Extractor) -> None:
    assert extractor.extract([sample(1.0)]).patterns[0].text == "name:cpu"


def test_take_keeps_rows_and_patterns_together(extractor: Extractor) -> None:
    features = extractor.extract([line("one"), line("two"), line("three")])
    chosen = features.take(np.array([True, False, True]))
    assert [pattern.text for pattern in chosen.patterns] == ["one", "three"]
    np.testing.assert_array_equal(chosen.tokens, features.tokens[[0, 2]])

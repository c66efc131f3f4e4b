"""A model trained on half of the real events, judged on the other half by references that know nothing of it.

Templates of log lines are those of Drain; the baseline is "was this pattern ever seen in training?".
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pytest
import tensorflow as tf

from penstock.contracts import load
from penstock.errors import Refused
from penstock.scoring.features import SCHEMA, Extractor, Features
from penstock.scoring.package import MANIFEST, SCHEMA_FILE, THRESHOLDS, Package, pack, verify
from penstock.services.scorer.model import Answers, Model
from penstock.services.trainer.export import export
from penstock.services.trainer.model import train
from tests.support.drain_templates import templates
from tests.support.real_data import (
    Array,
    Item,
    area_under_curve,
    audit_records,
    log_lines,
    metric_samples,
    neighbour_precision,
)
from tests.support.scoring_models import item, package, trained, usual

RARE = 2  # lines of a template in 2,000 that still count as rare


@dataclass
class Trial:
    """Real events, which of them the model was trained on, and what it says of all."""

    items: list[Item]
    features: Features
    trained: Array
    answers: Answers
    package: Package
    seconds: float

    def known_patterns(self) -> set[str]:
        return {self.features.patterns[row].id for row in np.flatnonzero(self.trained)}

    def unknown(self, rows: Array) -> Array:
        """The baseline: patterns never seen in training."""
        known = self.known_patterns()
        return np.array([self.features.patterns[row].id not in known for row in rows])


@pytest.fixture(scope="module")
def trial() -> Trial:
    items = [*log_lines(), *audit_records(), *metric_samples(step=6)]
    extractor = Extractor(load())
    features = extractor.extract(items)
    trained = np.random.default_rng(1).random(len(items)) < 0.5
    started = time.perf_counter()
    network, figures = train(features.take(trained), seed=7)
    names = {plan.hash: name for name, plan in extractor.plans.items()}
    package = verify(export(network, {"figures": figures}, names))
    seconds = time.perf_counter() - started
    model = Model.load("surprise", 1, package)
    return Trial(items, features, trained, model.answer(features), package, seconds)


def rows_of(trial: Trial, source: str) -> Array:
    return np.array([row for row, item in enumerate(trial.items) if item[1]["source"] == source])


def sources(trial: Trial) -> list[str]:
    return sorted({item[1]["source"] for item in trial.items if item[0] == "log.line.v1"})


def test_rare_lines_rank_above_common_ones_and_better_than_a_lookup(trial: Trial) -> None:
    model_aucs, lookup_aucs = {}, {}
    for source in sources(trial):
        everything = rows_of(trial, source)
        found = np.array(templates([trial.items[row][1]["data"]["message"] for row in everything]))
        rare = np.bincount(found)[found] <= RARE
        unseen = ~trial.trained[everything]
        rows, rare = everything[unseen], rare[unseen]
        if rare.any():
            model_aucs[source] = area_under_curve(trial.answers.score[rows], rare)
            lookup_aucs[source] = area_under_curve(trial.unknown(rows), rare)
    assert len(model_aucs) >= 10
    assert min(model_aucs.values()) > 0.92
    assert np.mean(list(model_aucs.values())) > 0.975
    assert np.mean(list(model_aucs.values())) > np.mean(list(lookup_aucs.values())) + 0.08


def test_neighbours_of_a_line_share_its_template(trial: Trial) -> None:
    precision = {}
    for source in sources(trial):
        rows = rows_of(trial, source)
        found = np.array(templates([trial.items[row][1]["data"]["message"] for row in rows]))
        queries = np.flatnonzero((np.bincount(found)[found] >= 6) & ~trial.trained[rows])[::6]
        precision[source] = neighbour_precision(trial.answers.vector[rows], found, queries)
    assert min(precision.values()) > 0.7
    assert np.mean(list(precision.values())) > 0.92


def test_rare_calls_rank_above_common_ones(trial: Trial) -> None:
    everything = rows_of(trial, "aws")
    calls = [(data["eventName"], data.get("errorCode")) for row in everything if (data := trial.items[row][1]["data"])]
    count = Counter(calls)
    rows = everything[~trial.trained[everything]]
    rare = np.array([count[call] <= RARE for call in calls])[~trial.trained[everything]]
    score = area_under_curve(trial.answers.score[rows], rare)
    assert score > 0.94
    assert score > area_under_curve(trial.unknown(rows), rare) + 0.1


def test_neighbours_of_a_call_are_the_same_call(trial: Trial) -> None:
    rows = rows_of(trial, "aws")
    names, labels = np.unique([trial.items[row][1]["data"]["eventName"] for row in rows], return_inverse=True)
    queries = np.flatnonzero(np.bincount(labels)[labels] >= 6)
    assert neighbour_precision(trial.answers.vector[rows], labels, queries) > 0.97
    assert len(names) > 100


def test_a_value_far_outside_its_series_is_unusual(trial: Trial) -> None:
    extractor = Extractor(load())
    name = "nyc_taxi"

    def sample(value: float) -> Item:
        return "metric.sample.v1", {"source": "nab", "data": {"name": name, "value": value, "kind": "gauge"}}, name

    model = Model.load("surprise", 1, trial.package)
    usual, far, low = model.answer(extractor.extract([sample(15_000.0), sample(1e7), sample(-50.0)])).score
    assert usual < 0.9 < 0.99 < min(far, low)


def test_scores_say_what_share_of_events_is_less_unusual(trial: Trial) -> None:
    for kind in ("log.line.v1", "cloud.audit.v1", "metric.sample.v1"):
        rows = [r for r, item in enumerate(trial.items) if item[0] == kind and not trial.trained[r]]
        for share in (0.5, 0.9, 0.99):
            beyond = float(np.mean(trial.answers.score[rows] > share))
            assert beyond == pytest.approx(1 - share, abs=0.6 * (1 - share) + 0.01), (kind, share)


def test_vectors_have_length_one_and_scores_lie_within_bounds(trial: Trial) -> None:
    np.testing.assert_allclose(np.linalg.norm(trial.answers.vector, axis=1), 1, atol=1e-5)
    assert ((trial.answers.score >= 0) & (trial.answers.score <= 1)).all()
    assert np.isfinite(trial.answers.raw).all()


def test_a_type_without_history_is_neither_usual_nor_unusual(trial: Trial) -> None:
    item: Item = ("user.interaction.v1", {"source": "/ui", "data": {"action": "click"}}, "session-1")
    answers = Model.load("surprise", 1, trial.package).answer(Extractor(load()).extract([item]))
    assert (float(answers.score[0]), float(answers.raw[0])) == (0.5, 0.0)


def test_training_takes_seconds_and_the_package_is_small(trial: Trial) -> None:
    assert trial.seconds < 60
    assert len(trial.package.raw) < 2_000_000


def test_the_answer_for_an_event_does_not_depend_on_its_batch(trial: Trial) -> None:
    model = Model.load("surprise", 1, trial.package)
    rows = np.arange(0, len(trial.items), 997)
    together = model.answer(trial.features.take(rows))
    for place, row in enumerate(rows[:8]):
        alone = model.answer(trial.features.take(np.array([row])))
        np.testing.assert_allclose(alone.score[0], together.score[place], atol=1e-5)
        np.testing.assert_allclose(alone.vector[0], together.vector[place], atol=1e-5)


def test_a_model_of_another_feature_schema_is_refused(trial: Trial) -> None:
    other = Package(trial.package.raw, trial.package.digest, "0" * 64, trial.package.manifest)
    with pytest.raises(Refused, match="MODEL_INVALID"):
        Model.load("surprise", 2, other)


def test_a_package_that_tensorflow_cannot_load_is_refused(trial: Trial, tmp_path: Path) -> None:
    trial.package.unpack(tmp_path)
    (tmp_path / "saved_model" / "variables" / "variables.index").write_bytes(b"nothing")
    with pytest.raises(Refused, match="does not load"):
        Model.load("surprise", 2, verify(pack(tmp_path)))


def test_a_graph_with_foreign_operations_is_refused(tmp_path: Path) -> None:
    class Reader(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[])  # type: ignore[untyped-decorator]
        def score(self) -> dict[str, object]:
            return {"vector": tf.io.read_file("/etc/hostname")}

    reader = Reader()
    tf.saved_model.save(reader, str(tmp_path / "saved_model"), signatures={"score": reader.score})
    (tmp_path / "saved_model" / "variables" / "variables.data-00000-of-00001").touch()
    for name, body in ((SCHEMA_FILE, orjson.dumps(dict(SCHEMA))), (MANIFEST, b"{}"), (THRESHOLDS, b"{}")):
        (tmp_path / name).write_bytes(body)
    with pytest.raises(Refused, match="ReadFile"):
        Model.load("surprise", 2, verify(pack(tmp_path)))


def test_the_same_events_and_seed_give_the_same_model() -> None:
    features = Extractor(load()).extract([item(usual(number)) for number in range(500)])
    first, second = (Model.load("surprise", 1, verify(raw)).answer(features) for raw in (package(), trained(seed=1)))
    np.testing.assert_array_equal(first.vector, second.vector)
    np.testing.assert_array_equal(first.raw, second.raw)
    np.testing.assert_array_equal(first.score, second.score)

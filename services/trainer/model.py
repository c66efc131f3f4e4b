"""features of normal history → a filled Network: embedding, surprise tables, levels of series, percentiles.

Percentiles must say how unusual an event is that training has not met. So a part of the rows is held out: neither the
embedding nor the first tables know it, and the quantiles are those of its scores. The final tables count all rows.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from penstock.scoring.features import Features
from penstock.scoring.patterns import VOCABULARY
from penstock.services.trainer.counting import Surprises, count_cells, count_rarest
from penstock.services.trainer.embedding import train_embedding
from penstock.services.trainer.network import FIELDS, LEVELS, SHARES, TABLE, Network, combine

Array = npt.NDArray[Any]

HELD_OUT = 0.25  # share of the rows that the percentiles are made of
PART = 1_024  # rows scored at once
FREQUENT = 4  # a token in fewer lines is a value, not part of a template
SERIES_LEAST = 8  # samples that a series needs for a level of its own


def train(features: Features, seed: int) -> tuple[Network, dict[str, float]]:
    """A model of these events, and figures about its training. The same events and seed give the same model."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    network = Network()
    ids = np.concatenate([features.tokens, features.categories], axis=1)
    held = np.random.default_rng(seed).random(len(ids)) < HELD_OUT
    loss = train_embedding(network, ids[~held], seed)
    known, place = np.unique(features.type, return_inverse=True)
    network.types.assign(known)
    network.raw.assign(np.zeros((len(known) + 1, len(SHARES)), np.float32))
    network.top.assign(np.append(1 - 1 / (np.bincount(place[held], minlength=len(known)) + 1), 0.5))
    _fill_tables(network, features.take(~held))
    _fill_own_quantiles(network, features.take(held), place[held], len(known))
    network.raw.assign(_quantiles(run(network, features.take(held))["raw"], place[held], len(known)))
    _fill_tables(network, features)
    figures = {
        "rows": float(len(place)),
        "types": float(len(known)),
        "patterns": float(len({pattern.id for pattern in features.patterns})),
        "tokens": float(np.count_nonzero(network.weight.numpy())),
        "rebuilding_loss": loss,
        "table_use": float(np.mean(network.surprise.numpy() > 0)),
    }
    return network, figures


def run(network: Network, features: Features) -> dict[str, Array]:
    """The network's answers for all rows, in parts."""
    inputs = features.inputs()
    parts = []
    for start in range(0, len(features.type), PART):
        part = {name: tf.constant(array[start : start + PART]) for name, array in inputs.items()}
        parts.append({name: answer.numpy() for name, answer in network.score(**part).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _fill_tables(network: Network, features: Features) -> None:
    """All that is counted: levels of series, frequent tokens, surprises."""
    _fill_levels(network, features)
    _mark_frequent(network, features.tokens)
    table = np.zeros((2, TABLE), np.float32)
    fields = np.zeros(FIELDS, np.int32), np.zeros(FIELDS, np.float32)
    type, source = tf.constant(features.type), tf.constant(features.source)
    _enter(table, fields, count_cells(features.cells, features.fields))
    template = network.template(tf.constant(features.tokens)).numpy()
    for parts in ((type,), (type, source)):
        field = network.token_field(*parts)
        hashes = combine(field[:, None], tf.constant(features.tokens)).numpy()
        _enter(table, fields, count_rarest(features.tokens, field.numpy(), hashes))
        field = network.template_field(*parts)
        cells = np.where(template > 0, combine(field, tf.constant(template)).numpy(), -1)
        _enter(table, fields, count_cells(cells, field.numpy()))
    network.surprise.assign(table.astype(np.float16))
    network.field_tag.assign(fields[0])
    network.novel.assign(fields[1].astype(np.float16))


def _enter(table: Array, fields: tuple[Array, Array], found: Surprises) -> None:
    """Writes surprises at both places of their cells; of two cells at one place the commoner one stays."""
    for look, place in enumerate((found.cells & (TABLE - 1), found.cells >> 14)):
        low = np.full(TABLE, np.inf, np.float32)
        np.minimum.at(low, place, found.surprise.astype(np.float32))
        there = table[look] > 0
        table[look] = np.where(there, np.minimum(table[look], low), np.where(np.isfinite(low), low, 0))
    fields[0][found.fields & (FIELDS - 1)] = found.fields
    fields[1][found.fields & (FIELDS - 1)] = found.novel


def _mark_frequent(network: Network, tokens: Array) -> None:
    ordered = np.sort(tokens, axis=1)
    first = np.ones_like(ordered, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    network.frequent.assign(np.bincount(ordered[first], minlength=VOCABULARY) >= FREQUENT)


def _fill_levels(network: Network, features: Features) -> None:
    """Centre (median) and widths above and below of every series that is long enough.

    A width is what a standard deviation would be of the middle half or of the outer hundredth, whichever is more.
    """
    given = features.series > 0
    values = np.broadcast_to(features.numbers[:, :, None], features.series.shape)[given]
    series = features.series[given]
    order = np.argsort(series, kind="stable")
    names, starts = np.unique(series[order], return_index=True)
    tag, level = np.zeros(LEVELS, np.int32), np.zeros((LEVELS, 3), np.float32)
    for name, group in zip(names, np.split(values[order], starts)[1:], strict=True):
        if len(group) >= SERIES_LEAST:
            least, low, centre, high, most = np.percentile(group, [1, 25, 50, 75, 99])
            above, below = (
                max((high - centre) / 0.674, (most - centre) / 2.33),
                max((centre - low) / 0.674, (centre - least) / 2.33),
            )
            tag[name & (LEVELS - 1)] = name
            # A level that never moved on one side has a hundredth of the other side's width, at the least a thousandth.
            level[name & (LEVELS - 1)] = centre, max(above, below / 100, 1e-3), max(below, above / 100, 1e-3)
    network.level_tag.assign(tag)
    network.level.assign(level)


def _fill_own_quantiles(network: Network, features: Features, place: Array, types: int) -> None:
    """Quantiles of rebuilding errors and of number distances, each type's own."""
    errors, distances = [np.zeros(0)], [np.zeros(0)]
    ids = np.concatenate([features.tokens, features.categories], axis=1)
    for start in range(0, len(ids), PART):
        rows = slice(start, start + PART)
        bag = tf.constant(ids[rows])
        errors.append(network.rebuilding_error(bag, network.embed(bag)).numpy())
        numbers, series = tf.constant(features.numbers[rows]), tf.constant(features.series[rows])
        distances.append(network.distances(numbers, series).numpy())
    network.rebuilding.assign(_quantiles(np.concatenate(errors), place, types))
    network.distance.assign(_quantiles(np.concatenate(distances), place, types))


def _quantiles(values: Array, place: Array, types: int) -> Array:
    """One row of quantiles per type and a last one for unknown types, which nothing reads."""
    table = np.zeros((types + 1, len(SHARES)), np.float32)
    for number in range(types):
        own = values[place == number]
        if len(own):
            table[number] = np.quantile(own, SHARES)
    return table

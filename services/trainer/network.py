"""The network that is exported: arrays of a batch → unit vectors, raw anomaly in nats, percentile.

token ids → weighted bag of embeddings → vector (unit length) → decoder → how badly the bag is rebuilt
cells, tokens, learned template → what training counted → surprise of each aspect
numbers → distance from the series' usual level → surprise
all aspects → raw (the strongest, and a share of the others) → percentile within the event's type
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from penstock.scoring.features import CELLS, SCHEMA, SERIES
from penstock.scoring.patterns import TOKENS, VOCABULARY
from penstock.scoring.vectors import DIMS

DIMENSIONS = DIMS
BUCKETS = 512  # the decoder rebuilds the bag of tokens modulo this
STATIC = 256  # fixed random vectors for tokens that training has not seen
TABLE = 1 << 17  # places of the surprise table; two looks per cell keep collisions rare
FIELDS = 1 << 14
LEVELS = 1 << 14  # places of the table of series
PRIME = (1 << 31) - 1
OTHERS = 0.1  # share of the other aspects in the raw score
SHARES = np.concatenate([np.linspace(0, 0.9, 46)[:-1], 1 - np.logspace(-1, -4, 55)]).astype(np.float32)

ASPECTS = CELLS + 6  # cells; tokens and template, in type and in source; rebuilding; numbers

Tensor = Any


class Network(tf.Module):
    """All that a scorer needs, as variables; `score` is the exported signature. Filled by the trainer."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(20240607)
        fixed = random.normal(0, 1, [STATIC, DIMENSIONS]).astype(np.float32)
        self.embedding = tf.Variable(fixed, shape=[None, DIMENSIONS], trainable=False)
        self.row = tf.Variable(np.arange(VOCABULARY, dtype=np.int32) % STATIC, trainable=False)
        self.weight = _variable([VOCABULARY])
        self.decoder = _variable([DIMENSIONS, BUCKETS], tf.float16)
        self.bias = _variable([BUCKETS])
        self.surprise = _variable([2, TABLE], tf.float16)
        self.field_tag = _variable([FIELDS], tf.int32)
        self.novel = _variable([FIELDS], tf.float16)
        self.frequent = _variable([VOCABULARY], tf.bool)  # tokens that belong to a template, not to a value
        self.places = tf.Variable(random.integers(1, PRIME, [TOKENS]), dtype=tf.int64, trainable=False)
        self.level_tag = _variable([LEVELS], tf.int32)
        self.level = _variable([LEVELS, 3])  # centre of a series, width above and below
        self.types = tf.Variable([-1], shape=[None], dtype=tf.int32, trainable=False)
        # One row per type: quantiles of rebuilding errors, of number distances, of raw scores; and the highest
        # percentile that its number of training events can resolve.
        self.rebuilding = _quantiles()
        self.distance = _quantiles()
        self.raw = _quantiles()
        self.top = tf.Variable([0.5], shape=[None], trainable=False)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, *spec["shape"]], spec["dtype"], name=spec["name"]) for spec in SCHEMA["inputs"]
        ]
    )
    def score(
        self,
        type: Tensor,
        source: Tensor,
        tokens: Tensor,
        categories: Tensor,
        cells: Tensor,
        fields: Tensor,
        numbers: Tensor,
        series: Tensor,
    ) -> dict[str, Tensor]:
        """Per event: unit `vector`, `raw` in nats, `score` as percentile 0..1, and which `aspect` is the strongest."""
        place = self.place_of(type)
        ids = tf.concat([tokens, categories], axis=1)
        vector = self.embed(ids)
        aspects = tf.concat(
            [
                self.look_up(cells, fields),
                self.of_tokens(tokens, type, source),
                self.of_template(tokens, type, source),
                surprise_of(self.rebuilding_error(ids, vector), self.rebuilding, place)[:, None],
                surprise_of(self.distances(numbers, series), self.distance, place)[:, None],
            ],
            axis=1,
        )
        strongest = tf.reduce_max(aspects, axis=1)
        raw = strongest + OTHERS * (tf.reduce_sum(aspects, axis=1) - strongest)
        known = tf.gather(tf.concat([tf.ones_like(self.top[:-1]), [0.0]], 0), place) > 0
        return {
            "vector": vector,
            "raw": tf.where(known, raw, 0.0),
            "score": tf.where(known, percentile(raw, self.raw, self.top, place), 0.5),
            "aspect": tf.argmax(aspects, axis=1, output_type=tf.int32),
        }

    def place_of(self, type: Tensor) -> Tensor:
        """The row of each event's type in the tables; the last row is for types that training has not seen."""
        same = tf.equal(type[:, None], self.types[None, :])
        return tf.where(tf.reduce_any(same, 1), tf.argmax(tf.cast(same, tf.int32), 1), tf.size(self.types, tf.int64))

    def embed(self, ids: Tensor) -> Tensor:
        """Unit vectors of bags of token ids (0 = none)."""
        given = tf.cast(ids > 0, tf.float32)
        weight = tf.gather(self.weight, ids) * given
        unseen = tf.cast(weight == 0, tf.float32) * given
        # Unseen words weigh little beside seen ones, yet distinguish unseen lines.
        share = weight / (tf.reduce_sum(weight, 1, keepdims=True) + 0.1)
        share += 0.1 * unseen / (tf.reduce_sum(unseen, 1, keepdims=True) + 1.0)
        rows = tf.gather(self.embedding, tf.gather(self.row, ids))
        bag = tf.linalg.matvec(rows, share, transpose_a=True)
        # The empty bag, too, needs a direction.
        return tf.math.l2_normalize(bag + 1e-4 * self.embedding[0], axis=1)

    def rebuilding_error(self, ids: Tensor, vector: Tensor) -> Tensor:
        """How far the decoder's distribution is from the bag it was made of, in nats (Kullback-Leibler)."""
        logits = vector @ tf.cast(self.decoder, tf.float32) + self.bias
        weight = (tf.gather(self.weight, ids) + 0.05) * tf.cast(ids > 0, tf.float32)
        share = weight / (tf.reduce_sum(weight, 1, keepdims=True) + 1e-6)
        chosen = tf.gather(logits, ids % BUCKETS, batch_dims=1) - tf.reduce_logsumexp(logits, 1, keepdims=True)
        return tf.reduce_sum(share * (tf.math.log(share + 1e-9) - chosen), 1)

    def look_up(self, cells: Tensor, fields: Tensor) -> Tensor:
        """The surprise of cells within their fields; 0 where a cell is absent."""
        first = tf.gather(self.surprise[0], tf.bitwise.bitwise_and(cells, TABLE - 1))
        second = tf.gather(self.surprise[1], tf.bitwise.right_shift(tf.maximum(cells, 0), 14))
        field = tf.bitwise.bitwise_and(fields, FIELDS - 1)
        counted = tf.equal(tf.gather(self.field_tag, field), fields)
        unseen = tf.where(counted, tf.gather(self.novel, field), tf.zeros([], tf.float16))
        found = tf.where((first > 0) & (second > 0), tf.maximum(first, second), unseen)
        return tf.where(cells >= 0, tf.cast(found, tf.float32), 0.0)

    def of_tokens(self, tokens: Tensor, type: Tensor, source: Tensor) -> Tensor:
        """The surprise of each event's rarest token, in its type and in its source."""
        found = []
        for field in (self.token_field(type), self.token_field(type, source)):
            cells = tf.where(tokens > 0, combine(field[:, None], tokens), -1)
            fields = tf.broadcast_to(field[:, None], tf.shape(tokens))
            found.append(tf.reduce_max(self.look_up(cells, fields), axis=1))
        return tf.stack(found, axis=1)

    def of_template(self, tokens: Tensor, type: Tensor, source: Tensor) -> Tensor:
        """The surprise of each event's template, in its type and in its source."""
        template = self.template(tokens)
        fields = tf.stack([self.template_field(type), self.template_field(type, source)], axis=1)
        cells = combine(fields, template[:, None])
        return self.look_up(tf.where(template[:, None] > 0, cells, -1), fields)

    def template(self, tokens: Tensor) -> Tensor:
        """A hash of the sequence of tokens, with the infrequent ones (values, names) left blank; 0 for no tokens."""
        kept = tf.cast(tf.where(tf.gather(self.frequent, tokens), tokens, tf.minimum(tokens, 1)), tf.int64)
        return tf.cast(tf.reduce_sum(kept * self.places, axis=1) % PRIME, tf.int32)

    def token_field(self, *parts: Tensor) -> Tensor:
        """The field in which tokens are counted: the type, or type and source."""
        return combine(*parts, 71 * tf.ones_like(parts[0]))

    def template_field(self, *parts: Tensor) -> Tensor:
        """The field in which templates are counted."""
        return combine(*parts, 89 * tf.ones_like(parts[0]))

    def distances(self, numbers: Tensor, series: Tensor) -> Tensor:
        """The largest distance of an event's numbers from their series' usual level, in widths; -1 if none is known."""
        place = tf.bitwise.bitwise_and(series, LEVELS - 1)
        known = tf.equal(tf.gather(self.level_tag, place), series) & (series > 0)
        level = tf.gather(self.level, place)
        above = numbers[:, :, None] - level[..., 0]
        distance = tf.abs(above) / tf.maximum(tf.where(above > 0, level[..., 1], level[..., 2]), 1e-6)
        # The entity's own series where training knows it, else that of all events of the pattern.
        best = tf.where(known[:, :, 0], distance[:, :, 0], tf.where(known[:, :, 1], distance[:, :, 1], -1.0))
        return tf.reduce_max(best, axis=1)


def combine(*parts: Tensor) -> Tensor:
    """A 31-bit hash of several 31-bit ones, free of overflow."""
    total = tf.cast(parts[0], tf.int64)
    for part in parts[1:]:
        total = (total * 48_271 + tf.cast(part, tf.int64) * 69_621 + 1) % PRIME
    return tf.cast(total, tf.int32)


def percentile(value: Tensor, quantiles: Tensor, top: Tensor, place: Tensor) -> Tensor:
    """Where a value stands among training's, 0..1; beyond all of them it still rises with the value."""
    table = tf.gather(quantiles, place)
    last = len(SHARES) - 1
    above = tf.searchsorted(table, value[:, None], side="left")[:, 0]
    low, high = tf.maximum(above - 1, 0), tf.minimum(above, last)
    left, right = tf.gather(table, low, batch_dims=1), tf.gather(table, high, batch_dims=1)
    part = tf.clip_by_value((value - left) / tf.maximum(right - left, 1e-6), 0.0, 1.0)
    shares = tf.constant(SHARES)
    inside = tf.gather(shares, low) + part * (tf.gather(shares, high) - tf.gather(shares, low))
    most = tf.gather(top, place)
    beyond = 1.0 - (1.0 - most) * tf.exp(-tf.maximum(value - table[:, -1], 0.0))
    return tf.where(above > last, beyond, tf.minimum(inside, most))


def surprise_of(value: Tensor, quantiles: Tensor, place: Tensor) -> Tensor:
    """-log of the share of training's values beyond this one; negative values have none."""
    top = tf.fill([tf.shape(quantiles)[0]], float(SHARES[-1]))
    share = percentile(value, quantiles, top, place)
    return tf.where(value >= 0, -tf.math.log(tf.maximum(1.0 - share, 1e-6)), 0.0)


def _variable(shape: list[int], dtype: Any = tf.float32) -> Any:
    return tf.Variable(tf.zeros(shape, dtype), trainable=False)


def _quantiles() -> Any:
    return tf.Variable(np.zeros([1, len(SHARES)], np.float32), shape=[None, len(SHARES)], trainable=False)


assert SERIES == 2  # noqa: S101  distances() chooses between exactly two

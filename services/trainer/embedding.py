"""bags of tokens → embeddings: an autoencoder that rebuilds a bag from a unit vector, with words left out at random."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from penstock.scoring.patterns import VOCABULARY
from penstock.services.trainer.network import BUCKETS, DIMENSIONS, STATIC, Network

Array = npt.NDArray[Any]

BATCH = 256
STEPS_LEAST, STEPS_MOST = 150, 900  # one per four distinct rows within these; the most take seconds on one core
LEFT_OUT = 0.2  # share of the words hidden from the encoder
COMMON = 0.01  # a word in this share of all lines weighs half of what a rarer one does


def token_weights(ids: Array) -> Array:
    """The weight of each token: little if it is nearly everywhere, or was met only once or twice; 0 if never."""
    lines = np.zeros(VOCABULARY)
    ordered = np.sort(ids, axis=1)
    first = np.ones_like(ordered, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    np.add.at(lines, ordered[first], 1)
    lines[0] = 0
    share = lines / max(len(ids), 1)
    return (COMMON / (COMMON + share) * lines / (lines + 2)).astype(np.float32)


def train_embedding(network: Network, ids: Array, seed: int) -> float:
    """Fills the network's embedding and decoder from the rows of token ids; returns the last loss, in nats."""
    weights = token_weights(ids)
    rows, counts = np.unique(ids, axis=0, return_counts=True)
    steps = int(np.clip(len(rows) // 4, STEPS_LEAST, STEPS_MOST))
    importance = (1 + np.log(counts)).astype(np.float32)
    random = np.random.default_rng(seed)
    embedding = keras.layers.Embedding(
        VOCABULARY, DIMENSIONS, embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0, seed=seed)
    )
    decoder = keras.layers.Dense(BUCKETS, kernel_initializer=keras.initializers.GlorotUniform(seed=seed))
    embedding.build((None,))
    decoder.build((None, DIMENSIONS))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, steps))
    variables = embedding.trainable_variables + decoder.trainable_variables
    optimizer.build(variables)
    weight_of = tf.constant(weights)

    @tf.function(reduce_retracing=True)
    def step(bag: Any, kept: Any, share: Any) -> Any:
        given = tf.cast(bag > 0, tf.float32)
        weight = tf.gather(weight_of, bag) * given
        with tf.GradientTape() as tape:
            used = weight * kept
            vector = tf.einsum("nt,ntd->nd", used, embedding(bag)) / (tf.reduce_sum(used, 1, keepdims=True) + 0.1)
            logits = decoder(tf.math.l2_normalize(vector, axis=1, epsilon=1e-6))
            logits -= tf.reduce_logsumexp(logits, axis=1, keepdims=True)
            target = (weight + 0.05) * given
            target /= tf.reduce_sum(target, 1, keepdims=True) + 1e-6
            error = -tf.reduce_sum(target * tf.gather(logits, bag % BUCKETS, batch_dims=1), 1)
            loss = tf.reduce_sum(error * share) / tf.reduce_sum(share)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    losses = []
    for _ in range(steps):
        chosen = random.integers(0, len(rows), BATCH)
        bag = rows[chosen]
        kept = (random.random(bag.shape) >= LEFT_OUT).astype(np.float32)
        losses.append(step(bag, kept, importance[chosen]))
    # Behind the fixed rows of tokens never seen come the learned ones.
    seen = np.flatnonzero(weights)
    fixed, learned = network.embedding.numpy()[:STATIC], embedding.embeddings.numpy()[seen]
    row = np.arange(VOCABULARY, dtype=np.int32) % STATIC
    row[seen] = STATIC + np.arange(len(seen))
    network.weight.assign(weights)
    network.embedding.assign(np.concatenate([fixed, learned]))
    network.row.assign(row)
    network.decoder.assign(tf.cast(decoder.kernel, tf.float16))
    network.bias.assign(decoder.bias)
    return float(np.mean(losses[-50:]))

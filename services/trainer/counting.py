"""counts of training events → surprise, in nats: how unusual it is to meet something at least this rare.

    surprise(x) = -log P(an event of the same field shows something seen at most as often as x)

So a request id that is new every time surprises nobody, and an error code seen twice in ten thousand does. What was
never seen takes half the mass of what was seen once (Good-Turing).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# A field whose unseen values surprise less than this carries no information: its cells are not kept.
WORTH_KEEPING = 1.0
# A field met less often is not known well enough to say what is new in it.
LEAST = 20
# Something seen always has a little surprise, as 0 in a table means "never seen".
SEEN = 0.01


@dataclass(frozen=True, slots=True)
class Surprises:
    """`cells[i]` has `surprise[i]`; in `fields[j]` what was never seen has `novel[j]`. All hashes have 31 bits."""

    cells: Array
    surprise: Array
    fields: Array
    novel: Array


def count_cells(cells: Array, fields: Array) -> Surprises:
    """Surprises of cells, each an occurrence of a thing (hash) within a field (hash); negative cells are absent."""
    given = cells >= 0
    pairs, counts = np.unique(_pair(fields[given], cells[given]), return_counts=True)
    return _surprises(pairs, counts, _Tails(pairs >> 31, counts, counts))


def count_rarest(tokens: Array, fields: Array, hashes: Array) -> Surprises:
    """Surprises of the tokens of lines, where what counts of a line is its rarest token.

    `tokens` is lines x places (0 = none), `fields` one hash per line, `hashes` the cell of each token.
    """
    lines, _ = np.nonzero(tokens)
    given = tokens != 0
    pairs = _pair(fields[lines], hashes[given])
    once = np.unique(np.stack([lines, pairs]), axis=1)  # a token twice in a line counts once
    known, where, counts = np.unique(once[1], return_inverse=True, return_counts=True)
    rarest = np.full(len(tokens), np.iinfo(np.int64).max)
    np.minimum.at(rarest, once[0], counts[where])
    some = given.any(axis=1)
    tails = _Tails(fields[some].astype(np.int64), rarest[some], np.ones(int(some.sum()), np.int64))
    return _surprises(known, counts, tails)


def _pair(fields: Array, cells: Array) -> Array:
    return fields.astype(np.int64) << 31 | cells.astype(np.int64)


class _Tails:
    """Per field: which part of the mass lies at or below a count."""

    def __init__(self, fields: Array, counts: Array, mass: Array) -> None:
        order = np.lexsort((counts, fields))
        self.keys = fields[order].astype(np.int64) << 32 | counts[order]
        self.cumulated = np.concatenate([[0], np.cumsum(mass[order])])
        self.fields, starts = np.unique(fields[order], return_index=True)
        self.starts = self.cumulated[starts]
        self.totals = np.diff(np.append(self.starts, self.cumulated[-1]))

    def share(self, fields: Array, counts: Array) -> Array:
        """The share of each field's mass with a count of at most `counts`."""
        place = np.searchsorted(self.fields, fields)
        upto = np.searchsorted(self.keys, fields.astype(np.int64) << 32 | counts, side="right")
        share: Array = (self.cumulated[upto] - self.starts[place]) / self.totals[place]
        return share


def _surprises(pairs: Array, counts: Array, tails: _Tails) -> Surprises:
    once = tails.share(tails.fields, np.ones(len(tails.fields), np.int64)) * tails.totals
    novel = -np.log((once / 2 + 0.5) / (tails.totals + 1))
    worth = (novel >= WORTH_KEEPING) & (tails.totals >= LEAST)
    fields = pairs >> 31
    kept = worth[np.searchsorted(tails.fields, fields)]
    surprise = -np.log(tails.share(fields[kept], counts[kept]))
    return Surprises(
        cells=pairs[kept] & 0x7FFFFFFF,
        surprise=np.maximum(surprise, SEEN),
        fields=tails.fields[worth],
        novel=novel[worth],
    )

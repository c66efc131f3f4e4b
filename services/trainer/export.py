"""a filled Network → a model package (penstock.scoring.package)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import orjson
import tensorflow as tf

from penstock.scoring.features import SCHEMA
from penstock.scoring.package import MANIFEST, SAVED_MODEL, SCHEMA_FILE, THRESHOLDS, pack
from penstock.services.trainer.network import SHARES, Network


def export(network: Network, manifest: dict[str, Any], type_names: dict[int, str]) -> bytes:
    """The package of a network; `type_names` gives the event type of each type hash that it knows."""
    with tempfile.TemporaryDirectory(prefix="penstock-model-") as name:
        folder = Path(name)
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        tf.saved_model.save(network, str(folder / SAVED_MODEL), signatures={"score": network.score}, options=options)
        known = [type_names[int(hash)] for hash in network.types.numpy()]
        quantiles = {
            type: [round(float(value), 4) for value in row]
            for type, row in zip(known, network.raw.numpy()[:-1], strict=True)
        }
        _write(folder / SCHEMA_FILE, SCHEMA)
        _write(folder / THRESHOLDS, {"shares": [round(float(share), 6) for share in SHARES], "raw": quantiles})
        _write(folder / MANIFEST, {**manifest, "types": known})
        return pack(folder)


def _write(path: Path, value: Any) -> None:
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))

"""model package → a loaded model: arrays of a batch in, vectors and scores out, always through the signature."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from penstock.errors import Refused
from penstock.scoring.features import SCHEMA, SCHEMA_DIGEST, Features
from penstock.scoring.package import Package

BATCH_MOST = 1_024  # rows in one call; more are cut, so that memory stays bounded
# Operations that a model of ours is made of. A graph may also read and write files; such a model is not loaded.
_ALLOWED = """
    Abs AddV2 Any ArgMax AssignVariableOp BatchMatMulV2 BitwiseAnd BroadcastTo Cast ConcatV2 Const
    DisableCopyOnRead Equal Exp ExpandDims Fill FloorMod GatherV2 Greater GreaterEqual Identity IsFinite Log
    LogicalAnd LowerBound MatMul Max Maximum MergeV2Checkpoints Minimum Mul Neg NoOp OnesLike Pack
    Placeholder ReadVariableOp RealDiv Reshape ResourceGather RestoreV2 RightShift Rsqrt SaveV2 Select
    SelectV2 Shape ShardedFilename Size Square Squeeze StatefulPartitionedCall StaticRegexFullMatch
    StopGradient StridedSlice StringJoin Sub Sum VarHandleOp
"""
ALLOWED_OPERATIONS = frozenset(_ALLOWED.split())


@dataclass(frozen=True, slots=True)
class Identity:
    """Which model made a score."""

    name: str
    version: int
    schema: str
    digest: str

    def to_json(self) -> dict[str, Any]:
        """As it stands in every score."""
        return {"name": self.name, "version": self.version, "schema": self.schema, "digest": self.digest}


@dataclass(frozen=True, slots=True)
class Answers:
    """Per row: unit vector, raw anomaly in nats, percentile 0..1."""

    vector: npt.NDArray[np.float32]
    raw: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]


class Model:
    """One loaded version. Blocks while it computes: about 7 µs a row on one core."""

    def __init__(self, identity: Identity, types: tuple[str, ...], loaded: Any) -> None:
        self.identity = identity
        self.types = types
        self._loaded = loaded  # keeps the variables alive
        self._score = loaded.signatures["score"]

    @classmethod
    def load(cls, name: str, version: int, package: Package) -> Model:
        """Loads and warms up a verified package. Raises Refused MODEL_INVALID when its schema is not ours."""
        if package.schema != SCHEMA_DIGEST:
            raise Refused(
                "MODEL_INVALID",
                f"{name} v{version} reads events by schema {package.schema[:12]}, this scorer by {SCHEMA_DIGEST[:12]}",
            )
        identity = Identity(name, version, package.schema, package.digest)
        with tempfile.TemporaryDirectory(prefix="penstock-model-") as folder:
            path = package.unpack(Path(folder))
            _refuse_operations(name, version, path / "saved_model.pb")
            try:
                model = cls(identity, tuple(package.manifest.get("types", ())), tf.saved_model.load(str(path)))
                model.warm_up()
            except Exception as error:  # whatever is wrong with a package must not end the process
                text = f"{name} v{version} does not load: {type(error).__name__}: {str(error)[:300]}"
                raise Refused("MODEL_INVALID", text) from error
        return model

    def warm_up(self) -> None:
        """First calls are slow; they happen here, for few and for many rows."""
        for rows in (1, 2, BATCH_MOST):
            inputs = {spec["name"]: tf.zeros([rows, *spec["shape"]], spec["dtype"]) for spec in SCHEMA["inputs"]}
            self._score(**inputs)

    def answer(self, features: Features) -> Answers:
        """Vectors and scores of all rows."""
        inputs = features.inputs()
        parts = []
        for start in range(0, len(features.patterns), BATCH_MOST):
            part = {name: tf.constant(array[start : start + BATCH_MOST]) for name, array in inputs.items()}
            parts.append({key: value.numpy() for key, value in self._score(**part).items()})
        joined = {key: np.concatenate([part[key] for part in parts]) for key in ("vector", "raw", "score")}
        return Answers(joined["vector"], joined["raw"], joined["score"])


def operations(path: Path) -> set[str]:
    """The names of all operations in a saved_model.pb. Raises Refused MODEL_INVALID when it is not one."""
    graphs = saved_model_pb2.SavedModel()
    try:
        graphs.ParseFromString(path.read_bytes())
    except Exception as error:  # noqa: BLE001  protobuf's DecodeError lives in a private module
        raise Refused("MODEL_INVALID", f"saved_model.pb cannot be read: {error}") from None
    found: set[str] = set()
    for graph in graphs.meta_graphs:
        found.update(node.op for node in graph.graph_def.node)
        for function in graph.graph_def.library.function:
            found.update(node.op for node in function.node_def)
    return found


def _refuse_operations(name: str, version: int, path: Path) -> None:
    foreign = operations(path) - ALLOWED_OPERATIONS
    if foreign:
        raise Refused("MODEL_INVALID", f"{name} v{version} uses operations {', '.join(sorted(foreign))}")

"""batches of encoded statements → frames of Cassandra's native protocol (v4, sections 2 and 4.1.7)

The driver writes a batch value by value, through a function call each. Here a statement comes with its values encoded
(rows.py), and a batch is one join. This is the driver's own place for it: the protocol handler of a session.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from cassandra.protocol import BatchMessage, ProtocolHandler
from cassandra.query import PreparedStatement

_FRAME = Struct(">BBhBi").pack  # version, flags, stream, opcode, bytes of the body
_BATCH = Struct(">BH").pack  # type, statements
_PREPARED = Struct(">BH").pack  # "by its id", bytes of the id
_VALUES = Struct(">H").pack  # their number
_END = Struct(">HB").pack  # consistency, flags: every statement has its own timestamp
_BY_ID = 1


def head(insert: PreparedStatement) -> bytes:
    """What stands before the values of a prepared statement in a batch."""
    id: bytes = insert.query_id
    return _PREPARED(_BY_ID, len(id)) + id + _VALUES(len(insert.column_metadata))


class Frames(ProtocolHandler):  # type: ignore[misc]  # the driver has no types
    """The driver's protocol handler, for batches whose statements are bytes: `head` and bound values each."""

    @classmethod
    def encode_message(
        cls, msg: Any, stream_id: int, protocol_version: int, compressor: Any, allow_beta_protocol_version: bool
    ) -> bytes:
        """One frame. Raises ValueError for a batch without statements."""
        if not isinstance(msg, BatchMessage):
            frame: bytes = super().encode_message(
                msg, stream_id, protocol_version, compressor, allow_beta_protocol_version
            )
            return frame
        statements: list[bytes] = [*msg.queries]
        if not statements:
            raise ValueError("the batch was given up, and its statements are gone")
        body = b"".join((_BATCH(msg.batch_type.value, len(statements)), *statements, _END(msg.consistency_level, 0)))
        return _FRAME(protocol_version, 0, stream_id, msg.opcode, len(body)) + body

"""One NATS connection: publish, request, subscribe, and the JetStream API. Knows no identity and no setting."""

from penstock.broker.buckets import Entry, Keys, Objects
from penstock.broker.connection import MAX_PAYLOAD, Broker
from penstock.broker.jetstream import (
    EPOCH,
    MOST_PER_GET,
    ConsumerInfo,
    Stored,
    StoredMessage,
    StreamInfo,
    error_of,
    stored,
    time_ns,
)
from penstock.broker.nats_client import Subscription
from penstock.broker.protocol import (
    LONGEST_CONTROL_LINE,
    Message,
    Parser,
    ProtocolError,
    encode_headers,
    parse_headers,
    publication,
    status_of,
)
from penstock.broker.token_renewal import Token, TokenSource

__all__ = [
    "EPOCH",
    "LONGEST_CONTROL_LINE",
    "MAX_PAYLOAD",
    "MOST_PER_GET",
    "Broker",
    "ConsumerInfo",
    "Entry",
    "Keys",
    "Message",
    "Objects",
    "Parser",
    "ProtocolError",
    "Stored",
    "StoredMessage",
    "StreamInfo",
    "Subscription",
    "Token",
    "TokenSource",
    "encode_headers",
    "error_of",
    "parse_headers",
    "publication",
    "status_of",
    "stored",
    "time_ns",
]

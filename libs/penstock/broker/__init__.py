"""One NATS connection: publish, request, subscribe, and the JetStream API. Knows no identity and no setting.

connection        Broker: one connection, kept up
lifecycle         makes the connection, and makes it anew
nats_client       nats-py, with our reader and writer; everything that reaches into it
protocol          bytes ↔ messages
answers           the answers that a connection awaits
reconnect         which server is tried when
token_renewal     the token of a connection; handover: the new connection that a new token needs
request_many      one request, many answers
jetstream         the JetStream API; jetstream_answers: what comes back
key_value, object_store    buckets
"""

from penstock.broker.answers import resolve
from penstock.broker.connection import Broker
from penstock.broker.if_there import if_there
from penstock.broker.jetstream import MOST_PER_GET, JetStream
from penstock.broker.jetstream_answers import (
    EPOCH,
    EXPECTED_LAST,
    ConsumerInfo,
    Stored,
    StoredMessage,
    StreamInfo,
    error_of,
    stored,
    time_ns,
)
from penstock.broker.key_value import Entry, Keys
from penstock.broker.nats_client import Subscription
from penstock.broker.object_store import DamagedObject, Objects
from penstock.broker.protocol import (
    LONGEST_CONTROL_LINE,
    MAX_PAYLOAD,
    Message,
    Parser,
    ProtocolError,
    encode_headers,
    parse_headers,
    publication,
    status_of,
)
from penstock.broker.request_many import Requester, request_many
from penstock.broker.token_renewal import Token, TokenSource

__all__ = [
    "EPOCH",
    "EXPECTED_LAST",
    "LONGEST_CONTROL_LINE",
    "MAX_PAYLOAD",
    "MOST_PER_GET",
    "Broker",
    "ConsumerInfo",
    "DamagedObject",
    "Entry",
    "JetStream",
    "Keys",
    "Message",
    "Objects",
    "Parser",
    "ProtocolError",
    "Requester",
    "Stored",
    "StoredMessage",
    "StreamInfo",
    "Subscription",
    "Token",
    "TokenSource",
    "encode_headers",
    "error_of",
    "if_there",
    "parse_headers",
    "publication",
    "request_many",
    "resolve",
    "status_of",
    "stored",
    "time_ns",
]

"""Every subject that NATS itself gives a meaning, built and taken apart in one place.

$JS.API.<operation>             the JetStream API; identities in APP see part of it under $JS.core.API
$JS.ACK.<stream>.<consumer>.…   where a delivery is acknowledged
$KV.<bucket>.<key>              a key of a bucket (ADR-8), in the stream KV_<bucket>
$O.<bucket>.C|M.<…>             chunks and descriptions of objects (ADR-20), in the stream OBJ_<bucket>
$SRV.<verb>.<service>.<id>      discovery of services (ADR-32)
$SYS.…                          events and requests of the server's own account
_INBOX.<identity>.<…>           where an identity awaits answers; _R_.<…> stands in for it in another account
"""

from __future__ import annotations

import base64

API = "$JS.API"
# The prefix under which APP sees the part of the JetStream API that answers 10039 there under its own name.
CORE_API = "$JS.core.API"
ACKS = "$JS.ACK.>"
EVERY_PULL = f"{API}.CONSUMER.MSG.NEXT.*.*"

SERVER_SETTINGS = "$SYS.REQ.SERVER.PING.VARZ"
SERVER_CONNECTIONS = "$SYS.REQ.SERVER.PING.CONNZ"
SERVER_KICK = "$SYS.REQ.SERVER.*.KICK"
AUTHORIZATION_REQUEST = "$SYS.REQ.USER.AUTH"
SERVER_INBOX = "$SYS._INBOX.>"  # where a server awaits the answer to an authorization request
CONNECTED = "$SYS.ACCOUNT.*.CONNECT"
DISCONNECTED = "$SYS.ACCOUNT.*.DISCONNECT"
CONNECTION_REFUSED = "$SYS.SERVER.*.CLIENT.AUTH.ERR"

DISCOVERY = ("PING", "INFO", "STATS")
_INBOX = "_INBOX."
_REPLY_ACROSS_ACCOUNTS = "_R_."


def pull(stream: str, consumer: str) -> str:
    """Where messages of a consumer are asked for."""
    return f"{API}.CONSUMER.MSG.NEXT.{stream}.{consumer}"


def ack_prefix(stream: str, consumer: str) -> str:
    """What the reply address of every delivery of the consumer begins with."""
    return f"$JS.ACK.{stream}.{consumer}."


def api_operation(subject: str) -> str:
    """The operation of a call, e.g. `STREAM.INFO.EVENTS_HTTP`, as CORE sees it."""
    return subject.removeprefix(f"{API}.")


def inbox(identity: str) -> str:
    """What the addresses begin with where the identity awaits answers; a dot follows."""
    return _INBOX + identity


def is_inbox_of(identity: str, reply: str) -> bool:
    """Whether the reply address is one of the identity's."""
    return reply.startswith(f"{_INBOX}{identity}.")


def is_reply_across_accounts(reply: str) -> bool:
    """Whether the server put the address in place of an inbox in another account; no client can choose one."""
    return reply.startswith(_REPLY_ACROSS_ACCOUNTS)


def is_reply(reply: str) -> bool:
    """Whether an answer sent there reaches whoever asked, and nothing else."""
    return reply.startswith((_INBOX, _REPLY_ACROSS_ACCOUNTS))


def key_stream(bucket: str) -> str:
    """The stream behind a bucket of keys."""
    return f"KV_{bucket}"


def key(bucket: str, key: str) -> str:
    """The subject of a key; `>` for all keys of the bucket."""
    return f"$KV.{bucket}.{key}"


def key_of(subject: str) -> str:
    """The key that a subject of a bucket is about."""
    return subject.split(".", 2)[2]


def object_stream(bucket: str) -> str:
    """The stream behind an object store."""
    return f"OBJ_{bucket}"


def object_chunks(bucket: str, id: str) -> str:
    """The subject of the chunks of an object; `>` for those of all objects."""
    return f"$O.{bucket}.C.{id}"


def object_info(bucket: str, name: str) -> str:
    """The subject of what the store says of an object."""
    return f"$O.{bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"


def every_object_info(bucket: str) -> str:
    """The same of all objects."""
    return f"$O.{bucket}.M.>"


def discovery(verb: str, service: str = "", id: str = "") -> str:
    """Where every service, those of a name, or one process is asked; `verb` is one of DISCOVERY."""
    return ".".join(part for part in ("$SRV", verb, service, id) if part)


def discovery_verb(subject: str) -> str:
    """Which of DISCOVERY is asked for."""
    return subject.split(".", 2)[1]

"""Every subject of Penstock's own, built and taken apart in one place; those of NATS are in nats_subjects.py.

evt.<pp>.<door>.<publisher>.<type>.v<N>   an event; <type> has at least two tokens: evt.1c.nats.billing.log.line.v1
score.<pp>.<model>.<type>.v<N>            a score of an event
dlq.<worker>.<original subject>           a dead letter
audit.<emitter>.<what>                    an audit record
svc.<service>.<operation>.<caller>        a request; the server lets nobody ask in another's name
tail.<original subject>                   a copy of an event for live tails
replay.<target>.<original subject>        a message on its way to one worker again, or to one subscriber
replay_log.<target>.<run>                 what became of replayed messages
ctl.<what>                                a notification: look again
session.<server>.<event>                  a copy of what the server says of a connection
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from zlib import crc32

from penstock.errors import Refused

PARTITIONS = 64
Door = Literal["http", "nats"]

TOKEN = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+\.v[1-9][0-9]{0,3}\Z")
# Names that mean something in a subject or belong to the fleet; no identity, dataset, model or type may take them.
PERSON = "u_"  # how the names of identities begin that no entry of identities.yaml has
RESERVED = frozenset(
    {"http", "nats", "evt", "score", "dlq", "audit", "svc", "tail", "ctl", "all", "any", "sys", "replay", "replay_log"}
)

# All of a kind, as filters
EVENTS, SCORES, DEAD_LETTERS, AUDIT_RECORDS = "evt.>", "score.>", "dlq.>", "audit.>"
TAIL, NOTIFICATIONS = "tail.>", "ctl.>"
REPLAYS, REPLAY_LOGS = "replay.>", "replay_log.>"
_TAIL = "tail."

_DOORS: dict[str, Door] = {"http": "http", "nats": "nats"}
_PP = [f"{n:02x}" for n in range(PARTITIONS)]
_PP_NUMBER = {text: n for n, text in enumerate(_PP)}


@dataclass(frozen=True, slots=True)
class EventSubject:
    """What the subject of a stored event says; under the server's permissions, all of it but `pp` is proven."""

    pp: int
    door: Door
    publisher: str
    type: str


@lru_cache(maxsize=4096)
def is_token(text: str) -> bool:
    """Whether `text` may name an identity, dataset or model."""
    return TOKEN.match(text) is not None and text not in RESERVED


def partition(entity: str) -> int:
    """The partition (0..63) of an entity: crc32 of its UTF-8 bytes, modulo 64."""
    return crc32(entity.encode()) % PARTITIONS


def event(pp: int, door: Door, publisher: str, type: str) -> str:
    """The subject of an event, e.g. `evt.1c.http.web_shop.log.line.v1`."""
    return f"evt.{_PP[pp]}.{door}.{publisher}.{type}"


@lru_cache(maxsize=16_384)
def parse_event(subject: str) -> EventSubject:
    """Takes an event's subject apart. Raises Refused SUBJECT_INVALID when it is not one."""
    parts = subject.split(".", 4)
    if len(parts) == 5:
        evt, pp, door, publisher, type = parts
        number = _PP_NUMBER.get(pp)
        if evt == "evt" and number is not None and door in _DOORS and TYPE.match(type):
            return EventSubject(number, _DOORS[door], publisher, type)
    raise Refused("SUBJECT_INVALID", f"{subject!r} is not evt.<pp>.<door>.<publisher>.<type>.v<N>")


def score(pp: int, model: str, type: str) -> str:
    """The subject of a score, e.g. `score.1c.lines.log.line.v1`."""
    return f"score.{_PP[pp]}.{model}.{type}"


def dead_letter(worker: str, subject: str) -> str:
    """The subject of a dead letter of `worker`; the original subject stays readable behind it."""
    return f"dlq.{worker}.{subject}"


def replay(target: str, subject: str) -> str:
    """Where a message is sent that a worker is to process again, or a subscriber to receive."""
    return f"replay.{target}.{subject}"


def replay_log(target: str, run: str) -> str:
    """Where a worker, a subscriber or the operator publishes the outcomes of a run's messages."""
    return f"replay_log.{target}.{run}"


def parse_dead_letter(subject: str) -> tuple[str, str]:
    """(worker, original subject) of a dead letter; the server lets a worker use no name but its own."""
    _, worker, original = subject.split(".", 2)
    return worker, original


def publisher_of(subject: str) -> str:
    """The publisher of an event, else the first token (a score's is `score`); of any subject, also a malformed one."""
    parts = subject.split(".", 4)
    return parts[3] if parts[0] == "evt" and len(parts) > 3 else parts[0]


def audit(emitter: str, what: str) -> str:
    """The subject of an audit record of `emitter`; `what` may have more than one token, or be `>` for all."""
    return f"audit.{emitter}.{what}"


def audit_action(subject: str) -> str:
    """What an audit record is about: the third token; empty where there is none."""
    return subject.split(".", 3)[2] if subject.count(".") > 1 else ""


def ask(service: str, operation: str, caller: str) -> str:
    """The subject of a request from `caller` to `service`; `*` for any."""
    return f"svc.{service}.{operation}.{caller}"


def parse_ask(subject: str) -> tuple[str, str, str]:
    """(service, operation, caller) of a request."""
    _, service, operation, caller = subject.split(".")
    return service, operation, caller


def tail(subject: str) -> str:
    """The subject of the copy of what is stored under `subject`."""
    return _TAIL + subject


def tail_of(type: str) -> str:
    """Where copies of events of a type are; `*` for every type."""
    return TAIL if type == "*" else f"tail.evt.*.*.*.{type}"


def tailed(subject: str) -> str:
    """The subject under which the original of a copy is stored."""
    return subject.removeprefix(_TAIL)


def notification(what: str) -> str:
    """Where those who follow something hear that it has changed."""
    return f"ctl.{what}"


def partition_filter(door: Door, pp: int) -> str:
    """The consumer filter for one partition of one door (http or nats)."""
    return f"evt.{_PP[pp]}.{door}.>"


def events_from(publisher: str, type: str) -> str:
    """What a publisher on NATS may publish: events of a type in its own name; `*` for every type."""
    return f"evt.*.nats.{publisher}.{'>' if type == '*' else type}"


def events_over_http(type: str) -> str:
    """What the ingress may publish: events of a type in any name; `*` for every type."""
    return f"evt.*.http.{'>' if type == '*' else f'*.{type}'}"


def session(event: str) -> str:
    """To what the server maps an event of its own about a connection: `$1` is the account or server that it is of."""
    return f"session.$1.{event}"


def session_event(subject: str) -> str:
    """The event: CONNECT, DISCONNECT or ERR."""
    return subject.rpartition(".")[2]

"""nats.conf from the contracts: accounts, what crosses between them, users with their permissions, limits.

    SYS    the server's own account; lets others read each server's settings
    AUTH   only `authority`, which the server asks who a token is (auth: callout); receives and keeps what that needs
    CORE   streams and buckets, and only `provision`, which makes them
    APP    everyone else; reaches CORE through the service imports below and in no other way

Why two: the server does not check reply addresses, so whoever shares an account with the streams can have it store a
message under another's subject by naming that subject as the reply address of any request. A request from APP into CORE
is answered inside APP, where no stream listens (docs/adr/0002-accounts-and-permissions.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from penstock.auth import callout_keys, nkey_files
from penstock.auth.callout_keys import CalloutKeys
from penstock.auth.permissions import Permissions, all_permissions
from penstock.contracts import Contracts, bucket_stream, bucket_subjects, subjects
from penstock.contracts.nats_subjects import (
    ACKS,
    API,
    CONNECTED,
    CONNECTION_REFUSED,
    CORE_API,
    DISCONNECTED,
    EVERY_PULL,
    SERVER_CONNECTIONS,
    SERVER_KICK,
    SERVER_SETTINGS,
)
from penstock.provisioning.nats_server import NatsServer, local_server
from penstock.settings import Settings, load_settings

# Subjects of CORE that APP sees under their own name, with the kind of response.
EXPORTS = {
    subjects.EVENTS: "Singleton",
    subjects.SCORES: "Singleton",
    subjects.DEAD_LETTERS: "Singleton",
    subjects.AUDIT_RECORDS: "Singleton",
    subjects.REPLAYS: "Singleton",
    subjects.REPLAY_LOGS: "Singleton",
    EVERY_PULL: "Stream",
    ACKS: "Singleton",
}
# Parts of the JetStream API that APP sees under CORE_API instead.
REMAPPED = {
    "STREAM.INFO.*": "Singleton",
    "CONSUMER.INFO.*.*": "Singleton",
    "DIRECT.GET.*": "Stream",
    "DIRECT.GET.*.>": "Singleton",
}
CHANGES = ("STREAM.PURGE", "CONSUMER.CREATE", "CONSUMER.DELETE")
# Of these, what AUTH sees: the trail of its decisions, and the list of denied identities.
AUTH_NEEDS = {subjects.AUDIT_RECORDS, "DIRECT.GET.*", "DIRECT.GET.*.>"}
# CONNECT holds the token and is one control line; so long that a token which is too long is refused by the authority,
# which says why, and not by the server.
LONGEST_CONTROL_LINE_WITH_TOKEN = 64 << 10
# What the streams of CORE capture from SYS, and under which subject: connections that began, ended, or were refused.
SESSION_EVENTS = {
    CONNECTED: subjects.session("CONNECT"),
    DISCONNECTED: subjects.session("DISCONNECT"),
    CONNECTION_REFUSED: subjects.session("ERR"),
}
# What APP may subscribe to in CORE.
FEEDS = (subjects.TAIL,)


def render(
    contracts: Contracts,
    public_keys: Mapping[str, str],
    settings: Settings,
    callout: CalloutKeys | None = None,
    server: NatsServer | None = None,
) -> str:
    """The text of nats.conf. `public_keys` holds the nkey of each identity that may connect; `server`: default, the
    local stack's.

    With `callout`, identities that have OIDC clients or subjects have no nkey here: the server asks the authority.
    """
    server = server or local_server(settings)
    allowed = all_permissions(contracts)
    users: dict[str, list[dict[str, Any]]] = {"APP": [], "CORE": [], "AUTH": []}
    for name, key in public_keys.items():
        if not (callout and contracts.identities[name].by_token):
            users[contracts.identities[name].account].append(_user(key, allowed[name]))
    capacity = sum(stream.max_bytes for stream in contracts.streams.values())
    capacity += sum(bucket.max_bytes for bucket in contracts.buckets.values())
    conf: dict[str, Any] = {
        "server_name": server.name,
        "listen": server.listen,
        "http": server.monitoring,
        "max_payload": 1 << 20,
        "max_connections": 1000,
        "max_subscriptions": 1000,
        "max_control_line": LONGEST_CONTROL_LINE_WITH_TOKEN if callout else 4096,
        "max_pending": 64 << 20,
        "write_deadline": "10s",
        "ping_interval": "20s",
        "ping_max": 3,
        "authorization": {"timeout": 5} | ({"auth_callout": _callout(callout, users)} if callout else {}),
        "jetstream": {
            "store_dir": server.store,
            "sync_interval": "always",  # an acknowledged message is on disk
            "max_memory_store": 64 << 20,
            "max_file_store": capacity + capacity // 8,
        },
        "accounts": accounts(contracts, users),
        "system_account": "SYS",
        **server.limits,
        **server.cluster(),
    }
    return "# Made from contracts/ by penstock.provisioning.nats_conf; changes here are lost.\n" + _block(conf, 0)


def _callout(keys: CalloutKeys, users: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {
        "issuer": keys.issuer,
        "xkey": keys.xkey,
        "account": "AUTH",
        # Only these connect without the authority being asked.
        "auth_users": [user["nkey"] for each in users.values() for user in each],
        "allowed_accounts": ["APP"],  # not even with the issuer's key does a token lead to the streams
    }


def accounts(contracts: Contracts, users: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The accounts and all that crosses between them; nothing else does."""
    exports, remapped = dict(EXPORTS), dict(REMAPPED)
    for name, bucket in contracts.buckets.items():
        exports |= dict.fromkeys(bucket_subjects(contracts, name), "Singleton")
        if bucket.kind == "objects":
            remapped[f"STREAM.PURGE.{bucket_stream(contracts, name)}"] = "Singleton"
    for name, stream in contracts.streams.items():
        for consumer in stream.replay_consumers():
            remapped |= {f"CONSUMER.{verb}.{name}.{consumer}": "Singleton" for verb in ("CREATE", "DELETE")}
    core_exports = [_export(subject, kind, *_importers(subject)) for subject, kind in exports.items()]
    core_exports += [_export(f"{API}.{tail}", kind, *_importers(tail)) for tail, kind in remapped.items()]
    core_exports += [{"stream": subject, "accounts": ["APP"]} for subject in FEEDS]
    app_imports: list[dict[str, Any]] = [_import("CORE", subject) for subject in exports]
    for tail in remapped:
        # The server names who changed something in its advisories only where the import shares that.
        shared = {"share": True} if tail.startswith(CHANGES) else {}
        app_imports.append(_import("CORE", f"{API}.{tail}", f"{CORE_API}.{tail}") | shared)
    app_imports += [{"stream": {"account": "CORE", "subject": subject}} for subject in FEEDS]
    return {
        "SYS": {
            "exports": [
                _export(SERVER_SETTINGS, "Stream", "APP", "CORE"),
                _export(SERVER_CONNECTIONS, "Stream", "APP", "AUTH"),
                _export(SERVER_KICK, "Singleton", "AUTH"),
                *({"stream": subject, "accounts": ["CORE"]} for subject in SESSION_EVENTS),
            ]
        },
        "AUTH": {"users": users["AUTH"], "imports": list(_auth_imports(contracts))},
        "CORE": {
            "jetstream": "enabled",
            "users": users["CORE"],
            "exports": core_exports,
            "imports": [
                _import("SYS", SERVER_SETTINGS),
                *({"stream": {"account": "SYS", "subject": each}, "to": to} for each, to in SESSION_EVENTS.items()),
            ],
        },
        "APP": {
            "users": users["APP"],
            "exports": [{"stream": subjects.NOTIFICATIONS, "accounts": ["AUTH"]}],
            "imports": [*app_imports, _import("SYS", SERVER_SETTINGS), _import("SYS", SERVER_CONNECTIONS)],
        },
    }


def _importers(subject: str) -> tuple[str, ...]:
    """The accounts that a subject of CORE is for."""
    return ("APP", "AUTH") if subject in AUTH_NEEDS else ("APP",)


def _auth_imports(contracts: Contracts) -> Iterator[dict[str, Any]]:
    """What identities in AUTH write, read and receive, and nothing wider: a request from there carries tokens."""
    for name, identity in contracts.identities.items():
        if identity.account != "AUTH":
            continue
        yield _import("CORE", subjects.audit(name, ">"))
        for bucket in identity.reads_buckets:
            get = f"DIRECT.GET.{bucket_stream(contracts, bucket)}"
            yield _import("CORE", f"{API}.{get}", f"{CORE_API}.{get}")
            yield _import("CORE", f"{API}.{get}.>", f"{CORE_API}.{get}.>")
        yield from ({"stream": {"account": "APP", "subject": subjects.notification(what)}} for what in identity.listens)
        if "authorize" in identity.may:
            yield from (_import("SYS", SERVER_CONNECTIONS), _import("SYS", SERVER_KICK))


def _user(key: str, allowed: Permissions) -> dict[str, Any]:
    return {
        "nkey": key,
        "permissions": {"publish": _only(allowed.publish), "subscribe": _only(allowed.subscribe)},
    }


def _only(subjects: tuple[str, ...]) -> dict[str, Any]:
    # To the server an empty allow list means everything.
    return {"allow": list(subjects)} if subjects else {"deny": [">"]}


def _export(subject: str, response: str, *to: str) -> dict[str, Any]:
    return {"service": subject, "response_type": response, "accounts": list(to)}


def _import(account: str, subject: str, to: str = "") -> dict[str, Any]:
    return {"service": {"account": account, "subject": subject}} | ({"to": to} if to else {})


def _block(members: Mapping[str, Any], depth: int) -> str:
    pad = "  " * depth
    return "".join(f"{pad}{name}: {_value(value, depth)}\n" for name, value in members.items())


def _value(value: Any, depth: int) -> str:
    if isinstance(value, dict):
        return "{\n" + _block(value, depth + 1) + "  " * depth + "}" if value else "{}"
    if isinstance(value, list):
        pad = "  " * (depth + 1)
        lines = "".join(f"{pad}{_value(each, depth + 1)}\n" for each in value)
        return "[\n" + lines + "  " * depth + "]" if value else "[]"
    return json.dumps(value)


def render_server_conf(contracts: Contracts, settings: Settings | None = None) -> str:
    """nats.conf for these contracts; makes the credentials that are missing (penstock.auth.nkey_files)."""
    settings = settings or load_settings()
    keys = nkey_files.ensure(contracts, settings.credentials_folder)
    callout = callout_keys.ensure(settings.credentials_folder) if settings.auth == "callout" else None
    return render(contracts, keys, settings, callout)

"""A user `bench` in the streams' account who may do anything: also what no identity of the contracts may."""

from __future__ import annotations

import asyncio
import os

import nkeys  # type: ignore[import-untyped]

from bench.fleet import Fleet
from penstock.broker import Broker
from penstock.stack import nats
from penstock.stack.place import Place

NAME = "bench"
_USERS = '    jetstream: "enabled"\n    users: [\n'


async def open_admin(base: Fleet) -> Broker:
    """A connection of that user. NATS is restarted, and its clients reconnect."""
    await asyncio.to_thread(lambda: nats.wait_ready(base.place, nats.start(base.place, conf_with_admin(base.place))))
    await base.broker.wait_connected(10)
    return await connect_admin(base.place)


async def connect_admin(place: Place) -> Broker:
    """One more connection of that user."""
    return await Broker.connect(place.nats, NAME, place.credentials_folder, prefix="$JS.API")


def conf_with_admin(place: Place) -> str:
    """The fleet's configuration with the user. Raises RuntimeError when it has no place for one."""
    conf = nats.fleet_conf(place)
    if conf.count(_USERS) != 1:
        raise RuntimeError(f"the configuration of NATS has no place behind {_USERS!r}")
    return conf.replace(_USERS, f'{_USERS}      {{nkey: "{new_key(place, NAME)}"}}\n')


def new_key(place: Place, name: str) -> str:
    """Creates a seed among the credentials; returns its public key."""
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    path = place.credentials_folder / f"{name}.nk"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(seed)
    public: str = nkeys.from_seed(bytearray(seed)).public_key.decode()
    return public

"""A NATS server whose certificate is from an authority of its own, named by PENSTOCK_NATS_CA_FILE."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.auth.connect import connect_as
from penstock.errors import Refused, Unavailable
from penstock.provisioning import certificate
from penstock.stack import nats, up
from penstock.stack.place import Place
from tests.support.place_factory import PlaceFactory


@pytest.fixture(scope="module")
async def place(place_factory: PlaceFactory) -> AsyncIterator[Place]:
    """A server that takes TLS only; its URL and the authority are in the place's settings."""
    place = place_factory.make("bus-tls")
    authority = certificate.ensure(place.folder("tls"))
    both = authority.with_name("edge.pem")
    conf = nats.fleet_conf(place) + f'tls {{ cert_file: "{both}", key_file: "{both}" }}\n'
    nats.wait_ready(place, nats.start(place, conf))
    yield place
    up.clean(place)


def trusting(place: Place, authority: Path | None) -> Place:
    """The same place with another authority."""
    url = f"tls://localhost:{place.local_port('nats')}"
    return place.model_copy(update={"nats_url": url, "nats_ca_file": authority, "auth": "nkeys"})


async def test_the_authority_is_for_nats_and_for_nothing_else(place: Place) -> None:
    before = ssl.create_default_context().cert_store_stats()
    broker = await connect_as("provision", trusting(place, place.folder("tls") / "ca.pem"), patience=10)
    assert await broker.jetstream.stream_names(timeout=5) == []
    await broker.drain()
    assert ssl.create_default_context().cert_store_stats() == before


async def test_without_the_authority_there_is_no_connection(place: Place) -> None:
    with pytest.raises(Unavailable, match="no NATS server"):
        await connect_as("provision", trusting(place, None), patience=1)


async def test_a_file_without_a_certificate_is_named(place: Place, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for file in (empty, tmp_path / "absent.pem"):
        with pytest.raises(Refused, match=f"PENSTOCK_NATS_CA_FILE {file}") as refused:
            await connect_as("provision", trusting(place, file), patience=1)
        assert refused.value.code == "SETTING_INVALID"

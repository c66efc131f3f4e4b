"""Which name the writer's connection to Cassandra asks for, and accepts, in a TLS handshake."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cassandra.cluster import NoHostAvailable

from penstock.provisioning import certificate
from penstock.services.writer.settings import WriterSettings
from penstock.services.writer.store import open_cluster

NAME = "cassandra.test"


@contextmanager
def listener(host: str, folder: Path) -> Iterator[tuple[int, list[bool]]]:
    """Its port, and of each connection whether the client accepted the certificate. It says nothing after that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # a handshake is over only when the client has accepted
    certificate.ensure(folder, [NAME])  # and 127.0.0.1
    context.load_cert_chain(folder / "edge.pem")
    accepted: list[bool] = []

    def serve() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return  # closed
            with peer:
                try:
                    context.wrap_socket(peer, server_side=True).close()
                    accepted.append(True)
                except OSError:
                    accepted.append(False)

    with socket.create_server((host, 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], accepted
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    ("host", "name", "accepts"),
    [("127.0.0.2", "", False), ("127.0.0.2", NAME, True), ("127.0.0.1", "other.test", False)],
)
def test_a_node_has_its_address_in_its_certificate_or_the_name_of_the_setting(
    tmp_path: Path, host: str, name: str, accepts: bool
) -> None:
    with listener(host, tmp_path) as (port, accepted):
        settings = WriterSettings(
            cassandra_hosts=host,
            cassandra_port=port,
            cassandra_ca_file=tmp_path / "ca.pem",
            cassandra_server_name=name,
            cassandra_password_file=tmp_path / "ca.pem",  # nobody asks for it
        )
        with open_cluster(settings) as cluster, pytest.raises(NoHostAvailable):
            cluster.connect()
    assert set(accepted) == {accepts}

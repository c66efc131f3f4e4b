"""Settings of the writer, on top of those of every process: PENSTOCK_CASSANDRA_*."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from penstock.settings import Settings


class WriterSettings(Settings):
    """Where Cassandra is, and how rows are written to it."""

    cassandra_hosts: str = Field("127.0.0.1", description="comma-separated contact points")
    cassandra_ca_file: Path | None = Field(
        None, description="certificate authority; given: the connection is encrypted"
    )
    cassandra_server_name: str = Field(
        "", description="name that the certificate of each node must have; default: the address by which it is reached"
    )
    cassandra_port: int = Field(0, description="default: the local stack's node")
    cassandra_username: str = Field("writer", description="role of the writer")
    cassandra_password_file: Path | None = Field(None, description="default: <state>/secrets/cassandra_writer")
    cassandra_keyspace: str = Field("penstock", description="keyspace of the events, timelines and scores")
    cassandra_period: Literal["day", "month", "year"] = Field(
        "month",
        description="period of a Cassandra partition; fixed once a keyspace holds rows (services/writer/periods.py)",
    )
    cassandra_consistency: Literal["ONE", "QUORUM", "LOCAL_QUORUM", "EACH_QUORUM", "ALL"] = Field(
        "LOCAL_QUORUM", description="replicas that must have a row on disk before it is acknowledged"
    )

    @property
    def cassandra(self) -> int:
        """Native protocol port of Cassandra."""
        return self.cassandra_port or self.local_port("cassandra")

    @property
    def cassandra_password(self) -> Path:
        """The file with the password of the writer's role."""
        return self.cassandra_password_file or self.secrets / "cassandra_writer"

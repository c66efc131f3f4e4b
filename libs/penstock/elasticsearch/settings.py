"""Where Elasticsearch is, and how to get in: for whoever writes to it, reads from it or passes readers on."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from penstock.settings import Settings


class ElasticsearchSettings(Settings):
    """The settings of every process, and those of a client of Elasticsearch (PENSTOCK_ELASTICSEARCH_*)."""

    elasticsearch_url: str = Field("", description="default: the local stack's node; several, separated by commas")
    elasticsearch_api_key_file: Path | None = Field(None, description="API key of the indexer, where security is on")
    elasticsearch_ca_file: Path | None = Field(None, description="certificate authority of an https URL")

    @property
    def elasticsearch(self) -> str:
        """URL of the Elasticsearch node."""
        return self.elasticsearch_url or f"http://127.0.0.1:{self.local_port('elasticsearch')}"

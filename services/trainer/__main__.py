"""The trainer job: history from Elasticsearch → model → package → registry; the version as JSON on standard output."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from importlib.metadata import version

import orjson
import structlog

from penstock.auth.connect import connect_as
from penstock.contracts import Contracts, load, problem
from penstock.elasticsearch.client import connect
from penstock.elasticsearch.settings import ElasticsearchSettings
from penstock.errors import PenstockError, Refused
from penstock.events import timestamps
from penstock.rpc.messages import RegisteredModel
from penstock.scoring.features import SCHEMA_DIGEST, Extractor
from penstock.services.trainer.export import export
from penstock.services.trainer.history import History, read_history
from penstock.services.trainer.model import train
from penstock.services.trainer.upload import upload
from penstock.settings import Settings
from penstock.telemetry import configure_logging

_log = structlog.get_logger("penstock.trainer")


def parse_arguments(words: list[str]) -> argparse.Namespace:
    """What to train on and what to do with it."""
    parser = argparse.ArgumentParser(prog="python -m penstock.services.trainer", description=__doc__)
    parser.add_argument("--model", default="surprise", help="name of the model")
    parser.add_argument("--limit", type=int, default=50_000, help="most events to train on")
    parser.add_argument("--type", action="append", dest="types", help="event type; again for more; default: all")
    parser.add_argument("--seed", type=int, default=1, help="the same history and seed give the same model")
    parser.add_argument("--activate", action="store_true", help="let it score at once")
    parser.add_argument("--reason", default="", help="of the activation, for the audit trail")
    return parser.parse_args(words)


def build(history: History, arguments: argparse.Namespace, known: Contracts) -> bytes:
    """The package of a model trained on the history."""
    started = time.monotonic()
    extractor = Extractor(known)
    network, figures = train(extractor.extract(history.items), arguments.seed)
    figures["train_seconds"] = round(time.monotonic() - started, 2)
    manifest = {
        "created_at": timestamps.text(time.time_ns()),
        "code_version": version("penstock"),
        "seed": arguments.seed,
        "schema": SCHEMA_DIGEST,
        "rows": len(history.items),
        "data_sha256": history.digest,
        "query": {
            "types": sorted(history.counts),
            "limit": arguments.limit,
            "taken": history.counts,
            "of": history.totals,
        },
        "sequences": history.sequences,
        "metrics": figures,
    }
    return export(network, manifest, {plan.hash: name for name, plan in extractor.plans.items()})


async def register(package: bytes, arguments: argparse.Namespace, place: Settings) -> RegisteredModel:
    """Hands the package to the registry."""
    broker = await connect_as("trainer", place)
    try:
        return await upload(broker, arguments.model, package, activate=arguments.activate, reason=arguments.reason)
    finally:
        await broker.drain()


def main(words: list[str]) -> int:
    """Exit code 0 when the version is registered (and active, with --activate); the version, or the error, as JSON."""
    arguments, place, known = parse_arguments(words), ElasticsearchSettings(), load()
    configure_logging(place.log_level, "trainer")
    logging.getLogger("tensorflow").setLevel(logging.WARNING)
    try:
        unknown = [name for name in arguments.types or () if name not in known.types]
        if unknown:
            raise Refused("TYPE_UNKNOWN", f"{', '.join(unknown)}: not in the contracts")
        with connect(place) as client:
            types = sorted(arguments.types or known.types)
            history = read_history(client, known, types=types, limit=arguments.limit, seed=arguments.seed)
        _log.info("history_read", events=len(history.items), by_type=history.counts)
        package = build(history, arguments, known)
        _log.info("model_trained", bytes=len(package))
        model = asyncio.run(register(package, arguments, place))
    except PenstockError as error:
        _log.error("training_failed", code=error.code, reason=error.detail)
        print(orjson.dumps(problem(error)).decode())
        return 1
    print(orjson.dumps(model.to_json()).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

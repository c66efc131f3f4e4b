"""The process of a worker: connection, lanes, requests, health, and a stop on SIGTERM."""

from penstock.runtime.worker import Build, Parts, Source, Worker, main, make_lane

__all__ = ["Build", "Parts", "Source", "Worker", "main", "make_lane"]

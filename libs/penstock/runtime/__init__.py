"""The process of a worker: connection, lanes, requests, health, and a stop on SIGTERM.

worker.py shows how to add one.
"""

from penstock.runtime.handling import make_lane
from penstock.runtime.parts import Build, Parts, Replayed, Source
from penstock.runtime.worker import Worker, main

__all__ = ["Build", "Parts", "Replayed", "Source", "Worker", "main", "make_lane"]

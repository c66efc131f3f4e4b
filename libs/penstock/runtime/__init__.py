"""The process of a worker: connection, lanes, requests, health, and a stop on SIGTERM.

worker.py shows how to add one.
"""

from penstock.runtime.handling import make_lane
from penstock.runtime.parts import Build, Parts, Replayed, Source
from penstock.runtime.watch import Findings, Watch
from penstock.runtime.worker import Worker, main

__all__ = ["Build", "Findings", "Parts", "Replayed", "Source", "Watch", "Worker", "main", "make_lane"]

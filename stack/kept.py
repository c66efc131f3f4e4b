"""<state>/stack.json: ports, authentication and issuer of the stack of this state folder.

A command in another shell, without the variables of the first one, works on the stack that is there; and one with other
variables does not move a running NATS away from the services that are connected to it.
"""

from __future__ import annotations

import json

from penstock import atomic_file
from penstock.errors import PenstockError
from penstock.settings import KEPT, KEPT_FILE, kept
from penstock.stack import process
from penstock.stack.place import Place


def keep(place: Place) -> None:
    """Writes down what the stack runs with. Raises STACK_RUNS_OTHERWISE if it runs with something else."""
    found, wanted = kept(place.state), {name: getattr(place, name) for name in KEPT}
    other = [name for name in KEPT if name in found and found[name] != wanted[name]]
    running = [record.name for record in process.all_recorded(place) if process.is_alive(record)]
    if other and running:
        name = other[0]
        raise PenstockError(
            "STACK_RUNS_OTHERWISE",
            f"{len(running)} processes run in {place.state} with {name} {found[name]}, and PENSTOCK_{name.upper()} is"
            f" {wanted[name]} now",
        )
    if found != wanted:
        atomic_file.replace(place.folder("") / KEPT_FILE, json.dumps(wanted).encode() + b"\n")

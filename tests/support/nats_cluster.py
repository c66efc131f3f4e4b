"""Three real NATS servers as one cluster, on a loopback address each and with the same ports, as in three pods.

Between them are TLS and a password, as `penstock init` has it.
"""

from __future__ import annotations

import json
import subprocess
from types import TracebackType

from penstock.provisioning import certificate
from penstock.provisioning.nats_server import NatsServer
from penstock.stack import nats
from penstock.stack.place import Place
from tests.support.until import until

USER = PASSWORD = "core"


class NatsCluster:
    """`n1`, `n2`, `n3`. Ends what it started."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.addresses = {f"n{number}": f"127.0.0.{number}" for number in (1, 2, 3)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def clients(self) -> list[str]:
        """URLs for clients."""
        port = self._place.local_port("nats")
        return [f"nats://{USER}:{PASSWORD}@{address}:{port}" for address in self.addresses.values()]

    def monitoring(self, name: str) -> str:
        """host:port of a server's monitoring."""
        return f"{self.addresses[name]}:{self._place.local_port('nats_monitor')}"

    def routes(self, name: str) -> str:
        """host:port at which the others reach a server."""
        return f"{self.addresses[name]}:{self._place.local_port('cassandra')}"

    async def __aenter__(self) -> NatsCluster:
        for name in self.addresses:
            path = self._place.folder(f"nats/{name}") / "nats.conf"
            path.write_text(self._conf(name))
            self._running[name] = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                [nats.binary(), "-c", str(path), "-l", str(path.with_suffix(".log"))], stdin=subprocess.DEVNULL
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in [*self._running]:
            await self.kill(name)

    async def kill(self, name: str) -> None:
        """SIGKILL; returns when it is gone."""
        process = self._running.pop(name)
        process.kill()
        await until(lambda: process.poll() is not None)

    def _conf(self, name: str) -> str:
        place, address = self._place, self.addresses[name]
        tls = place.folder("nats/routes")
        certificate.ensure(tls, [*self.addresses.values()], servers=True)
        cluster = NatsServer(
            name, "", "", "", tuple(map(self.routes, self.addresses)), PASSWORD, self.routes(name), str(tls)
        ).cluster()
        return f"""\
server_name: {name}
listen: "{address}:{place.local_port("nats")}"
http: "{self.monitoring(name)}"
cluster: {json.dumps(cluster["cluster"])}
jetstream {{ store_dir: "{place.folder(f"nats/{name}")}" }}
accounts {{
  CORE {{ jetstream: enabled, users: [{{user: {USER}, password: {PASSWORD}}}] }}
  SYS {{ users: [] }}
}}
system_account: SYS
"""

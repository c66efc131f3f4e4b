"""Whether a port of the stack is free, and otherwise which process listens on it."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import psutil

from penstock.errors import PenstockError

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """True if a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def require_free(name: str, ports: dict[str, int]) -> None:
    """Refuse to start `name` on a taken port: PORT_TAKEN says which port, what for, and how to choose others."""
    patience = time.monotonic() + 1.0  # the kernel may still be closing the ports of a process just killed
    for purpose, port in ports.items():
        while not (free := is_free(port)) and time.monotonic() < patience:
            time.sleep(0.02)
        if free:
            continue
        raise PenstockError(
            "PORT_TAKEN",
            f"port {port}, which {name} needs for {purpose}, is taken by {holder(port)}; "
            f"stop that program, or set PENSTOCK_PORT_BASE=<another number> to move the whole stack",
        )


def holder(port: int) -> str:
    """Who listens on the port, as far as this user may see."""
    try:
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass  # another user's process, or it has just gone: the name is a courtesy
    low, high = _given_out()
    if low <= port <= high:
        return (
            f"another program's outgoing connection: the system gives the ports {low} to {high} to those, so a stack"
            f" needs a base below {low}"
        )
    return "another program"


def _given_out() -> tuple[int, int]:
    """The ports that the kernel gives to outgoing connections."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
        return int(low), int(high)
    except (OSError, ValueError):
        return 0, 0

"""error → problem details (RFC 9457), with title, status and next step from contracts/errors.yaml."""

from __future__ import annotations

from typing import Any

from penstock.contracts.load import load
from penstock.errors import PenstockError
from penstock.settings import shipped_contracts


def problem(error: PenstockError) -> dict[str, Any]:
    """The RFC 9457 members of an error: type, title, status, code, detail, next_step, and pointer if there is one."""
    entry = load().errors.get(error.code) or load().errors["INTERNAL"]
    body: dict[str, Any] = {
        "type": f"urn:penstock:error:{error.code}",
        "title": entry.title,
        "status": entry.status,
        "code": error.code,
        "detail": error.detail,
        "next_step": entry.next_step,
    }
    if error.pointer:
        body["pointer"] = error.pointer
    return body


def step_in_shell(code: str) -> str:
    """What whoever runs a command can do about an error, by this release: the settings may be what is wrong."""
    errors = load(shipped_contracts()).errors
    entry = errors.get(code) or errors["INTERNAL"]
    return entry.in_shell or entry.next_step

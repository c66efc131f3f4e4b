"""Two statements of our own in the templates → HAProxy's, with code, title and next step from contracts/errors.yaml.

refuse <CODE> [after <seconds>] '<detail>' if|unless <condition>     → http-request deny
answer <status> <CODE> [after <seconds>] '<detail>'                  → http-error

A detail may name variables, as in %[var(txn.near)]. `after` is for Retry-After. HAProxy has error pages for some states
only, so an answer's status may differ from that of its code.
"""

from __future__ import annotations

import json
import re

from penstock.contracts import load, problem
from penstock.errors import PenstockError

_REFUSE = re.compile(
    r"(?P<indent> *)refuse (?P<code>[A-Z_]+)(?: after (?P<after>\d+))? '(?P<detail>[^']*)' "
    r"(?P<condition>(?:if|unless) .+)"
)
_ANSWER = re.compile(
    r"(?P<indent> *)answer (?P<status>\d+) (?P<code>[A-Z_]+)(?: after (?P<after>\d+))? '(?P<detail>[^']*)'"
)
COUNT_REFUSED = "sc-inc-gpc0(2)"


def expand(text: str, *, count_refused: bool) -> str:
    """The text with every such line replaced; `count_refused` enters each 401 into the table of addresses."""
    lines: list[str] = []
    for line in text.splitlines():
        if found := _REFUSE.fullmatch(line):
            lines += _refuse(found, count_refused)
        elif found := _ANSWER.fullmatch(line):
            lines.append(_answer(found))
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _refuse(found: re.Match[str], count_refused: bool) -> list[str]:
    status, body = _body(found)
    start, condition = found["indent"] + "http-request ", found["condition"]
    lines = [f"{start}set-var(txn.code) str({found['code']}) {condition}"]
    if status == 401 and count_refused:
        lines.append(f"{start}{COUNT_REFUSED} {condition}")
    return [*lines, f"{start}deny status {status} {body} {condition}"]


def _answer(found: re.Match[str]) -> str:
    _, body = _body(found, int(found["status"]))
    return f"{found['indent']}http-error status {found['status']} {body}"


def _body(found: re.Match[str], status: int | None = None) -> tuple[int, str]:
    if found["code"] not in load().errors:
        raise ValueError(f"{found['code']} is not in contracts/errors.yaml")
    members = problem(PenstockError(found["code"], found["detail"]))
    members["status"] = status or members["status"]
    text = re.sub(r"%(?!\[var\()", "%%", json.dumps(members)).replace("'", "\\u0027")
    text = text[:-1] + ', "request_id": "%[var(txn.id)]"}'
    headers = " hdr cache-control no-store"
    if members["status"] == 401:
        # RFC 6750 section 3: an error is named where credentials were shown.
        wrong = "" if found["code"] == "UNAUTHENTICATED" else ', error="invalid_token"'
        headers += f""" hdr www-authenticate 'Bearer realm="penstock"{wrong}'"""
    if found["after"]:
        headers += f" hdr retry-after {found['after']}"
    return members["status"], f"content-type application/problem+json lf-string '{text}'{headers}"

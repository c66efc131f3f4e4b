"""Events as the CloudEvents SDKs for Python and JavaScript send them, in every mode, and what is stored of them.

The cases are those of the SDKs' own tests: every attribute, extensions, kinds of data, dates, Unicode. Where the
contract takes less than CloudEvents allows, the refusal is exact.
"""

from __future__ import annotations

import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from penstock.events import timestamps
from tests.support.broker_rig import STREAM, Rig
from tests.support.ingress import Ingress
from tests.support.npm_packages import NPM_SECONDS, installed

Json = dict[str, Any]
SEND_SECONDS = 60
SDKS, MODES = ("python", "javascript"), ("binary", "structured", "batch")
TIME = "2026-11-20T10:00:00.123Z"
UNSENT = "ERR_INVALID_CHAR"  # Node.js: a header takes Latin-1 only, and the SDK does not encode
UNWRITTEN = "ERR_INVALID_ARG_TYPE"  # Node.js: the SDK writes a body of `undefined`

pytestmark = pytest.mark.timeout(NPM_SECONDS + 2 * SEND_SECONDS + 60)


@dataclass(frozen=True)
class Case:
    """An event, and what becomes of it.

    `refused` gives (code, pointer, words of the detail) by mode, or by SDK and mode. Otherwise the event is stored as
    it was meant, but for the attributes in `stored`, by SDK or by SDK and mode.
    """

    attributes: Json = field(default_factory=dict)
    data: Json | None = field(default_factory=lambda: {"json": {"message": "drawer opened"}})
    refused: dict[str, tuple[str, ...]] = field(default_factory=dict)
    stored: dict[str, Json] = field(default_factory=dict)

    def event(self, name: str, sdk: str, mode: str) -> Json:
        """With what every event has."""
        base = {
            "id": f"{sdk} {mode} {name}",
            "source": "/till/7",
            "type": "log.line.v1",
            "subject": "till-7",
            "time": TIME,
        }
        attributes = {name: value for name, value in (base | self.attributes).items() if value is not None}
        return {"attributes": attributes, "data": self.data}

    def refusal(self, sdk: str, mode: str) -> tuple[str, ...] | None:
        return self.refused.get(f"{sdk} {mode}", self.refused.get(mode, self.refused.get("all")))


def base64(data: bytes) -> Json:
    return {"base64": b64encode(data).decode()}


NESTED = {
    "message": "x",
    "labels": {"a": "1"},
    "till": {"open": True, "none": None, "items": [1, -2.5, [], {"é": "\u2028"}]},
}
UNICODE = "Грюезі 世界 ไทย é 😀"
BYTES = ("ENVELOPE_INVALID", "", "bytes in `data_base64` are not taken")
HEADER = ("ENVELOPE_INVALID", "/subject")

CASES: dict[str, Case] = {
    "required attributes only": Case({"time": None}),
    "every attribute": Case({"datacontenttype": "application/json", "dataschema": "https://example.com/till.json"}),
    "a media type with a charset": Case({"datacontenttype": "application/json; charset=utf-8"}),
    "a media type of JSON": Case({"datacontenttype": "application/vnd.till+json"}),
    "source: a URN": Case({"source": "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"}),
    "source: a URL": Case({"source": "https://example.com:8443/a/b?c=d&e=f+g#h"}),
    "source: an address": Case({"source": "mailto:till@example.com"}),
    "source: a relative reference": Case({"source": "1-555-123-4567"}),
    # Receivers decode headers (HTTP binding, 3.1.3.2); the SDK for JavaScript does not encode them.
    "source: with a percent sign": Case({"source": "/a%20b"}, stored={"javascript binary": {"source": "/a b"}}),
    "subject: with quotes": Case({"subject": 'a "b" 100% c'}),
    "subject: in quotes": Case({"subject": '"till 7"'}, stored={"javascript binary": {"subject": "till 7"}}),
    "subject: Latin-1": Case({"subject": "Kasse für é"}, refused={"javascript binary": HEADER}),
    "subject: Unicode": Case({"subject": UNICODE}, refused={"javascript binary": (UNSENT, "")}),
    "time: with an offset": Case({"time": "2026-11-20T12:00:00.500+05:30"}),
    "time: whole seconds": Case({"time": "2026-02-28T23:59:59Z"}),
    "time: microseconds": Case({"time": "2026-11-20T10:00:00.123456Z"}, stored={"javascript": {"time": TIME}}),
    "time: the beginning of Unix time": Case(
        {"time": "1970-01-01T00:00:00Z"}, refused={"all": ("TIME_OUT_OF_BOUNDS", "/time")}
    ),
    "extension: trace context": Case(
        {"traceparent": f"00-{'a1' * 16}-{'b2' * 8}-01", "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}
    ),
    "extension: text": Case({"comexampleext": "value"}, refused={"all": ("ATTRIBUTE_UNKNOWN", "/comexampleext")}),
    "extension: a number": Case({"sequence": 5}, refused={"all": ("ATTRIBUTE_UNKNOWN", "/sequence")}),
    "extension: true": Case({"flag": True}, refused={"all": ("ATTRIBUTE_UNKNOWN", "/flag")}),
    "data: nested": Case(data={"json": NESTED}),
    "data: Unicode": Case(data={"json": {"message": f"{UNICODE} \\ \" \u0007 \u2029"}}),
    "data: a list": Case(data={"json": [1, 2]}, refused={"all": ("SCHEMA_VIOLATION", "/data")}),
    # As JSON, a text stands in quotes; both SDKs send it without them in binary mode.
    "data: a text": Case(
        data={"text": "drawer"}, refused={"binary": ("JSON_INVALID", "/data"), "all": ("SCHEMA_VIOLATION", "/data")}
    ),
    "data: JSON as bytes": Case(
        {"datacontenttype": "application/json"},
        data=base64(b'{"message": "drawer opened"}'),
        refused={"structured": BYTES, "batch": BYTES},
    ),
    "data: plain text": Case(
        {"datacontenttype": "text/plain"},
        data={"text": "drawer opened"},
        refused={"binary": ("CONTENT_TYPE_UNKNOWN", ""), "all": ("ENVELOPE_INVALID", "/datacontenttype")},
    ),
    "data: XML": Case(
        {"datacontenttype": "application/xml"},
        data={"text": "<much wow=\"xml\"/>"},
        refused={"binary": ("CONTENT_TYPE_UNKNOWN", ""), "all": ("ENVELOPE_INVALID", "/datacontenttype")},
    ),
    "data: bytes": Case(
        {"datacontenttype": "application/octet-stream"},
        data=base64(bytes(range(256))),
        refused={"binary": ("CONTENT_TYPE_UNKNOWN", ""), "all": BYTES},
    ),
    "data: none": Case(
        data=None,
        refused={"javascript binary": (UNWRITTEN, ""), "all": ("ENVELOPE_INVALID", "", "`data` is missing")},
    ),
    "type: not of the contract": Case({"type": "com.github.pull.create"}, refused={"all": ("TYPE_UNKNOWN", "/type")}),
    "specversion: 0.3": Case({"specversion": "0.3"}, refused={"all": ("ENVELOPE_INVALID", "/specversion")}),
    "subject: none": Case({"subject": None}, refused={"all": ("ENVELOPE_INVALID", "", "`subject` is missing")}),
}  # fmt: skip


def requests(sdk: str) -> list[Json]:
    """One for each case in binary and in structured mode, and one batch of all."""
    single = [{"mode": mode, "events": [case.event(n, sdk, mode)]} for mode in MODES[:2] for n, case in CASES.items()]
    return [*single, {"mode": MODES[2], "events": [case.event(n, sdk, MODES[2]) for n, case in CASES.items()]}]


async def send(command: list[str], ingress: Ingress, requests: list[Json]) -> list[Json]:
    """The body of each response, or {unsent} where the SDK could not send the request."""
    plan = {"url": f"{ingress.url}/v1/events", "authorization": f"Bearer {ingress.key}", "requests": requests}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(SEND_SECONDS):
            said, complaints = await process.communicate(json.dumps(plan).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert not complaints, complaints.decode()
    return [json.loads(line) for line in said.splitlines()]


Outcome = tuple[Json, Json | None]  # the result of an event, and what is stored under its id


@pytest.fixture(scope="module")
async def outcomes(rig: Rig) -> AsyncIterator[dict[tuple[str, str, str], Outcome]]:
    """By SDK, mode and name of the case."""
    folder, first = installed("cloudevents-sdk"), await rig.next_sequence(STREAM)
    ingress = await Ingress(rig.place).start()
    answers = {
        "python": await send([sys.executable, str(folder / "send.py")], ingress, requests("python")),
        "javascript": await send(["node", str(folder / "send.mjs")], ingress, requests("javascript")),
    }
    stored = {value["id"]: value for one in await rig.stored(STREAM, first) if (value := orjson.loads(one.data))}
    found: dict[tuple[str, str, str], Outcome] = {}
    for sdk in SDKS:
        *single, batch = answers[sdk]
        results = [answer.get("results", [answer])[0] for answer in single] + batch["results"]
        for (mode, name), result in zip([(m, n) for m in MODES for n in CASES], results, strict=True):
            found[sdk, mode, name] = result, stored.pop(f"{sdk} {mode} {name}", None)
    assert not stored
    yield found
    await ingress.stop()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("name", CASES)
def test_an_event_of_an_sdk(outcomes: dict[tuple[str, str, str], Outcome], name: str, sdk: str, mode: str) -> None:
    case = CASES[name]
    result, stored = outcomes[sdk, mode, name]
    if refusal := case.refusal(sdk, mode):
        code, pointer, *said = refusal
        assert (result.get("code", result.get("unsent")), result.get("pointer", "")) == (code, pointer)
        assert all(words in result["detail"] for words in said)
        assert stored is None
        return
    assert result["status"] == "accepted"
    assert stored is not None
    meant = case.event(name, sdk, mode)
    expected = meant["attributes"] | case.stored.get(sdk, {}) | case.stored.get(f"{sdk} {mode}", {})
    assert stored.pop("data") == (case.data or {}).get("json", {"message": "drawer opened"})
    time = timestamps.parse(stored.pop("time"))
    if "time" in expected:  # else the SDK gave it that of now
        assert time == timestamps.parse(expected.pop("time"))
    # The SDK for JavaScript names the media type of data in binary mode, also where the event does not.
    media = {"datacontenttype": "application/json; charset=utf-8"} if (sdk, mode) == ("javascript", "binary") else {}
    assert stored == {"specversion": "1.0", **media, **expected}

"""Dead letters on the terminal: nothing in them acts on it, and the failing member is marked."""

from __future__ import annotations

import pytest

from penstock.cli.dlq_show import MARK, MOST_CHARACTERS, payload_lines, printable, stats
from penstock.rpc.messages import DeadLetterCounts, DeadLetterStats, LimitedPublisher


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x9b2J", "a\rb", "\x07", "\u202eabc", "a\u2028b", "\x7f", "\ud800", "\u200b"]
)
def test_what_could_act_on_a_terminal_is_escaped(text: str) -> None:
    assert printable(text).isprintable()
    assert "\\" in printable(text)


def test_the_failing_member_is_marked() -> None:
    payload = b'{"a": {"b/c": [1, {"level": "\\u001b[2J"}]}, "level": 2}'
    lines = list(payload_lines(payload, "/a/b~1c/1/level"))
    assert [line for line in lines if line.endswith(MARK)] == [f'        "level": "\\u001b[2J"  {MARK}']
    assert lines[0] == "{"
    assert lines[-1] == "}"


def test_a_payload_that_is_not_json_is_shown_escaped() -> None:
    assert list(payload_lines(b"\xff\x1b[2J plain", "/x")) == ["\\xff\\x1b[2J plain"]


def test_a_long_payload_is_cut_and_says_so() -> None:
    lines = list(payload_lines(b"x" * (MOST_CHARACTERS + 1), ""))
    assert len(lines[0]) == MOST_CHARACTERS
    assert "--raw" in lines[1]


def test_the_stats_name_who_used_up_a_share(capsys: pytest.CaptureFixture[str]) -> None:
    limited = LimitedPublisher(worker="indexer", publisher="billing", dead_letters=3, messages=4711)
    found = DeadLetterStats(
        states={"open": DeadLetterCounts(dead_letters=63, messages=4771)}, open=[], over_share=[limited],
        bytes=0, max_bytes=1, share=0.0, per_hour=0, complete=True,
    )  # fmt: skip
    stats(found, json=False)
    line = "DEAD_LETTER_SHARE_USED: billing at the indexer: 4,711 messages in 3 ranges within the last hour"
    assert line in [line.strip() for line in capsys.readouterr().out.splitlines()]

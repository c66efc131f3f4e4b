"""What the masks make of a line."""

from __future__ import annotations

import struct
import subprocess
import sys

import pytest

from penstock.scoring.patterns import TOKENS, VOCABULARY, Patterns, token_id


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        (
            "Received block blk_-1608999687919862906 of size 91178 from /10.250.10.6",
            "Received block blk_<n> of size <n> from /<ip>",
        ),
        ("081109 204005 35 INFO dfs.FSNamesystem: done", "<n> INFO dfs.FSNamesystem: done"),
        ("at 2015-10-18T18:01:47.978Z and 18:01:47,978", "at <time> and <time>"),
        ("[Sun Dec 04 04:51:08 2005] [notice] ok", "[<time> <time> <n> <time> <n>] [notice] ok"),
        ("instance: fecdd5a9-3ca0-4c82-9336-63b7774f738e gone", "instance: <uuid> gone"),
        ("key 54fadb412c4e40cdbaed9335e4c35a9e at 0x7fed806eb5d", "key <hex> at <hex>"),
        ("principal AIDATFQR7NSC5U6Q3TMDR", "principal <id>"),
        ("open /var/log/app/today.log failed", "open <path> failed"),
        (r"open C:\Windows\System32\x.dll failed", "open <path> failed"),
        ("GET https://example.org/a?b=1 200", "GET <url> <n>"),
        ("from fe80::1 port 22 ssh2", "from <ip> port <n> ssh<n>"),
        ("failure; uid=0 user=root rhost=10.0.0.1", "failure; uid=<n> user=<v> rhost=<ip>"),
        ("rc=-1 t=3.25 n=1,024", "rc=<n> t=<n> n=<n>"),
        ("exited with status 137 after 5 s", "exited with status 137 after <n> s"),
        ("worker 7 exit code: 1", "worker <n> exit code: 1"),
        ("connect failed: errno=111 after 3 tries", "connect failed: errno=111 after <n> tries"),
        ("SQLSTATE[23505] duplicate key 77", "SQLSTATE[23505] duplicate key <n>"),
        ("level=info status_code=503 bytes=7", "level=<v> status_code=503 bytes=<n>"),
        ("status 4711/4712 of 9, code 123456", "status <n>/<n> of <n>, code <n>"),
        ("std::vector Foo::bar facade", "std::vector Foo::bar facade"),
        ("delete blk_1 blk_22 blk_333", "delete blk_<n>"),
        ("", ""),
    ],
)
def test_values_are_masked_and_words_stay(text: str, pattern: str) -> None:
    assert Patterns().read(text).text == pattern


ACCESS = '203.0.113.{host} - {user} "{method} /pay/{item} HTTP/1.1" {status} {size} "-" "curl/8.{minor}"'


def test_a_status_is_a_code_and_the_other_numbers_of_an_access_log_are_values() -> None:
    patterns = Patterns()

    def pattern(status: int, **values: int) -> str:
        numbers = {"host": 7, "item": 12, "size": 512, "minor": 5} | values
        return patterns.read(ACCESS.format(user="-", method="GET", status=status, **numbers)).id

    statuses = (200, 201, 301, 404, 429, 500, 503)
    assert len({pattern(status) for status in statuses}) == len(statuses)
    for status in statuses:
        assert {pattern(status, host=8), pattern(status, item=9), pattern(status, size=70_000)} == {pattern(status)}
    shown = patterns.read(ACCESS.format(host=1, user="-", method="GET", item=2, status=500, size=3, minor=4)).text
    assert shown == '<ip> - - "GET <path> HTTP/<n>" 500 <n> "-" "curl/<n>"'


@pytest.mark.parametrize(
    ("ok", "failed"),
    [
        ('{"path":"/pay","status":200,"ms":12}', '{"path":"/pay","status":502,"ms":90}'),
        ("GET /pay -> HTTP/2 200 in 12 ms", "GET /pay -> HTTP/2 500 in 31 ms"),
        ("job 17 finished, exit status 0", "job 17 finished, exit status 1"),
        ("response code=0", "response code=13"),
    ],
)
def test_success_and_failure_differ(ok: str, failed: str) -> None:
    patterns = Patterns()
    one, other = patterns.read(ok), patterns.read(failed)
    assert one.id != other.id
    assert one.tokens != other.tokens


def test_lines_that_differ_in_values_share_pattern_and_tokens() -> None:
    patterns = Patterns()
    one = patterns.read("session 17 opened for user root by (uid=0)")
    other = patterns.read("session 98123 opened for user root by (uid=501)")
    assert (one.id, one.hash, one.tokens) == (other.id, other.hash, other.tokens)


def test_a_value_of_a_name_stays_a_token_of_its_own() -> None:
    patterns = Patterns()
    ok, failed = patterns.read("state=ok"), patterns.read("state=failed")
    assert ok.id == failed.id
    assert ok.tokens != failed.tokens


def test_the_cache_does_not_change_patterns() -> None:
    lines = [f"worker {n % 7} wrote file-{n % 13}.tmp in {n} ms" for n in range(500)]
    small, fresh = Patterns(lines=3, words=3), Patterns()
    assert [small.read(line) for line in lines] == [fresh.read(line) for line in lines]


def test_tokens_are_bounded_and_padded() -> None:
    words = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(200))
    tokens = struct.unpack(f"<{TOKENS}i", Patterns().read(words).tokens)
    assert all(0 < token < VOCABULARY for token in tokens)
    assert struct.unpack(f"<{TOKENS}i", Patterns().read("one").tokens)[1:] == (0,) * (TOKENS - 1)


def test_tokens_are_the_same_in_another_process() -> None:
    script = "from penstock.scoring.patterns import token_id; print(token_id('Received'))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert int(out.stdout) == token_id("Received") == 7_166


def test_a_huge_line_takes_bounded_work_and_space() -> None:
    pattern = Patterns().read("x1 " * 50_000)
    assert len(pattern.text) <= 512
    assert len(Patterns().read("a" * 60_000).tokens) == 4 * TOKENS


def test_unusual_text_is_tokenised() -> None:
    patterns = Patterns()
    for text in ("\x00\x01", "日本語 ログ 12", "\ud800 lone", "= == =a a= ::: ---", "'\"{}[]"):
        assert len(patterns.read(text).tokens) == 4 * TOKENS

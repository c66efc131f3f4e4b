"""text → pattern: what stays the same when a line is written again with other numbers, addresses and names.

    "Received block blk_-160899 of size 91178 from /10.250.10.6"
    → pattern "Received block blk_<n> of size <n> from /<ip>", tokens [Received, block, blk_<n>, of, …]

A number is a value, and masked, unless the words before it say that it is a code: an HTTP status, an exit status, an
error code. `"GET /pay HTTP/1.1" 200 12` and `… 500 98` are two patterns, `"GET /pay HTTP/<n>" 200 <n>` and `… 500 <n>`.

Speed comes from two memories. All digits become 0 first (one C call), so that most lines of a pattern are the same
text already; it is known of each where its codes stand, and only their digits are put back. Lines not met yet are cut
into words, and nearly every word has been met.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from string import ascii_lowercase, ascii_uppercase
from struct import pack
from typing import TypeVar
from zlib import crc32

from penstock.recent_cache import RecentCache

MASKS_VERSION = 2  # raise it whenever a line's pattern or tokens may change: old models then no longer fit
TOKENS = 48  # token ids of a text that the model sees
VOCABULARY = 16_384  # token ids are 1..VOCABULARY-1; 0 is padding
TEXT_READ = 4_096  # characters of a text that count
PATTERN_KEPT = 512  # characters of a pattern that are kept to be shown

_ZEROS = str.maketrans("123456789", "000000000")
# The digits of codes are written so until the masks are through.
_DIGITS, _KEPT = "0123456789", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19"
_KEEP, _SHOW = str.maketrans(_DIGITS, _KEPT), str.maketrans(_KEPT, _DIGITS)
# On a line in lower case whose digits are all 0. Each alternative begins with a letter of its own, for which the
# expression skips all others; what may stand before it is looked at where one was found.
_CODE = re.compile(
    r"""
    (?: http/0(?:\.0)?"?[ ]
      | (?:status(?:[ _-]?code)?|code)["']?(?:\s?[=:]\s?|[ ])["']?
      | (?:errno|signal|sqlstate)["']?[ =:\[]{1,2}
    )
    (\d{1,5})(?![\w.:/-])
    """,
    re.VERBOSE,
)
_MAY_HAVE_MORE = ("status", "code")  # words before them that belong to the name: "exit code", "http-status"
_MORE = re.compile(r"(?:\A|[^a-z])(?:(?:http|exit|return|error|response)[ _-]?)?\Z")
_LONGEST_MORE = len("?response_")
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)  # and no other, so that all keep their places
_BEFORE_CODES = ("http/", "status", "code", "errno", "signal", "sqlstate")  # a line without them needs no expression
# On a word whose digits are all 0. The first alternative that fits wins.
_MASK = re.compile(
    r"""
    (?P<url>\b[a-z][a-z0+.-]*://[^\s"'<>\])}]+)
  | (?P<uuid>\b[0a-fA-F]{8}-[0a-fA-F]{4}-[0a-fA-F]{4}-[0a-fA-F]{4}-[0a-fA-F]{12}\b)
  | (?P<time>(?<![\w.])0{2,4}[-/]0{1,2}[-/]0{1,4}(?:[T_:-]0{1,2}(?::0{1,2}){1,3}(?:[.,:]0+)?Z?)?(?!\w)
      | (?<![\w.:])0{1,2}(?::0{1,2}){2}(?:[.,:]0+)?(?![\w:])
      | (?:\A|(?<=\[))(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?=,?\Z))
  | (?P<ip>(?<![\w.])0{1,3}(?:\.0{1,3}){3}(?::0+)?(?![\w.])|
      (?<![\w:])(?:(?:[0a-fA-F]{1,4}:){7}|(?=[a-fA-F:]*0)(?:[0a-fA-F]{0,4}:){1,6}:)[0a-fA-F]{1,4}(?![\w:]))
  | (?P<hex>\b0[xX][0a-fA-F]+|(?<![A-Za-z0])(?=0*[a-fA-F])(?=[a-fA-F]*0)[0a-fA-F]{8,}(?![A-Za-z0]))
  | (?P<id>(?<![A-Za-z0])(?=[A-Z]*0)(?=0*[A-Z])[0A-Z]{12,}(?![A-Za-z0])
      | (?<![\w+/-])(?=[A-Za-z+_-]*0)(?=[A-Z0+_-]*[a-z])(?=[a-z0+_-]*[A-Z])[A-Za-z0+_-]{20,}={0,2}(?![\w+/-]))
  | (?P<n>(?<![A-Za-z0.)\]])[-+]?0+(?:[.,]0+)*|0+)
    """,
    re.VERBOSE,
)
# Looked for after the masks, so that a path's own numbers and ids are masked in its token.
_PATH = re.compile(r"(?<![\w/.<>])(?:/[\w.+%$@~<>-]+){2,}/?|\b[A-Za-z]:\\[^\s\"',;|]+")
_VALUE = re.compile(r"(?<==)[A-Za-z_][\w.@-]*(?=$|[\s,;)\]}\"'])")  # user=root: the name says more than the value
_SPLIT = re.compile(r"[\[\](){}|,;:\"'!?*#&]+")

Spans = tuple[tuple[int, int], ...]  # where the codes of a line begin and end


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a text became."""

    text: str
    id: str  # 16 hex digits of BLAKE2b of the whole pattern
    hash: int  # 31 bits of crc32 of the whole pattern
    tokens: bytes  # TOKENS little-endian int32


def stable(text: str) -> int:
    """31 bits of crc32: the same in every process and on every machine."""
    return crc32(text.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF


def token_id(token: str) -> int:
    """The place of a token in the vocabulary, 1..VOCABULARY-1."""
    return crc32(token.encode("utf-8", "surrogatepass")) % (VOCABULARY - 1) + 1


Known = TypeVar("Known", Pattern, Pattern | Spans)  # of a line


class Patterns:
    """Turns texts into patterns, remembering lately met lines and words. One per process and thread."""

    def __init__(self, lines: int = 20_000, words: int = 50_000) -> None:
        self._lines: RecentCache[str, Pattern | Spans] = RecentCache(lines)
        self._words: RecentCache[str, tuple[str, tuple[int, ...]]] = RecentCache(words)

    def read(self, text: str) -> Pattern:
        """The pattern of a text; the empty text has the empty pattern."""
        read = text[:TEXT_READ]
        zeroed = read.translate(_ZEROS)
        known = self._lines.get(zeroed) or self._keep(zeroed, _codes(zeroed) or self._read(zeroed))
        return known if isinstance(known, Pattern) else self._with_codes(read, zeroed, known)

    def _with_codes(self, read: str, zeroed: str, codes: Spans) -> Pattern:
        for begin, end in codes:
            zeroed = zeroed[:begin] + read[begin:end].translate(_KEEP) + zeroed[end:]
        known = self._lines.get(zeroed)
        return known if isinstance(known, Pattern) else self._keep(zeroed, self._read(zeroed))

    def _keep(self, line: str, known: Known) -> Known:
        if len(line) <= 1_024:
            self._lines.put(line, known)
        return known

    def _read(self, zeroed: str) -> Pattern:
        words: list[str] = []
        ids: list[int] = []
        for word in zeroed.split():
            known = self._words.get(word)
            if known is None:
                known = _read_word(word)
                if len(word) <= 128:
                    self._words.put(word, known)
            # A list of values of any length is one pattern.
            if "<" in known[0] and words and known[0] == words[-1]:
                continue
            words.append(known[0])
            ids.extend(known[1])
        whole = " ".join(words)
        raw = whole.encode("utf-8", "surrogatepass")
        kept = ids[:TOKENS]
        return Pattern(
            text=whole[:PATTERN_KEPT].translate(_SHOW),
            id=blake2b(raw, digest_size=8).hexdigest(),
            hash=crc32(raw) & 0x7FFFFFFF,
            tokens=pack(f"<{len(kept)}i", *kept).ljust(4 * TOKENS, b"\0"),
        )


def _read_word(word: str) -> tuple[str, tuple[int, ...]]:
    masked = _MASK.sub(_mask, word)
    tokens: list[str] = []
    for piece in _SPLIT.split(masked):
        name, equals, value = piece.partition("=")
        if equals and name and value:
            tokens.append(name)
        tokens.append(piece.strip("=.-"))
    return _PATH.sub("<path>", _VALUE.sub("<v>", masked)), tuple(token_id(token) for token in tokens if token)


def _codes(zeroed: str) -> Spans:
    low = zeroed.translate(_LOWER)
    for word in _BEFORE_CODES:
        if word in low:
            return tuple(match.span(1) for match in _CODE.finditer(low) if _is_code(match))
    return ()


def _is_code(match: re.Match[str]) -> bool:
    line, begin = match.string, match.start()
    if line.startswith(_MAY_HAVE_MORE, begin):
        return bool(_MORE.search(line, max(0, begin - _LONGEST_MORE), begin))
    return line[begin] == "h" or begin == 0 or line[begin - 1] not in ascii_lowercase


def _mask(match: re.Match[str]) -> str:
    return f"<{match.lastgroup}>"

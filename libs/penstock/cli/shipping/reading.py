"""bytes of a file or of standard input → its lines: unpacked, in UTF-8.

Whatever can be read is given; what stops the reading comes behind it, as Damaged.
"""

from __future__ import annotations

import bz2
import codecs
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import IO, Any

CHUNK = 256 * 1024
PACKED_CHUNK = 2 * 1024  # small, as what a damaged chunk holds before the damage is lost
LONGEST_LINE = 256 * 1024 * 1024  # bytes; a longer line is given in pieces of this size
PROBE = 4096

_PACKED: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b", lambda: zlib.decompressobj(wbits=31)),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", lzma.LZMADecompressor),
)
# What is not read here, with the command that makes text of it.
_OTHERS = (
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard", "zstdcat FILE"),
    (b"\x04\x22\x4d\x18", "packed with LZ4", "lz4cat FILE"),
    (b"\x1f\x9d", "packed with compress", "zcat FILE"),
    (b"PK\x03\x04", "a ZIP archive", "unzip -p FILE"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x -so FILE"),
    (b"LPKSHHRH", "a journal of systemd", "journalctl -o json --file FILE"),
)
_TAR = slice(257, 262), b"ustar"
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Damaged(Exception):
    """Reading ended early; the text says why."""


def lines(file: IO[bytes], seen: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """The lines with their line breaks. `seen` is called with the number of bytes taken from the file.

    Raises Damaged behind the last line that can be read.
    """
    return _lines(_decoded(_unpacked(_chunks(file, seen))))


def _chunks(file: IO[bytes], seen: Callable[[int], None]) -> Iterator[bytes]:
    read = getattr(file, "read1", file.read)  # what a pipe has now, not only when a chunk is full
    while True:
        try:
            chunk = read(CHUNK)
        except OSError as error:
            raise Damaged(error.strerror or str(error)) from None
        if not chunk:
            return
        seen(len(chunk))
        yield chunk


def _at_least(chunks: Iterator[bytes], count: int) -> tuple[bytes, Damaged | None]:
    """The beginning, of `count` bytes where there are as many, and what ended it."""
    start = b""
    try:
        while len(start) < count and (more := next(chunks, b"")):
            start += more
    except Damaged as damage:
        return start, damage
    return start, None


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    start, damage = _at_least(chunks, 8)
    if damage is not None:
        yield start
        raise damage
    for magic, what, command in _OTHERS:
        if start.startswith(magic):
            raise Damaged(f"it is {what}; unpack it first: {command} | penstock send -")
    make = next((make for magic, make in _PACKED if start.startswith(magic)), None)
    if make is None:
        yield start
        yield from chunks
        return
    unpacker = make()
    for chunk in _pieces(start, chunks):
        rest = chunk
        while rest:
            if unpacker.eof:  # another member follows, or padding
                rest = rest.lstrip(b"\0")
                if not rest:
                    break
                unpacker = make()
            try:
                text = unpacker.decompress(rest)
            except (zlib.error, OSError, ValueError, EOFError, lzma.LZMAError) as error:
                raise Damaged(f"the packed data is damaged: {error}") from None
            if text:
                yield text
            rest = unpacker.unused_data if unpacker.eof else b""
    if not unpacker.eof:
        raise Damaged("the packed data ends early")


def _pieces(start: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chain((start,), chunks):
        yield from (chunk[at : at + PACKED_CHUNK] for at in range(0, len(chunk), PACKED_CHUNK))


def _decoded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-16 and UTF-32 as UTF-8; everything else as it is."""
    start, damage = _at_least(chunks, PROBE)
    if start[_TAR[0]] == _TAR[1]:
        raise Damaged("it is a tar archive; unpack it first: tar -xOf FILE | penstock send -")
    encoding = _encoding(start)
    if encoding is None:
        yield start
        yield from chunks
    else:
        decoder = codecs.getincrementaldecoder(encoding)("backslashreplace")
        for chunk in chain((start,), chunks):
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=damage is None).encode()
    if damage is not None:
        raise damage


def _encoding(start: bytes) -> str | None:
    for mark, name in _WIDE:
        if start.startswith(mark):
            return name
    # Without a mark: of Latin letters in UTF-16, every second byte is zero and the others are not.
    even, odd = start[::2], start[1::2]
    if len(start) >= 16:
        if odd.count(0) > 0.9 * len(odd) and not even.count(0):
            return "utf-16-le"
        if even.count(0) > 0.9 * len(even) and not odd.count(0):
            return "utf-16-be"
    return None


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    begun: list[bytes] = []
    size = 0
    damage = None
    try:
        for chunk in chunks:
            *whole, rest = chunk.split(b"\n")
            for line in whole:
                yield b"".join((*begun, line, b"\n"))
                begun.clear()
                size = 0
            if rest:
                begun.append(rest)
                size += len(rest)
                if size >= LONGEST_LINE:
                    yield b"".join(begun)
                    begun.clear()
                    size = 0
    except Damaged as error:
        damage = error
    if begun:
        yield b"".join(begun)
    if damage is not None:
        raise damage

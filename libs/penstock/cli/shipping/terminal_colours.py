"""Text with colours for a terminal → the text."""

from __future__ import annotations

import re

# ESC [ … m and ESC [ … K, also with the C1 character CSI, and as rsyslog writes ESC; the character set (ESC ( B, which
# `tput sgr0` writes); and links (OSC 8).
_COLOURS = re.compile(r"(?:\x1b\[|\x9b|#033\[)[\d;:]*[mK]|\x1b[()][0AB]|\x1b\]8;[^\x07\x1b]*(?:\x07|\x1b\\)")


def without_colours(text: str) -> str:
    """The text without colours, links and erasures; other control characters stay."""
    if "\x1b" in text or "\x9b" in text or "#033[" in text:
        return _COLOURS.sub("", text)
    return text

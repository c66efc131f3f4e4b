"""A reference for log templates, independent of the scorer's masks: Drain (He et al., ICWS 2017), in its simplest form.

Lines of one length in tokens are compared place by place; a line joins the template it shares the most tokens with.
"""

from __future__ import annotations

import re
from collections import defaultdict

LIKE = 0.6  # share of equal places from which on a line belongs to a template
_CUT = re.compile(r"[\s=:,|\[\](){}<>\"';]+")


def templates(lines: list[str]) -> list[int]:
    """The number of each line's template."""
    groups: dict[int, list[tuple[int, list[str]]]] = defaultdict(list)
    found: list[int] = []
    count = 0
    for line in lines:
        words = ["*" if any(c.isdigit() for c in word) else word for word in _CUT.split(line) if word]
        best, likest = None, LIKE
        for number, template in groups[len(words)]:
            same = sum(a == b for a, b in zip(words, template, strict=True)) / max(len(words), 1)
            if same >= likest:
                best, likest = (number, template), same
                if same == 1:
                    break
        if best is None:
            best = (count, words)
            groups[len(words)].append(best)
            count += 1
        else:
            best[1][:] = [a if a == b else "*" for a, b in zip(words, best[1], strict=True)]
        found.append(best[0])
    return found

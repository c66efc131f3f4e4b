"""What a check has to say: the thing that is wrong, the rule it breaks, and the next step."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`where` is a file of contracts/ and perhaps a member; `rule` is stable, the sentences may change."""

    where: str
    rule: str
    what: str
    next_step: str

    def as_dict(self) -> dict[str, str]:
        """The finding as JSON members."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.where}: {self.what} [{self.rule}]\n    {self.next_step}"

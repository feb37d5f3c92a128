"""What a check found, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataset.errors import UserError

Level = Literal["ok", "warning", "fault"]

LEVEL_WORDS = {"ok": "ok", "warning": "warn", "fault": "fault"}  # at the start of a line


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str  # what was checked
    level: Level
    message: str  # one sentence
    remedy: str | None = None  # what to do; every warning and fault has one

    def __str__(self) -> str:
        return f"{self.name}: {self.message}. {self.remedy or ''}".rstrip()


def fault_of(name: str, error: UserError, level: Level = "fault", remedy: str = "") -> Finding:
    """What a failed check says; ``remedy`` where the error has none."""
    remedy = error.remedy or remedy or "Fix that, then run this again."
    return Finding(name, level, error.what.rstrip("."), remedy)


def format_findings(findings: list[Finding]) -> str:
    """One line per finding, with the remedy indented below it.

    >>> print(format_findings([Finding("disk", "warning", "5 GB are free", "Make room.")]))
    warn  | disk: 5 GB are free
            Make room.
    """
    lines = []
    for each in findings:
        lines.append(f"{LEVEL_WORDS[each.level]:5} | {each.name}: {each.message}")
        if each.remedy:
            lines.append(f"        {each.remedy}")
    return "\n".join(lines)

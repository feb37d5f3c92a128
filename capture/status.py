"""What a recorder says of itself: while it works, and when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Status:
    """What a recorder is doing now."""

    state: str  # ready | recording | paused | stopped
    frames: int  # frames taken
    missed: int  # intervals without a frame
    clipped_fraction: float | None  # of the newest frame, 0..1; None before the first
    disk_free_bytes: int
    session: Path
    label: str | None = None  # the mark that frames get now
    seconds: float = 0.0  # recorded so far, pauses left out
    notice: str | None = None  # what the player should know, such as a minimised window


@dataclass(frozen=True)
class Summary:
    """What a recording came to."""

    session: Path
    frames: int  # lines in its manifest
    missed: int  # intervals without a frame
    seconds: float  # recorded, pauses left out
    reason: str  # why it ended


def format_status(status: Status) -> str:
    """One line: state, frames, missed, clipped share, disk left."""
    clipped = status.clipped_fraction
    parts = [
        status.state,
        f"{status.frames} frames",
        f"{status.missed} missed",
        "clipped -" if clipped is None else f"clipped {100 * clipped:.1f} %",
        f"disk {status.disk_free_bytes / 1e9:.1f} GB left",
    ]
    if status.label:
        parts.insert(1, f"as {status.label}")
    if status.notice:
        parts.append(status.notice)
    return " | ".join(parts)

"""What a recorder says of itself: while it works, and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Status:
    """What a recorder is doing now."""

    state: str  # ready | recording | paused | stopped
    frames: int  # frames taken: lines of the manifest
    missed: int  # intervals without a picture
    clipped_fraction: float | None  # of the newest frame, 0..1; None before the first
    disk_free_bytes: int
    session: Path
    label: str | None = None  # the mark that frames get now
    seconds: float = 0.0  # recorded so far, pauses left out
    notice: str | None = None  # what the player should know, such as a minimised window
    duplicates: int = 0  # intervals whose picture was there already
    light: str | None = None  # the light that frames get now

    def as_dict(self) -> dict[str, Any]:
        """What JSON can carry."""
        return {**self.__dict__, "session": str(self.session)}


@dataclass(frozen=True)
class Summary:
    """What a recording came to."""

    session: Path
    frames: int  # lines in its manifest
    missed: int  # intervals without a picture
    seconds: float  # recorded, pauses left out
    reason: str  # why it ended
    duplicates: int = 0  # intervals whose picture was there already
    undeveloped: int = 0  # frames that are not PNG yet

    def __str__(self) -> str:
        text = f"{self.frames} frames"
        if self.seconds:  # else they were all asked for one by one
            text += f" in {self.seconds:.1f} s, {self.missed} intervals missed"
            text += f", {self.duplicates} unchanged"
        text += f" ({self.reason}): {self.session}"
        if self.undeveloped:
            text += (
                f"\n{self.undeveloped} of them are not PNG yet; go on with: "
                f"cli capture repair {self.session}"
            )
        return text


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
    if status.light:
        parts.insert(1, status.light)
    if status.label:
        parts.insert(1, f"as {status.label}")
    if status.notice:
        parts.append(status.notice)
    return " | ".join(parts)


def while_heard(tell: Callable[..., None]) -> Callable[..., None]:
    """The same, until it cannot be told any more: a closed terminal or a full disk behind it
    ends no recording.
    """
    heard = True

    def quietly(*news: Any) -> None:
        nonlocal heard
        if heard:
            try:
                tell(*news)
            except (OSError, ValueError):  # a file that was closed says ValueError
                heard = False

    return quietly

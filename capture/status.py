"""The status of a recorder, and the summary of a recording."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.sessions.manifest import SHOTS

LOG = logging.getLogger("unclip.capture")  # what recorders do


@dataclass(frozen=True)
class Status:
    """What a recorder is doing now."""

    state: str  # ready | recording | paused | stopped
    frames: int  # frames taken: lines of the manifest
    missed: int  # intervals without a picture
    clipped_fraction: float | None  # of the newest frame, 0..1; None before the first
    disk_free_bytes: int
    session: Path
    label: str | None = None  # that frames get now
    seconds: float = 0.0  # recorded so far, without pauses
    notice: str | None = None  # for the player, such as a minimised window
    duplicates: int = 0  # intervals whose picture was unchanged
    light: str | None = None  # that frames get now
    pictures_per_s: float | None = None  # that the desktop sends, where it sends them by itself

    def as_dict(self) -> dict[str, Any]:
        """Values for JSON."""
        return {**self.__dict__, "session": str(self.session)}


@dataclass(frozen=True)
class Summary:
    """The result of a recording."""

    session: Path
    frames: int  # lines in its manifest
    missed: int  # intervals without a picture
    seconds: float  # recorded, without pauses
    reason: str  # why it ended
    duplicates: int = 0  # intervals whose picture was unchanged
    undeveloped: int = 0  # frames that are not PNG yet
    shots: int = 0  # HDR shots beside them

    def __str__(self) -> str:
        text = f"{self.frames} frames"
        if self.seconds:  # else all were single frames
            text += f" in {self.seconds:.1f} s, {self.missed} intervals missed"
            text += f", {self.duplicates} unchanged"
        text += f" ({self.reason}): {self.session}"
        if self.shots:
            text += f"\n{self.shots} HDR shots: cli expose {self.session / SHOTS}"
        if self.undeveloped:
            text += (
                f"\n{self.undeveloped} of them are not PNG yet; continue with: "
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
    if status.pictures_per_s is not None:
        parts.insert(3, f"screen {status.pictures_per_s:.0f}/s")
    if status.light:
        parts.insert(1, status.light)
    if status.label:
        parts.insert(1, f"as {status.label}")
    if status.notice:
        parts.append(status.notice)
    return " | ".join(parts)


def while_heard(tell: Callable[..., None]) -> Callable[..., None]:
    """The same callback, silent once it has failed.

    A closed terminal or a full disk behind it must not end a recording.
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

"""HDR shots of a recording: the light of single frames, as JPEG XR beside them.

``shots/NNNNNN.jxr`` is the light of frame NNNNNN. No line of the manifest names it: lines are
written long before a shot is encoded, and a shot that is there is whole. A thread of its own
encodes, so that no frame waits for a shot.
"""

from __future__ import annotations

from pathlib import Path

from capture.recording.workers import Workers
from capture.screens.source import HalfLight
from dataset.errors import UserError
from dataset.files import write_whole
from dataset.pictures.hdr_writing import encode_scrgb
from dataset.sessions.manifest import SHOTS

WAITING = 4  # shots that may wait for the encoder: 17 MB each at 1920x1080
HDR_IS_OFF = "HDR is off, so the frame has no HDR shot"
TOO_MANY = "HDR shots take longer than that: this frame has none"


class Shots:
    """The shots of one session.

    Parameters
    ----------
    session : Path
        The session's folder.
    """

    def __init__(self, session: Path) -> None:
        self.written = 0
        self._folder = session / SHOTS
        self._workers: Workers[tuple[int, HalfLight]] | None = None  # none before the first shot

    @property
    def error(self) -> Exception | None:
        """Why nothing more is written, or None."""
        return None if self._workers is None else self._workers.error

    def take(self, index: int, light: HalfLight | None) -> str | None:
        """Hand over the light of a frame; for the player, why it has no shot."""
        if light is None:
            return HDR_IS_OFF
        if self._workers is None:
            self._workers = Workers(self._write, 1, WAITING, "shots")
        if self._workers.full():
            return TOO_MANY
        self._workers.put((index, light))
        return None

    def close(self) -> None:
        """Write what was handed over. May be called twice."""
        if self._workers is not None:
            self._workers.close()

    def _write(self, shot: tuple[int, HalfLight]) -> None:
        index, light = shot
        data = encode_scrgb(light[..., :3])
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"Cannot make {self._folder}: {error.strerror}.", 1) from error
        write_whole(self._folder / f"{index:06d}.jxr", data, replaces=False)
        self.written += 1

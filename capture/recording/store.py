"""Chooses the store of a recording: PNG at once, or a lossless video converted afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capture.options import CaptureOptions
from capture.recording.encoders import Encoders
from capture.recording.workers import MOST_VIDEO_PIXELS, Store
from dataset.errors import UserError
from dataset.sessions.manifest import SPOOL, SPOOL_JOURNAL, Frame, read_lines

PNG_PIXELS_PER_S = 75e6  # over half of a slow core: 36 frames per second of 1920x1080


def open_store(options: CaptureOptions, session: Path, about: dict[str, Any]) -> Store:
    """The store that ``options.codec`` names; for ``auto``, by pixels per second.

    Parameters
    ----------
    options : CaptureOptions
    session : Path
        The session's folder.
    about : dict
        What the screen describes itself as; ``rectangle`` is x, y, width, height.

    Raises
    ------
    UserError
        The codec is not available.
    """
    if options.codec == "h264":
        return _spool(options, session)
    pixels = _pixels(options, about)
    quick = options.fps * pixels > PNG_PIXELS_PER_S and pixels <= MOST_VIDEO_PIXELS
    if options.codec == "auto" and quick:
        try:
            return _spool(options, session)
        except UserError:
            pass  # a PyAV without x264: PNG, with counted misses if it is too slow
    return Encoders(session, options.encoders, options.queue_frames, options.size)


def written_lines(session: Path) -> list[Frame]:
    """What a crash now would leave: lines of the manifest, or of the spool's journal."""
    if (session / SPOOL).is_dir():
        return list(read_lines(session / SPOOL, SPOOL_JOURNAL))
    return list(read_lines(session))


def _spool(options: CaptureOptions, session: Path) -> Store:
    from capture.recording.spool import Spool  # loads FFmpeg's libraries

    return Spool(session, options.queue_frames, options.size)


def _pixels(options: CaptureOptions, about: dict[str, Any]) -> int:
    width, height = options.size or about.get("rectangle", (0, 0, 0, 0))[2:]
    return int(width) * int(height)

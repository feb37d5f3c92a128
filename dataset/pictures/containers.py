"""Recordings are opened here, each alone: of a container on the list, and within the limits.

Decodes nothing; that is the affair of ``recordings``, and of ``dataset/pictures/video_reading.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from dataset.errors import UserError
from dataset.gate import is_regular
from dataset.pictures.limits import MOST_FILM_PIXELS, TooLarge

RECORDINGS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".flv", ".m4v", ".ts", ".m2ts")
DEMUXERS = "mov,matroska,avi,flv,mpegts"  # FFmpeg's names of what these suffixes stand for
# Metadata may be no UTF-8. PyAV 19 takes it as it is, and has no such argument.
TEXT: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)


def open_recording(path: Path) -> InputContainer:
    """Open a file of one of the containers that `RECORDINGS` stand for, and nothing else.

    FFmpeg knows playlists, lists of files and other texts by which it would open further files,
    whatever they are called.

    Raises
    ------
    UserError
        It is empty, no regular file, or of no such container.
    """
    try:
        if not path.stat().st_size and is_regular(path):
            raise UserError(f"{path} is empty (0 bytes). Leave it out or record it again.", 1)
        if not is_regular(path):
            raise UserError(f"{path} is no regular file. Name a recording.", 1)
        only = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}
        # "file:" keeps a name like "a:b.mkv" from being an address.
        return av.open(f"file:{path}", container_options=only, **TEXT)
    except av.error.ArgumentError as error:  # what FFmpeg says of a format that is not on the list
        readable = " ".join(RECORDINGS)
        raise UserError(
            f"{path} is no readable recording: it is damaged, or none of {readable}.", 1
        ) from error
    except (av.error.FFmpegError, OSError) as error:
        why = ""
        if path.suffix.lower() in (".mp4", ".mov", ".m4v"):
            why = " One whose recorder was killed has lost its index: let OBS record to MKV."
        raise UserError(f"{path} is no readable recording: {error.strerror}.{why}", 1) from error


def limit_size(stream: VideoStream, path: Path) -> None:
    """Refuse a moving picture of too many pixels, by its header and while it is decoded."""
    context = stream.codec_context
    if context.width * context.height > MOST_FILM_PIXELS:
        raise TooLarge(
            f"{path} has {context.width}x{context.height} pixels a frame, over "
            f"{MOST_FILM_PIXELS // 10**6} million. Make it smaller first.",
            1,
        )
    context.options = {**context.options, "max_pixels": str(MOST_FILM_PIXELS)}

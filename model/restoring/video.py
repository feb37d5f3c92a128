"""A video -> the same video with every frame restored.

Frames are decoded, turned upright, restored and encoded one by one, each with its own timestamp.
Before that, a method that follows a video (``steady``) looks at all frames once, of which it keeps
a kilobyte each. Sound, subtitles and chapters are copied. Decoding and encoding are in
``dataset.pictures``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import av

from dataset import errors, files
from dataset.pictures import formats, video_decoding, video_reading, video_writing
from dataset.pictures.pixels import Pixels
from model.restoring import steady

LOOKED_AT = 512  # pixels, shorter side: of larger frames, every second row and column is looked at

FrameProgress = Callable[[int, int | None], None]  # frames done, frames expected


@dataclass(frozen=True)
class VideoFacts:
    """What is known about a video before it is restored."""

    width: int  # pixels, upright
    height: int
    codec: str
    length_s: float | None  # as stated by the file
    frames: int | None  # expected number; None if unknown


@dataclass(frozen=True)
class RestoredVideo:
    """A restored video."""

    frames: int
    width: int  # pixels
    height: int
    notes: tuple[str, ...]  # for the user: what could not be kept


def read_facts(path: Path) -> VideoFacts:
    """Read a video's header, and the size of its first frame.

    Raises
    ------
    UserError
        It cannot be read, has no video stream, is HDR or protected, or no frame can be decoded.
    """
    recording = video_decoding.describe(path)
    with video_reading.Source(recording) as source:
        rate, length_s = source.stream.average_rate, recording.length_s
        counted = round(length_s * rate) if rate and length_s else None
        frames = source.stream.frames or counted
        return VideoFacts(source.width, source.height, recording.codec, length_s, frames)


def some_frames(path: Path, most: int = 64) -> Iterator[Pixels]:
    """About so many frames of a video, evenly spaced: (H, W, 3) float32 in [0, 1], upright.

    Raises
    ------
    UserError
        As of `read_facts`.
    """
    step = max(1, (read_facts(path).frames or most) // most)
    with video_reading.Source(video_decoding.describe(path)) as source:
        for number, frame in enumerate(source.frames(lambda packet: None)):
            if number % step == 0:
                yield source.pixels_of(frame)


def restore_video(
    source: Path,
    target: Path,
    restore: Callable[[Pixels], Pixels],
    on_progress: FrameProgress | None = None,
    replaces: bool = True,
    on_look: FrameProgress | None = None,
) -> RestoredVideo:
    """Restore every frame of a video.

    Parameters
    ----------
    source, target : Path
        The target appears under its name only when complete; its suffix is in `WRITTEN_VIDEOS`.
    restore : callable
        (H, W, 3) float32 in [0, 1], RGB, upright -> the same shape. If it `steady.Follows`, it
        looks at all frames first.
    on_progress : callable, optional
        Called after each frame with the numbers of frames done and expected.
    replaces : bool
        Whether to replace an existing target.
    on_look : callable, optional
        As `on_progress`, of frames that are looked at before the first one is restored.

    Raises
    ------
    UserError
        As for `read_facts`; or the frames change size, the target exists or cannot be written,
        or PyAV has no encoder.
    """
    container = formats.WRITTEN_VIDEOS.get(target.suffix.lower())
    if container is None:
        kinds = " ".join(formats.WRITTEN_VIDEOS)
        raise errors.UserError(f"{target}: videos are written as {kinds}. Use one of them.")
    facts = read_facts(source)
    with closing(_looked_at(source, facts, on_look)) as seen:
        restored = steady.follow(restore, seen)
    with video_reading.Source(video_decoding.describe(source)) as incoming:
        with _written(target, container, replaces) as opened:
            outgoing = video_writing.Target(opened, incoming)
            for frame in incoming.frames(outgoing.take):
                outgoing.write(frame, restored(outgoing.written, incoming.pixels_of(frame)))
                if on_progress:
                    on_progress(outgoing.written, facts.frames)
            outgoing.finish()
        notes = (*incoming.notes(), *outgoing.notes)
        return RestoredVideo(outgoing.written, incoming.width, incoming.height, notes)


def restored_frames(
    path: Path, restore: Callable[[Pixels], Pixels]
) -> Iterator[tuple[Pixels, Pixels]]:
    """Each frame of a video and what a method makes of it, as `restore_video` would write it.

    Raises
    ------
    UserError
        As of `read_facts`.
    """
    with closing(_looked_at(path, read_facts(path), None)) as seen:
        restored = steady.follow(restore, seen)
    with video_reading.Source(video_decoding.describe(path)) as source:
        for number, frame in enumerate(source.frames(lambda packet: None)):
            pixels = source.pixels_of(frame)
            yield pixels, restored(number, pixels)


def _looked_at(
    path: Path, facts: VideoFacts, on_look: FrameProgress | None
) -> Generator[Pixels, None, None]:
    """All frames, thinned out: what is found on small copies hardly depends on every pixel."""
    step = max(1, min(facts.width, facts.height) // LOOKED_AT)
    with video_reading.Source(video_decoding.describe(path)) as source:
        for number, frame in enumerate(source.frames(lambda packet: None), 1):
            yield source.pixels_of(frame, step)
            if on_look:
                on_look(number, facts.frames)


@contextmanager
def _written(
    target: Path, container: str, replaces: bool
) -> Iterator[av.container.OutputContainer]:
    """A video that gets its name when it is complete, and leaves nothing behind otherwise."""
    try:
        with (
            files.written_aside(target, replaces) as file,
            _ended(av.open(file, "w", format=container)) as opened,
        ):
            yield opened
    except FileExistsError as error:
        raise errors.UserError(f"{target} exists: something else wrote it meanwhile.", 1) from error
    except (av.error.FFmpegError, OSError) as error:
        raise errors.UserError(f"Cannot write {target}: {error.strerror}.", 1) from error


@contextmanager
def _ended(opened: av.container.OutputContainer) -> Iterator[av.container.OutputContainer]:
    """Finish a video; after another failure, a failure to finish is ignored."""
    try:
        yield opened
    except BaseException:
        with suppress(av.error.FFmpegError, OSError):
            opened.close()
        raise
    opened.close()

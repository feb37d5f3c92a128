"""A video -> the same video with every frame restored.

Frames are decoded, turned upright, restored and encoded one by one, each with its own timestamp, in
parts that are kept until the last one is done (``unfinished``). Before that, a method that follows
a video (``steady``) looks at all frames once, of which it keeps a kilobyte each; after it, the
parts are joined with sound, subtitles and chapters. Decoding and encoding are in
``dataset.pictures``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path

import av
from av.video.frame import VideoFrame

from dataset import errors, files, gate
from dataset.pictures import formats, video_coding, video_decoding, video_reading, video_writing
from dataset.pictures.pixels import Pixels
from model.restoring import steady
from model.restoring.unfinished import ANY_WAY, FRAMES, Unfinished, Way, unfinished

LOOKED_AT = 512  # pixels, shorter side: of larger frames, every second row and column is looked at
IDENTIFYING = 4 << 20  # bytes at both ends of a video
MOST_VIDEO = 1 << 50  # bytes

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
        for number, frame in enumerate(source.frames()):
            if number % step == 0:
                yield source.pixels_of(frame)


def restore_video(
    source: Path,
    target: Path,
    restore: Callable[[Pixels], Pixels],
    on_progress: FrameProgress | None = None,
    replaces: bool = True,
    on_look: FrameProgress | None = None,
    resume: bool = False,
    way: Way = ANY_WAY,
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
        Whether to replace an existing target, and to throw away what is done of it.
    on_look : callable, optional
        As `on_progress`, of frames that are looked at before the first one is restored.
    resume : bool
        Whether to go on where an earlier call was stopped; the result is the same, byte for byte.
    way : Way
        What `restore` is, so that nothing is resumed that was restored in another way.

    Raises
    ------
    UserError
        As for `read_facts`; or the frames change size, the target exists or cannot be written,
        an earlier call was stopped and neither `resume` nor `replaces` is set, what it left does
        not fit, or PyAV has no encoder.
    """
    container = formats.WRITTEN_VIDEOS.get(target.suffix.lower())
    if container is None:
        kinds = " ".join(formats.WRITTEN_VIDEOS)
        raise errors.UserError(f"{target}: videos are written as {kinds}. Use one of them.")
    facts = read_facts(source)
    with unfinished(target, _identity(source), way, resume, replaces) as kept:
        restored = steady.follow(restore, kept.look(lambda: _look(source, facts, restore, on_look)))
        with video_reading.Source(video_decoding.describe(source)) as incoming:
            coding = video_coding.Coding(incoming)
            frames = _Frames(incoming, facts.frames, on_progress)
            parts = _encode(frames, coding, restored, kept)
        with (
            video_reading.Source(video_decoding.describe(source)) as tracks,
            _written(target, container, replaces) as opened,
        ):
            outgoing = video_writing.Target(opened, tracks, coding)
            outgoing.write(kept.coded(number) for number in range(parts))
    notes = (*incoming.notes(), *coding.notes, *outgoing.notes, *frames.notes())
    return RestoredVideo(frames.done, facts.width, facts.height, notes)


class _Frames:
    """The frames of a video in parts, numbered; tells how many are done."""

    def __init__(
        self, source: video_reading.Source, expected: int | None, told: FrameProgress | None
    ) -> None:
        self.source, self.done, self.skipped = source, 0, 0
        self._coming, self._expected, self._told = source.frames(), expected, told

    def take(self, most: int) -> Iterator[tuple[int, VideoFrame]]:
        """The next ones; each counts as done when the one after it is asked for."""
        for frame in islice(self._coming, most):
            yield self.done, frame
            self.done += 1
            if self._told:
                self._told(self.done, self._expected)

    def skip(self, part: Iterator[tuple[int, VideoFrame]]) -> None:
        """Frames that are done already."""
        self.skipped += sum(1 for _ in part)

    def notes(self) -> tuple[str, ...]:
        """Whether it went on where it was stopped."""
        return (f"{self.skipped} frames were done before",) if self.skipped else ()


def _encode(
    frames: _Frames, coding: video_coding.Coding, restored: steady.Followed, kept: Unfinished
) -> int:
    """Restore and encode what is not done yet; returns the number of parts."""
    carried: steady.Arrays = {}
    for number in count():
        part = frames.take(FRAMES)
        first = next(part, None)
        if first is None:
            break
        part = chain([first], part)
        if number in kept:
            frames.skip(part)
        else:
            restored.carry(carried)
            shown = ((each, restored(at, frames.source.pixels_of(each))) for at, each in part)
            kept.add(number, coding.encode(shown), restored.carried)
        carried = kept.carried(number)
    return number


def _look(
    path: Path,
    facts: VideoFacts,
    restore: Callable[[Pixels], Pixels],
    on_look: FrameProgress | None,
) -> steady.Arrays:
    """What a method sees of all frames, thinned out: that hardly depends on every pixel."""
    step = max(1, min(facts.width, facts.height) // LOOKED_AT)

    def frames() -> Generator[Pixels, None, None]:
        with video_reading.Source(video_decoding.describe(path)) as source:
            for number, frame in enumerate(source.frames(), 1):
                yield source.pixels_of(frame, step)
                if on_look:
                    on_look(number, facts.frames)

    with closing(frames()) as seen:
        return steady.look(restore, seen)


def _identity(path: Path) -> str:
    """What tells a video from another one: its size, and what it begins and ends with."""
    with gate.open_regular(path, MOST_VIDEO) as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256()
        for at in (0, max(0, size - IDENTIFYING)):
            file.seek(at)
            digest.update(file.read(IDENTIFYING))
    return f"{size} {digest.hexdigest()}"


def restored_frames(
    path: Path, restore: Callable[[Pixels], Pixels]
) -> Iterator[tuple[Pixels, Pixels]]:
    """Each frame of a video and what a method makes of it, as `restore_video` would write it.

    Raises
    ------
    UserError
        As of `read_facts`.
    """
    restored = steady.follow(restore, _look(path, read_facts(path), restore, None))
    with video_reading.Source(video_decoding.describe(path)) as source:
        for number, frame in enumerate(source.frames()):
            pixels = source.pixels_of(frame)
            yield pixels, restored(number, pixels)


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

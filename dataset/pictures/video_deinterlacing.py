"""Interlaced frames -> whole ones, by FFmpeg. Others pass unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.filter import Graph
from av.video.frame import VideoFrame


class Deinterlacer:
    """Makes whole frames of interlaced ones, from the first of them on, and passes on others.

    FFmpeg's bwdif: where things move, rows of the later field are drawn from those beside them.
    """

    def __init__(self) -> None:
        self._graph: Graph | None = None  # costs nothing before there is something to do
        self._base: Any = None  # seconds in a tick of its times
        self._size = 0, 0

    def take(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """The frames that are ready once this one is known; each waits for the one after it."""
        if self._graph is not None and (frame.width, frame.height) != self._size:
            yield from self.finish()
            self._graph = None
        if self._graph is None and not frame.interlaced_frame:
            yield frame
            return
        if self._graph is None:
            self._graph, self._base = _bwdif(frame), frame.time_base
            self._size = frame.width, frame.height
        self._graph.vpush(frame)
        yield from self._ready()

    def finish(self) -> Iterator[VideoFrame]:
        """Those that are left."""
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._ready()

    def _ready(self) -> Iterator[VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                frame: Any = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            scale = frame.time_base / self._base  # bwdif counts fields
            frame.pts, frame.duration = round(frame.pts * scale), round(frame.duration * scale)
            frame.time_base = self._base
            yield frame


def _bwdif(frame: VideoFrame) -> Graph:
    graph, base = Graph(), frame.time_base or Fraction(1)
    buffer = graph.add(
        "buffer",
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:"
        f"time_base={base.numerator}/{base.denominator}:"
        f"colorspace={int(frame.colorspace)}:range={int(frame.color_range)}",
    )
    graph.link_nodes(
        buffer, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink")
    )
    graph.configure()
    return graph

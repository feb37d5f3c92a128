"""One monitor of Windows, read by FFmpeg's ``ddagrab``: Desktop Duplication that knows HDR.

It asks for the desktop's own half floats where there are any; what does not ask for them gets bytes
that Windows has clipped. Which monitor, and what its values mean, is decided in ``hdr.py``.

References
----------
.. [1] FFmpeg: ddagrab. Microsoft: IDXGIOutput5::DuplicateOutput1.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import av.filter
import av.logging
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

FILTER = "ddagrab"
RATE = 1000  # pictures per second at most: when to take one is decided elsewhere
HALVES, BYTES = ("rgbaf16", "rgbaf16le"), ("8bit", "bgra")  # for ddagrab, and as FFmpeg has them


class Failed(OSError):
    """FFmpeg gives no picture: no such output, the screen is locked, or its mode has changed."""


def is_there() -> bool:
    """Whether this PyAV has it: those for Windows do."""
    return FILTER in av.filter.filters_available


class Ddagrab:
    """One open output of the first graphics card.

    Parameters
    ----------
    output : int
        As DXGI numbers them.

    Raises
    ------
    Failed
    """

    def __init__(self, output: int) -> None:
        try:
            self._graph = self._connected(output, *HALVES)
        except Failed as error:
            if error.errno != errno.ENOTSUP:  # that is: the desktop has bytes
                raise
            self._graph = self._connected(output, *BYTES)

    def picture(self) -> NDArray[Any]:
        """The newest picture: RGBA float16 of an HDR desktop, BGRA uint8 of an SDR one (H, W, 4).

        No later picture writes into it.

        Raises
        ------
        Failed
            Nothing comes any more: open it again.
        """
        with _told():
            frame = self._pull()
        plane: Any = frame.planes[0]
        lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height]
        kind = np.dtype(np.uint8 if frame.format.name == BYTES[1] else "<f2")
        values = lines[:, : 4 * kind.itemsize * frame.width].view(kind)
        return values.reshape(frame.height, frame.width, 4)

    def _connected(self, output: int, wanted: str, format_name: str) -> Any:
        with _told():
            graph = av.filter.Graph()
            nodes = [*self._sources(graph, output, wanted), graph.add("format", format_name)]
            graph.link_nodes(*nodes, graph.add("buffersink")).configure()
            return graph

    def _sources(self, graph: Any, output: int, wanted: str) -> list[Any]:
        way = f"output_idx={output}:output_fmt={wanted}:framerate={RATE}:draw_mouse=0"
        return [graph.add(FILTER, way), graph.add("hwdownload")]

    def _pull(self) -> Any:
        return self._graph.vpull()


@contextmanager
def _told() -> Iterator[None]:
    """FFmpeg's errors as `Failed`, in the words that it logs first."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logged:
            yield
    except (FFmpegError, ValueError) as error:
        number = getattr(error, "errno", None)
        words = logged[0][2].strip() if logged else str(error)
        raise Failed(number, words) from error
    finally:
        av.logging.set_level(level)

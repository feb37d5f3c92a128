"""One video stream of PipeWire: keeps its newest picture, and copies it when it is asked for.

Pictures come when something on the screen has changed, in a thread of the library's own, and stay
in shared memory until they are asked for. Which stream, and by whose leave, is not known here.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from capture.clock import now_s
from capture.screens import libpipewire as pw
from capture.screens import pods
from capture.screens.source import BgrxImage
from capture.screens.target import Rectangle
from dataset.errors import UserError

POOL = (4, 1, 16)  # buffers: wished for, least, most
LEAST_TO_HOLD = 3  # buffers of a pool of which one may be held: a source needs two to go on
RATE_S = 2.0  # over which the rate of pictures is measured


@dataclass(frozen=True)
class Picture:
    """A picture of a stream."""

    image: BgrxImage  # the caller's own
    time_ns: int | None  # when the source took it, by CLOCK_MONOTONIC, if it says so
    number: int  # of the stream's pictures, from 1


@dataclass(frozen=True)
class _Newest:
    """The newest picture as it lies in memory, upright."""

    view: BgrxImage
    time_ns: int | None
    number: int
    format: pods.VideoFormat
    held: Any = None  # its buffer, to be given back; None: the view is a copy


class VideoStream:
    """A stream that is being received. `newest` may be asked from any thread.

    Parameters
    ----------
    descriptor : int or None
        A connection to PipeWire, which is taken over, also on an error; None: the user's own.
    node : int
        What sends the pictures.
    pool : tuple of int
        How many buffers to ask for: the best, the least and the largest number.

    Raises
    ------
    UserError
        PipeWire's library is missing, or PipeWire cannot be reached.
    """

    def __init__(
        self, descriptor: int | None, node: int, pool: tuple[int, int, int] = POOL
    ) -> None:
        self._releases = ExitStack()
        self.state = pw.UNCONNECTED
        self.state_since_s = now_s()
        self.error = ""  # what PipeWire says of its end
        self.pictures = 0  # so far
        self.skipped = 0  # buffers without a whole picture
        self.format: pods.VideoFormat | None = None  # None: not agreed on yet
        self._pool = pool
        self._changed = threading.Condition()
        self._formats: dict[int, pods.VideoFormat] = {}  # address of each buffer -> its format
        self._newest: _Newest | None = None
        self._came_s: deque[float] = deque()  # when the pictures of the last `RATE_S` came
        self._began_s = now_s()
        with ExitStack() as stack:
            stack.callback(_close_descriptor, held := [descriptor])
            self._lib = pw.load()
            self._open(stack, held, node)
            self._releases = stack.pop_all()

    def __enter__(self) -> VideoStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()  # its thread must not call what is no more

    @property
    def is_lost(self) -> bool:
        """Whether it has ended for good."""
        return self.state in (pw.ERROR, pw.UNCONNECTED)

    def wait(self, after: int = 0, timeout_s: float = 5.0) -> bool:
        """Wait until more than ``after`` pictures have come; whether they have."""
        with self._changed:
            self._changed.wait_for(lambda: self.pictures > after or self.is_lost, timeout_s)
            return self.pictures > after

    def newest(self, part: Rectangle | None = None) -> Picture | None:
        """A copy of the newest picture, or of what is inside a part of it.

        None while there is none, as after a change of size.
        """
        with self._changed:  # its memory stays ours meanwhile
            newest = self._newest
            if newest is None:
                return None
            x, y, width, height = part or (0, 0, newest.view.shape[1], newest.view.shape[0])
            image = _copied(newest.view[y : y + height, x : x + width], newest.format)
        return Picture(image, newest.time_ns, newest.number)

    def rate(self) -> float:
        """Pictures per second that came in the last `RATE_S`; 0 while nothing changes."""
        with self._changed:
            now = now_s()
            self._forget_before(now - RATE_S)
            return len(self._came_s) / max(0.1, min(RATE_S, now - self._began_s))

    def size(self) -> tuple[int, int] | None:
        """Width and height of the newest picture, upright; None while there is none."""
        newest = self._newest
        return None if newest is None else (newest.view.shape[1], newest.view.shape[0])

    def close(self) -> None:
        """End it, with its thread and its memory. May be called twice."""
        self._releases.close()

    def _open(self, stack: ExitStack, held: list[int | None], node: int) -> None:
        """Connect, with what undoes each step on the stack."""
        lib = self._lib
        loop = lib.pw_thread_loop_new(b"unclip", None)
        stack.callback(lib.pw_thread_loop_destroy, loop)
        context = lib.pw_context_new(lib.pw_thread_loop_get_loop(loop), None, 0)
        if not context:
            raise UserError(
                "PipeWire's library does not find its settings (client.conf).",
                1,
                remedy="Install PipeWire whole (Debian, Ubuntu: apt-get install pipewire).",
            )
        stack.callback(lib.pw_context_destroy, context)
        lib.pw_thread_loop_start(loop)
        stack.callback(lib.pw_thread_loop_stop, loop)
        lib.pw_thread_loop_lock(loop)
        try:
            with ExitStack() as locked:
                self._connect(locked, context, held, node)
                locked = locked.pop_all()
        finally:
            lib.pw_thread_loop_unlock(loop)
        stack.callback(self._disconnect, loop, locked)

    def _connect(self, stack: ExitStack, context: Any, held: list[int | None], node: int) -> None:
        lib = self._lib
        if held[0] is None:
            core = lib.pw_context_connect(context, None, 0)
        else:  # which closes the descriptor, whatever happens
            core = lib.pw_context_connect_fd(context, held.pop(), None, 0)
        if not core:
            raise UserError(
                "PipeWire, which gives the pictures of the desktop, does not run.",
                1,
                remedy="Run: systemctl --user start pipewire wireplumber",
            )
        stack.callback(lib.pw_core_disconnect, core)
        about = b"media.type=Video media.category=Capture media.role=Screen"
        self._stream = lib.pw_stream_new(core, b"unclip", lib.pw_properties_new_string(about))
        stack.callback(lib.pw_stream_destroy, self._stream)
        self._listen()
        offer, _kept = pw.addresses_of([pods.format_offer()])
        flags = pw.AUTOCONNECT | pw.MAP_BUFFERS | pw.DONT_RECONNECT
        code = lib.pw_stream_connect(self._stream, pw.INPUT, node, flags, offer, 1)
        if code < 0:
            raise UserError(f"PipeWire refuses the stream: {os.strerror(-code)}.", 1)

    def _listen(self) -> None:
        self._events = pw.Events(  # kept: the library calls them
            state_changed=pw.ON_STATE(self._on_state),
            param_changed=pw.ON_PARAMETER(self._on_parameter),
            add_buffer=pw.ON_BUFFER(self._on_add),
            remove_buffer=pw.ON_BUFFER(self._on_remove),
            process=pw.ON_PROCESS(self._on_process),
        )
        self._hook = ctypes.create_string_buffer(pw.HOOK_BYTES)
        self._lib.pw_stream_add_listener(self._stream, self._hook, self._events, None)

    def _disconnect(self, loop: Any, stack: ExitStack) -> None:
        self._lib.pw_thread_loop_lock(loop)
        with self._changed:
            self._newest = None
        stack.close()
        self._lib.pw_thread_loop_unlock(loop)

    # What follows is called in the library's thread, which holds the loop's lock.

    def _on_state(self, _: Any, old: int, new: int, error: bytes | None) -> None:
        with self._changed:
            self.state, self.state_since_s = new, now_s()
            self.error = error.decode(errors="replace") if error else self.error
            self._changed.notify_all()

    def _on_parameter(self, _: Any, which: int, place: int | None) -> None:
        if which != pods.FORMAT or not place:
            return
        with self._changed:
            self.format = pods.read_format(pw.pod_at(place))
            if self._newest is not None and self._newest.format != self.format:
                self._give_back()
                self._newest = None
        wishes = [pods.buffers_wish(*self._pool)]
        wishes += [pods.meta_wish(kind, ctypes.sizeof(each)) for kind, each in pw.METAS.items()]
        array, _kept = pw.addresses_of(wishes)
        self._lib.pw_stream_update_params(self._stream, array, len(wishes))

    def _on_add(self, _: Any, place: int) -> None:
        if self.format is not None:
            self._formats[place] = self.format

    def _on_remove(self, _: Any, place: int) -> None:
        """A buffer goes; its picture stays, as the next comes only when something changes."""
        self._formats.pop(place, None)
        with self._changed:
            newest = self._newest
            if newest is not None and newest.held is not None and _place_of(newest.held) == place:
                self._newest = _as_copy(newest)

    def _on_process(self, _: Any) -> None:
        while buffer := self._lib.pw_stream_dequeue_buffer(self._stream):
            found = self._look(buffer)
            with self._changed:
                if found is None:
                    self.skipped += 1
                    self._lib.pw_stream_queue_buffer(self._stream, buffer)
                    continue
                self._keep(found)

    def _look(self, buffer: Any) -> _Newest | None:
        """The picture of a buffer; None if it holds none, or one of another format."""
        known = self._formats.get(_place_of(buffer))
        if known is None or known != self.format:
            return None
        content = buffer.contents.buffer.contents
        metas = pw.metas_of(content)
        header = metas.get(pw.HEADER_META)
        if header is not None and header.flags & pw.CORRUPTED_HEADER:
            return None
        view = _view(content, known)
        if view is None:
            return None
        view = _upright(_cropped(view, metas.get(pw.CROP_META)), metas.get(pw.TRANSFORM_META))
        time_ns = None if header is None or header.pts <= 0 else int(header.pts)
        return _Newest(view, time_ns, self.pictures + 1, known, buffer)

    def _keep(self, found: _Newest) -> None:
        """Have it as the newest picture, and give back the buffer of the one before."""
        self._give_back()
        self._newest = found
        if len(self._formats) < LEAST_TO_HOLD:  # a source out of buffers sends nothing more
            self._newest = _as_copy(found)
            self._lib.pw_stream_queue_buffer(self._stream, found.held)
        self.pictures += 1
        self._came_s.append(now_s())
        self._forget_before(self._came_s[-1] - RATE_S)
        self._changed.notify_all()

    def _give_back(self) -> None:
        if self._newest is not None and self._newest.held is not None:
            self._lib.pw_stream_queue_buffer(self._stream, self._newest.held)

    def _forget_before(self, moment_s: float) -> None:
        while self._came_s and self._came_s[0] < moment_s:
            self._came_s.popleft()


def _close_descriptor(held: list[int | None]) -> None:
    for each in held:
        if each is not None:
            os.close(each)


def _place_of(buffer: Any) -> int:
    return ctypes.addressof(buffer.contents)


def _as_copy(newest: _Newest) -> _Newest:
    return _Newest(np.array(newest.view), newest.time_ns, newest.number, newest.format)


def _view(content: Any, known: pods.VideoFormat) -> BgrxImage | None:
    """The memory of a buffer as a picture; None if it holds no whole one."""
    if content.n_datas < 1 or not content.datas[0].data or not content.datas[0].chunk:
        return None
    data = content.datas[0]
    chunk = data.chunk.contents
    return picture_in(
        (ctypes.c_uint8 * data.maxsize).from_address(data.data),
        known,
        (chunk.offset, chunk.size, chunk.stride),
        bool(chunk.flags & pw.CORRUPTED_CHUNK),
    )


def picture_in(
    memory: Any, known: pods.VideoFormat, chunk: tuple[int, int, int], corrupted: bool = False
) -> BgrxImage | None:
    """A view of the picture in a block of memory; None if there is no whole one.

    Parameters
    ----------
    memory : buffer
    known : VideoFormat
    chunk : tuple of int
        Where in it the picture is: offset, size and bytes from row to row; 0: rows without a gap.
    """
    offset, size, stride = chunk
    width, height = known.width, known.height
    stride = stride or 4 * width
    end = offset + stride * (height - 1) + 4 * width
    if corrupted or size == 0 or stride < 4 * width or end > len(memory):
        return None
    return np.ndarray((height, width, 4), np.uint8, memory, offset, (stride, 4, 1))


def _cropped(view: BgrxImage, crop: Any) -> BgrxImage:
    """The part that is the picture, such as a window in a buffer of its screen's size."""
    if crop is None or not crop.width or not crop.height or min(crop.x, crop.y) < 0:
        return view
    part = view[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    return part if part.size else view


def _upright(view: BgrxImage, transform: Any) -> BgrxImage:
    """The picture as it is seen on a turned screen, from how it was turned in the buffer."""
    turned = 0 if transform is None else transform.transform % 8  # from 4 on, mirrored as well
    view = np.rot90(view, -(turned % 4))
    return view[:, ::-1] if turned >= 4 else view


def _copied(view: BgrxImage, known: pods.VideoFormat) -> BgrxImage:
    """A copy of one's own, as BGRX."""
    if known.is_rgb:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(view), cv2.COLOR_RGBA2BGRA), np.uint8)
    return np.array(view, order="C")

"""PipeWire's library through ctypes: its structures and functions, as its headers declare them.

The only place that loads it. What is done with them is in ``pipewire.py``.

References
----------
pipewire/stream.h, pipewire/thread-loop.h, spa/buffer/buffer.h and spa/buffer/meta.h of PipeWire
0.3; version 1 kept their ABI.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_int64, c_uint32, c_uint64
from ctypes import c_void_p as address
from functools import cache
from typing import Any

from dataset.errors import UserError

LIBRARY = "libpipewire-0.3.so.0"
ERROR, UNCONNECTED, CONNECTING, PAUSED, STREAMING = -1, 0, 1, 2, 3  # states of a stream
INPUT = 0  # direction of a stream that receives
AUTOCONNECT, MAP_BUFFERS, DONT_RECONNECT = 1, 1 << 2, 1 << 7  # flags of a stream
HEADER_META, CROP_META, TRANSFORM_META = 1, 2, 8  # kinds of facts beside a picture
CORRUPTED_HEADER, CORRUPTED_CHUNK = 1 << 1, 1 << 0


class Chunk(Structure):
    """Which part of a block of memory is the picture."""

    _fields_ = (
        ("offset", c_uint32),
        ("size", c_uint32),
        ("stride", c_int32),
        ("flags", c_int32),
    )


class Data(Structure):
    """A block of memory."""

    _fields_ = (
        ("type", c_uint32),
        ("flags", c_uint32),
        ("fd", c_int64),
        ("mapoffset", c_uint32),
        ("maxsize", c_uint32),
        ("data", address),
        ("chunk", POINTER(Chunk)),
    )


class Meta(Structure):
    """Facts beside a picture."""

    _fields_ = (("type", c_uint32), ("size", c_uint32), ("data", address))


class Header(Structure):
    """The facts of `HEADER_META`."""

    _fields_ = (
        ("flags", c_uint32),
        ("offset", c_uint32),
        ("pts", c_int64),
        ("dts_offset", c_int64),
        ("seq", c_uint64),
    )


class Crop(Structure):
    """The facts of `CROP_META`: the part of the buffer that is the picture."""

    _fields_ = (("x", c_int32), ("y", c_int32), ("width", c_uint32), ("height", c_uint32))


class Transform(Structure):
    """The facts of `TRANSFORM_META`, 0 to 7 as of ``wl_output.transform``."""

    _fields_ = (("transform", c_uint32),)


METAS: dict[int, type[Structure]] = {
    HEADER_META: Header,
    CROP_META: Crop,
    TRANSFORM_META: Transform,
}


class Buffer(Structure):
    """A picture: its facts and its memory."""

    _fields_ = (
        ("n_metas", c_uint32),
        ("n_datas", c_uint32),
        ("metas", POINTER(Meta)),
        ("datas", POINTER(Data)),
    )


class StreamBuffer(Structure):
    """A buffer as a stream hands it out."""

    _fields_ = (("buffer", POINTER(Buffer)), ("user_data", address), ("size", c_uint64))


ON_STATE = ctypes.CFUNCTYPE(None, address, c_int, c_int, c_char_p)
ON_PARAMETER = ctypes.CFUNCTYPE(None, address, c_uint32, address)
ON_BUFFER = ctypes.CFUNCTYPE(None, address, address)
ON_PROCESS = ctypes.CFUNCTYPE(None, address)


class Events(Structure):
    """What a stream calls; later versions only add to its end."""

    _fields_ = (
        ("version", c_uint32),
        ("destroy", address),
        ("state_changed", ON_STATE),
        ("control_info", address),
        ("io_changed", address),
        ("param_changed", ON_PARAMETER),
        ("add_buffer", ON_BUFFER),
        ("remove_buffer", ON_BUFFER),
        ("process", ON_PROCESS),
        ("drained", address),
    )


HOOK_BYTES = 256  # a spa_hook has 48
FUNCTIONS: dict[str, tuple[Any, ...]] = {  # name -> types of the result and of the arguments
    "pw_init": (None, address, address),
    "pw_get_library_version": (c_char_p,),
    "pw_thread_loop_new": (address, c_char_p, address),
    "pw_thread_loop_get_loop": (address, address),
    "pw_thread_loop_start": (c_int, address),
    "pw_thread_loop_stop": (None, address),
    "pw_thread_loop_destroy": (None, address),
    "pw_thread_loop_lock": (None, address),
    "pw_thread_loop_unlock": (None, address),
    "pw_context_new": (address, address, address, ctypes.c_size_t),
    "pw_context_destroy": (None, address),
    "pw_context_connect": (address, address, address, ctypes.c_size_t),
    "pw_context_connect_fd": (address, address, c_int, address, ctypes.c_size_t),
    "pw_core_disconnect": (c_int, address),
    "pw_properties_new_string": (address, c_char_p),
    "pw_stream_new": (address, address, c_char_p, address),
    "pw_stream_add_listener": (None, address, address, POINTER(Events), address),
    "pw_stream_connect": (c_int, address, c_int, c_uint32, c_int, POINTER(address), c_uint32),
    "pw_stream_destroy": (None, address),
    "pw_stream_update_params": (c_int, address, POINTER(address), c_uint32),
    "pw_stream_dequeue_buffer": (POINTER(StreamBuffer), address),
    "pw_stream_queue_buffer": (c_int, address, POINTER(StreamBuffer)),
}


@cache
def load() -> ctypes.CDLL:
    """The library, ready for use.

    Raises
    ------
    UserError
        It is not installed, or lacks something.
    """
    try:
        library = ctypes.CDLL(LIBRARY)
        for name, (result, *arguments) in FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise UserError(
            f"PipeWire's library, through which the desktop gives pictures, is missing ({error}).",
            1,
            remedy="Install libpipewire (Debian, Ubuntu: apt-get install libpipewire-0.3-0).",
        ) from error
    os.environ.setdefault("PIPEWIRE_DEBUG", "0")  # it would write to the terminal itself
    library.pw_init(None, None)
    return library


def version() -> str:
    """The library's own version."""
    return str(load().pw_get_library_version().decode())


def metas_of(buffer: Any) -> dict[int, Any]:
    """The facts beside a picture that we asked for, by kind; those it has."""
    found = {}
    for number in range(buffer.n_metas):
        meta = buffer.metas[number]
        kind = METAS.get(meta.type)
        if kind is not None and meta.data and meta.size >= ctypes.sizeof(kind):
            found[meta.type] = kind.from_address(meta.data)
    return found


def addresses_of(pods: list[bytes]) -> tuple[Any, list[Any]]:
    """An array of their addresses, and what has to live as long as it."""
    kept = [ctypes.create_string_buffer(each, len(each)) for each in pods]
    return (address * len(kept))(*(ctypes.addressof(each) for each in kept)), kept


def pod_at(place: int) -> bytes:
    """The bytes of the POD at an address."""
    size = c_uint32.from_address(place).value
    return ctypes.string_at(place, 8 + size)

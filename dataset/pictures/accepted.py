"""What is taken of pictures: one rule for all commands and pages, before anything is decoded.

A picture is of a format in ``formats.py``, within ``limits.py``, SDR, and one picture only. What a
frame, 8-bit RGB, cannot keep of it is told in words.
"""

from __future__ import annotations

from pathlib import Path

from dataset.errors import UserError
from dataset.pictures.dynamic_range import (
    has_gain_map,
    has_residual,
    hdr_curve,
    hdr_fault,
    profile_of,
)
from dataset.pictures.formats import HEAD, RAW, not_read, readable_format
from dataset.pictures.headers import UNCOUNTED, Header, read_header
from dataset.pictures.limits import check_header


def check_picture(data: bytes, name: str | Path) -> Header | None:
    """Refuse a file by its header, before it is decoded.

    Parameters
    ----------
    data : bytes
        The encoded file; of one of another format its beginning is enough.
    name : str or Path
        What an error calls it.

    Returns
    -------
    Header or None
        None where it is damaged: the decoder will say so.

    Raises
    ------
    TooLarge
        It is over a limit.
    HighDynamicRange
        It is HDR.
    UserError
        It is of no format that is read, or an animation.
    """
    header = read_header(data)
    curve = hdr_curve(data, header)
    if curve:
        raise hdr_fault(name, "picture", curve)
    readable_format(data[:HEAD], name)
    if header is not None and header.camera_raw:
        raise not_read(name, RAW)
    check_header(header, name)
    if header is not None:
        check_single(name, header.frames, "frames of an animation")
    return header


def check_single(name: str | Path, count: int, what: str) -> None:
    """Refuse a file of several pictures, or of `UNCOUNTED` ones."""
    if count > 1 or count == UNCOUNTED:
        raise UserError(
            f"{name} holds {count or 'several'} {what}, of which only one would be taken. Save "
            "them as single pictures, or an animation as MP4.",
            1,
        )


def frame_losses(data: bytes, header: Header | None) -> tuple[str, ...]:
    """What a frame, RGB of 8 bits without a profile, does not keep of a picture, in words."""
    if header is None:
        return ()
    profile = profile_of(data)
    found = {
        f"{header.depth} bits a channel became 8": header.depth > 8,
        "transparency left out": header.alpha,
        "CMYK converted to sRGB": header.cmyk,
        "a gain map (HDR) left out, the SDR picture taken": has_gain_map(data),
        "the HDR part of a JPEG XT left out, the SDR picture taken": has_residual(data),
        "a colour profile left out, its numbers taken as sRGB": (
            bool(profile) and not header.cmyk and b"sRGB" not in profile.replace(b"\0", b"")
        ),
    }
    return tuple(what for what, is_so in found.items() if is_so)

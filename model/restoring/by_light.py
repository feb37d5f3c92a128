"""HDR files: restored by their own light, without a network, by ``dataset/pictures/tone.py``.

Nothing of such a file is lost, so there is nothing that a network or another method could find.
Its light cut off at white, which is what an SDR screenshot would have kept, takes the place of the
input wherever that is mixed or compared: ``--strength``, ``--keep``, ``--compare``, the page. Of a
picture with a gain map it is the file's own SDR picture.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dataset.errors import UserError
from dataset.pictures.colour_profile import linearized, matrix_of
from dataset.pictures.dynamic_range import has_gain_map
from dataset.pictures.encoding import DEEP
from dataset.pictures.formats import HEAD, SUFFIXES, format_for, format_of
from dataset.pictures.hdr import HdrPicture, decode_hdr, is_hdr
from dataset.pictures.headers import Header, read_header
from dataset.pictures.light import in_rec709
from dataset.pictures.picture import Picture, decode_picture
from dataset.pictures.pixels import Pixels
from dataset.pictures.tone import display_exposure, encoded, in_srgb, peak_of, scene_exposure, toned
from model.options import RestoreOptions
from model.restoring import keeping
from model.restoring.methods import with_strength
from model.restoring.which_network import Restore

LEAST_TOLD = 0.05  # stops
DISPLAY_TONE, SCENE_TONE = "bt2390", "reinhard"  # of ``--tone auto``


@dataclass(frozen=True, eq=False)
class ByLight:
    """An HDR file, ready to be restored."""

    picture: Picture  # as an SDR screen shows it
    restore: Restore  # that picture -> what its light makes of it
    is_cut_off: bool = True  # at white, as the file holds no SDR picture


def is_by_light(data: bytes) -> bool:
    """Whether a file is restored by its own light, if that can be read."""
    return is_hdr(data) or has_gain_map(data)


def open_by_light(
    data: bytes, name: str | Path, options: RestoreOptions, suffix: str = ""
) -> ByLight | None:
    """Read a file that holds light; None: it is SDR.

    Of a picture whose gain map cannot be applied, the SDR picture is what there is.

    Parameters
    ----------
    data : bytes
    name : str or Path
        What errors call it.
    options : RestoreOptions
    suffix : str
        Of the result; a TIFF has 16 bits.

    Raises
    ------
    UserError
        It is HDR and cannot be read.
    """
    if is_hdr(data):
        return _developed(decode_hdr(data, name), data, options, suffix)
    if has_gain_map(data):
        with suppress(UserError, ValueError):
            light = _developed(decode_hdr(data, name), data, options, suffix)
            shown = replace(light.picture, pixels=_own_picture(data, name))
            return ByLight(shown, light.restore, is_cut_off=False)
    return None


def _developed(hdr: HdrPicture, data: bytes, options: RestoreOptions, suffix: str) -> ByLight:
    """Expose light and choose its curve; what was chosen is among the picture's notes."""
    tone, stops = options.tone, options.exposure + _chosen_stops(hdr)
    if tone == "auto":
        tone = DISPLAY_TONE if hdr.white_nits else SCENE_TONE
    light = hdr.light * np.float32(2.0**stops)
    shown = light if hdr.white_nits is None else hdr.light * np.float32(2.0**options.exposure)

    def restore(pixels: Pixels) -> Pixels:
        return toned(light, tone, hdr.white_nits)

    stored, header = format_of(data[:HEAD]), read_header(data)
    about = replace(hdr.metadata, icc=None, png_colour=())  # the result is sRGB
    picture = Picture(
        pixels=toned(shown, "clip", hdr.white_nits),
        depth=_depth(stored, header, suffix),
        grey=header is not None and header.grey,
        format=stored if stored in SUFFIXES else "PNG",
        notes=(_told(hdr, stops, tone), *_unused(options), *hdr.notes),
        **vars(about),
    )
    return ByLight(picture, _as_asked(restore, options))


def _chosen_stops(hdr: HdrPicture) -> float:
    """The exposure without the user's."""
    if hdr.white_nits is None:
        return math.log2(scene_exposure(hdr.light))
    return 0.0 if hdr.knows_white else math.log2(display_exposure(hdr.light, hdr.white_nits))


def _own_picture(data: bytes, name: str | Path) -> Pixels:
    """The SDR picture beside a gain map, in sRGB."""
    picture = decode_picture(data, name)
    if picture.icc is None:
        return picture.pixels
    light = in_rec709(linearized(picture.pixels, picture.icc), matrix_of(picture.icc))
    return encoded(in_srgb(light))


def _as_asked(restore: Restore, options: RestoreOptions) -> Restore:
    """As ``--strength`` and ``--keep`` say."""
    whole = with_strength(restore, None, options)
    return keeping.keeping_unclipped(whole) if options.keep == "unclipped" else whole


def _depth(stored: str | None, header: Header | None, suffix: str) -> int:
    """Bits of the result: 16 of a deep PNG or TIFF, and in any TIFF."""
    deep = stored in DEEP and header is not None and header.depth > 8
    return 16 if deep or format_for(suffix) == "TIFF" else 8


def _told(hdr: HdrPicture, stops: float, tone: str) -> str:
    """Exposure and curve, in words."""
    is_exposed = hdr.white_nits is None or abs(stops) >= LEAST_TOLD
    chosen = [f"{stops:+.1f} stops"] if is_exposed else []
    if hdr.white_nits is not None:
        brightest = peak_of(hdr.light) * hdr.white_nits
        chosen += [f"white {hdr.white_nits:.0f} nits, brightest {brightest:,.0f}"]
    return f"HDR, {hdr.kind}: by its own light, without a network ({', '.join(chosen)}, {tone})"


def _unused(options: RestoreOptions) -> tuple[str, ...]:
    """The options that were given and do nothing here, in words."""
    flags = {
        f"--method {options.method}": options.method != RestoreOptions.method,
        f"--run {options.run}": bool(options.run),
        f"--onnx {options.onnx}": options.onnx is not None,
        "--threshold": options.threshold is not None,
        "--together": options.together,
    }
    given = ", ".join(flag for flag, is_given in flags.items() if is_given)
    return (f"{given} not used",) if given else ()

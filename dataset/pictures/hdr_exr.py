"""OpenEXR -> light of a scene, by the package openexr.

Half and float channels R, G and B, or Y for grey, of one part and layer: those without a name, or
the one that shows the whole picture. Luminance with chroma of half the size, deep pictures and
integer channels are refused by name.

References
----------
.. [1] Academy Software Foundation: OpenEXR file layout; standard attributes; luminance/chroma.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.files import write_whole
from dataset.pictures.hdr_limits import check_size, package
from dataset.pictures.hdr_picture import HdrPicture
from dataset.pictures.hushed import hushed
from dataset.pictures.light import BT709, PRIMARIES, Light, in_rec709, to_rec709
from dataset.pictures.metadata import Metadata

WHOLE = ("combined", "beauty", "rgba", "rgb", "composite", "color")  # names of layers
MOST_CHANNELS = 1024  # of a part
MOST_SHOWN, MOST_MARGIN = 1 << 25, 64  # pixels of a display window, and as many times those stored

_one_at_a_time = threading.Lock()  # the standard output is that of all threads


def read_exr(data: bytes, path: Path) -> HdrPicture:
    """Raises as the readers of ``hdr.py`` do."""
    exr = package("OpenEXR", "openexr", path, "OpenEXR")
    try:
        # It says what is wrong on both outputs, and returns what it has.
        with TemporaryDirectory() as folder, _one_at_a_time, hushed(), redirect_stdout(StringIO()):
            file = Path(folder, "a.exr")  # not every version reads bytes
            write_whole(file, data)
            header, layer, part, others = _chosen(exr, file, path)
            found = exr.File(str(file), separate_channels=True).parts[part].channels
    except (RuntimeError, IndexError) as error:
        raise ValueError("it is damaged or cut off") from error
    names = [layer + each for each in "RGB"] if layer + "R" in found else [layer + "Y"] * 3
    if any(name not in found for name in names):
        raise ValueError("it is damaged or cut off")
    if any(found[name].pixels.dtype.kind != "f" for name in names):
        raise ValueError("its channels are whole numbers, which are no light")
    stored = np.stack([np.asarray(found[name].pixels, np.float32) for name in names], axis=2)
    light, shown = _on_display(stored, header)
    alpha = layer + "A" in found and float(found[layer + "A"].pixels.min(initial=1)) < 1
    notes = {
        "its transparency left out: what is transparent is dark": alpha,
        f"its layer {layer.rstrip('.')} taken, of {others}": bool(layer),
        "what lies outside of its display window left out": shown,
    }
    return HdrPicture(
        in_rec709(light, to_rec709(_primaries(header))),
        None,
        "OpenEXR",
        _about(header),
        tuple(text for text, is_so in notes.items() if is_so),
    )


def _chosen(exr: Any, file: Path, path: Path) -> tuple[Mapping[str, Any], str, int, int]:
    """Header, layer, number of the part to read, and how many layers there are."""
    parts = exr.File(str(file), header_only=True).parts
    choices = []
    for number, part in enumerate(parts):
        header = part.header
        _check_part(exr, header, path)
        channels = {each.name: each for each in header["channels"]}
        choices += [(number, layer) for layer in _layers(channels)]
    if not choices:
        raise ValueError("it has no channels R, G and B of light")
    number, layer = min(choices, key=lambda each: (_rank(each[1]), each[0]))
    return parts[number].header, layer, number, len(choices)


def _check_part(exr: Any, header: Mapping[str, Any], path: Path) -> None:
    if header.get("type") in (exr.deepscanline, exr.deeptile):
        raise ValueError("it is a deep picture, which is not supported")
    channels = header["channels"]
    if len(channels) > MOST_CHANNELS:
        raise ValueError(f"it has over {MOST_CHANNELS} channels")
    names = {each.name.rpartition(".")[2] for each in channels}
    if {"RY", "BY"} <= names:
        raise ValueError(
            "it stores luminance and chroma (channels Y, RY and BY), which is not supported: "
            "save it as RGB"
        )
    width, height = _size(header["dataWindow"])
    check_size("OpenEXR", width * max(1, len(channels) // 3), height, path)
    shown = _size(header["displayWindow"])
    check_size("OpenEXR", *shown, path)
    if shown[0] * shown[1] > max(MOST_SHOWN, MOST_MARGIN * width * height):
        raise ValueError("its display window is far larger than its picture")


def _layers(channels: Mapping[str, Any]) -> list[str]:
    """The prefixes of channels that make a picture."""
    found = []
    for name in channels:
        prefix = name[: len(name) - 1]
        if not name.endswith(("R", "Y")) or (prefix not in ("",) and not prefix.endswith(".")):
            continue
        wanted = [prefix + each for each in ("RGB" if name[-1] == "R" else "Y")]
        if name[-1] == "Y" and prefix + "R" in channels:
            continue
        if all(each in channels and _is_full(channels[each]) for each in wanted):
            found.append(prefix)
    return found


def _is_full(channel: Any) -> bool:
    """Whether it has a sample for each pixel."""
    return bool(channel.xSampling == 1 and channel.ySampling == 1)


def _rank(layer: str) -> int:
    """Which layer shows the whole picture: the smaller, the likelier."""
    last = layer.rstrip(".").rpartition(".")[2].lower()
    return 0 if not layer else 1 + (WHOLE.index(last) if last in WHOLE else len(WHOLE))


def _size(window: Any) -> tuple[int, int]:
    (left, top), (right, bottom) = ((int(each) for each in corner) for corner in window)
    return right - left + 1, bottom - top + 1


def _on_display(stored: Light, header: Mapping[str, Any]) -> tuple[Light, bool]:
    """The picture within its display window, black where nothing is stored; whether some is cut."""
    (left, top), _ = ((int(each) for each in corner) for corner in header["dataWindow"])
    (first, above), _ = ((int(each) for each in corner) for corner in header["displayWindow"])
    width, height = _size(header["displayWindow"])
    if (left, top, stored.shape[1::-1]) == (first, above, (width, height)):
        return stored, False
    shown: Light = np.zeros((height, width, 3), np.float32)
    x, y = left - first, top - above
    inside = stored[max(0, -y) : max(0, height - y), max(0, -x) : max(0, width - x)]
    shown[max(0, y) :, max(0, x) :][: inside.shape[0], : inside.shape[1]] = inside
    return shown, inside.shape != stored.shape


def _primaries(header: Mapping[str, Any]) -> tuple[float, ...]:
    stated: NDArray[Any] = np.asarray(header.get("chromaticities", ()), np.float64).ravel()
    return tuple(stated.tolist()) if stated.size == 8 else PRIMARIES[BT709]


def _about(header: Mapping[str, Any]) -> Metadata:
    density = header.get("xDensity")
    if not isinstance(density, float) or not (math.isfinite(density) and 1 <= density <= 65_535):
        return Metadata()
    aspect = header.get("pixelAspectRatio", 1.0)
    return Metadata(dpi=(density, density * aspect))

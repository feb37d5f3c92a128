"""`HdrPicture`: the light of a picture, made finite, and what reading it changed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from dataset.pictures.exif import orientation_of, say_upright, turn
from dataset.pictures.light import Light
from dataset.pictures.metadata import Metadata, upright_xmp

MOST_LIGHT = 1e9  # diffuse whites: the sun has under a million. Its square is still a float32


@dataclass(frozen=True, eq=False)
class HdrPicture:
    """A picture that is light, upright.

    Attributes
    ----------
    light : (H, W, 3) float32
        RGB, linear, of Rec. 709's primaries and D65; 1.0 is diffuse white. Finite. Colours outside
        of Rec. 709 have negative components, until `light.in_gamut`.
    white_nits : float or None
        What 1.0 is, in cd/m2, on the display that the file means; None: light of a scene, whose
        exposure is still to be chosen.
    knows_white : bool
        Whether diffuse white is where the file itself has it, by its own SDR picture; otherwise it
        is where BT.2408 supposes it.
    kind : str
        Format and curve, for the user: ``PNG (PQ)``.
    metadata : Metadata
        Without what said how the numbers of the file were to be read.
    notes : tuple of str
        What reading changed or left out, for the user.
    """

    light: Light
    white_nits: float | None
    kind: str
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    knows_white: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.light.shape[:2]
        return width, height


def finished(picture: HdrPicture) -> HdrPicture:
    """With finite light only, and told of what was not."""
    light, notes = _finite(picture.light)
    outside = float((light.min(axis=2) < -1e-4).mean())
    if outside:
        notes += (f"{max(outside, 0.0001):.2%} of its pixels have colours outside of Rec. 709",)
    return replace(picture, light=light, notes=picture.notes + notes)


def turned(picture: HdrPicture, orientation: int | None = None) -> HdrPicture:
    """Turned upright: as the file says otherwise, 1 to 8, or as its EXIF does."""
    about = picture.metadata
    turns = orientation_of(about.exif) if orientation is None else orientation
    exif = say_upright(about.exif) if about.exif else None
    xmp = upright_xmp(about.xmp) if about.xmp else None
    return replace(
        picture,
        light=turn(picture.light, turns),
        metadata=replace(about, exif=exif, xmp=xmp),
    )


def _finite(light: Light) -> tuple[Light, tuple[str, ...]]:
    light = np.ascontiguousarray(light, np.float32)
    if light.size and light.max() <= MOST_LIGHT and light.min() >= -MOST_LIGHT:  # not of NaN
        return light, ()
    unknown = np.isnan(light)
    huge = np.abs(light) > MOST_LIGHT
    found = {
        "{} of its values are no numbers (NaN): taken as 0": int(unknown.sum()),
        "{} of its values are infinite, or huge: limited": int(huge.sum()),
    }
    rest = np.where(unknown | huge, np.float32(0), light)
    most = max(float(rest.max(initial=0)), 1.0)  # as light as the lightest that is known
    replaced = np.where(huge, np.where(light > 0, np.float32(most), np.float32(0)), rest)
    notes = tuple(text.format(f"{count:,}") for text, count in found.items() if count)
    return np.asarray(replaced, np.float32), notes

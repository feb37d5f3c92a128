"""Scene-linear light -> a picture for an SDR screen: exposure, tone curve, gamut, encoding.

The curve acts on luminance, so that it turns no hue; what is then outside of sRGB's gamut moves
towards grey at the same hue, and becomes less bright the more colourful it is. The white of
display-referred light is the screen's, and what comes near it or is brighter makes room; where
much of a picture is beyond the white that it is supposed to have, the picture is darkened.
Scene-referred light has no white, and is exposed by its log-average. Reads no file: ``hdr.py``
does.

References
----------
.. [1] ITU-R BT.2390-11, 5.4.1: EETF. ITU-R BT.2100-2: PQ. ITU-R BT.2408-7: HDR reference white.
.. [2] E. Reinhard, M. Stark, P. Shirley, J. Ferwerda, "Photographic Tone Reproduction for Digital
   Images", SIGGRAPH 2002: log-average, equation 4.
.. [3] E. Reinhard, "Parameter Estimation for Photographic Tone Reproduction", Journal of Graphics
   Tools 7(1), 2002: the key.
.. [4] J. Hable, "Uncharted 2: HDR Lighting", Game Developers Conference 2010.
.. [5] B. Ottosson, "A perceptual color space for image processing", 2020: Oklab.
.. [6] B. Ottosson, "sRGB gamut clipping", 2021: adaptive L0, hue independent.
.. [7] IEC 61966-2-1: sRGB.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dataset.pictures.light import PQ_C, PQ_M, WHITE_NITS, Light, pq_to_nits
from dataset.pictures.pixels import Pixels

Plane = NDArray[np.float32]

MOST_NITS = 10_000.0  # that PQ can say
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of Rec. 709
MID_GREY = 0.18
BRIGHTEST = 99.99  # percentile of luminance: what is brighter are specks, such as the sun's glint
ENDS = (1.0, 99.0)  # percentiles that stand for the darkest and the brightest of a scene
MOST_BEYOND = 0.1  # share of pixels; chosen by looking at snow, deserts and suns
BRIGHTEST_WHITE = 480.0  # nits of SDR content on an HDR display, with the slider at its end
DARKEST = 1e-6  # luminance over that of the brightest: below it is black, and not exposed for
FAINT = 1e-8  # keeps quotients finite
OUTSIDE = 1e-4  # linear: less is rounding, not outside of the gamut
ALPHA = 0.15  # of [6]: 0 keeps lightness, so that suns stay the brightest; much keeps colour
STEPS = 12  # halvings: the gamut's edge to 1/4096 of the way
BAND = 1 << 19  # pixels that are worked on together

HABLE = (0.15, 0.50, 0.10, 0.20, 0.02, 0.30)  # A to F
HABLE_WHITE, HABLE_EXPOSURE = 11.2, 2.0

TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)
FROM_LMS, FROM_LAB = np.linalg.inv(TO_LMS), np.linalg.inv(TO_LAB)


def scene_exposure(light: Light) -> float:
    """The factor by which scene-referred light is exposed: its log-average becomes the key.

    The key is 0.18 where the log-average lies midway between the darkest and the brightest, and
    up to four times less or more where the scene is mostly dark or mostly bright.
    """
    seen = light @ LUMINANCE
    seen = seen[seen > DARKEST * max(float(np.percentile(seen, ENDS[1])), FAINT)]
    if not seen.size:
        return 1.0
    stops = np.log2(seen, dtype=np.float64)
    average, (low, high) = stops.mean(), np.percentile(stops, ENDS)
    off_middle = (2 * average - low - high) / (high - low) if high > low else 0.0
    return float(MID_GREY * 4.0**off_middle / 2.0**average)


def display_exposure(light: Light, white_nits: float) -> float:
    """The factor, 1 at most, by which display-referred light of supposed white is darkened.

    How bright white is, users choose in Windows and in games, and no file says it. So what is
    beyond the supposed white may be highlights, for which the curve makes room, or all that is
    white: a tenth of the picture at most is left beyond it, in any channel, up to the brightest
    white that can be chosen in Windows.
    """
    bright = float(np.quantile(light.max(axis=2), 1 - MOST_BEYOND))
    return 1 / min(max(bright, 1.0), BRIGHTEST_WHITE / white_nits)


def peak_of(light: Light) -> float:
    """The luminance of the brightest that counts."""
    seen = light @ LUMINANCE
    return max(float(np.percentile(seen, BRIGHTEST, method="higher")), 0.0)


def toned(light: Light, tone: str, white_nits: float | None = None) -> Pixels:
    """Exposed light -> sRGB-encoded, for an SDR screen whose white is 1.0.

    Parameters
    ----------
    light : (H, W, 3) float32
        Linear, Rec. 709 primaries; negative where a colour is outside of their gamut.
    tone : str
        A key of `TONES`.
    white_nits : float, optional
        What 1.0 is on the display that the light was made for.

    Returns
    -------
    (H, W, 3) float32 in [0, 1]
    """
    flat = light.reshape(-1, 3)
    peak, white = peak_of(flat), white_nits or WHITE_NITS
    result = np.empty_like(flat)
    for at in range(0, len(flat), BAND):
        band = flat[at : at + BAND]
        result[at : at + BAND] = encoded(TONES[tone](band, peak, white))
    return result.reshape(light.shape)


def bt2390(seen: Plane, peak: float, white_nits: float) -> Plane:
    """The EETF of BT.2390 from a peak to white: unchanged up to a knee, then a Hermite spline."""
    most = min(peak * white_nits, MOST_NITS)
    if most <= white_nits:
        return seen
    brightest = pq_of(most)
    level = np.minimum(pq_of(seen * np.float32(white_nits)) / brightest, 1)
    top = pq_of(white_nits) / brightest
    knee = 1.5 * top - 0.5
    t = np.maximum(level - knee, 0) / (1 - knee)
    rolled = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * top
    )
    made = pq_to_nits(rolled * brightest) / white_nits
    return np.asarray(np.where(level < knee, seen, made), np.float32)


def reinhard(seen: Plane, peak: float, white_nits: float) -> Plane:
    """Reinhard's curve, which the peak leaves as white."""
    return seen * (1 + seen / np.float32(max(peak, 1.0) ** 2)) / (1 + seen)


def hable(seen: Plane, peak: float, white_nits: float) -> Plane:
    """Hable's filmic curve: more contrast, and a white of its own."""
    return _hable(HABLE_EXPOSURE * seen) / _hable(np.float32(HABLE_WHITE))


def _hable(x: Plane | np.float32) -> Plane:
    a, b, c, d, e, f = HABLE
    return np.asarray((x * (a * x + c * b) + d * e) / (x * (a * x + b) + d * f) - e / f)


def on_luminance(
    curve: Callable[[Plane, float, float], Plane],
) -> Callable[[Light, float, float], Light]:
    """A curve of luminance for colours: one factor for all channels, then into the gamut."""

    def apply(light: Light, peak: float, white_nits: float) -> Light:
        seen = np.maximum(light @ LUMINANCE, np.float32(FAINT))
        factor = np.minimum(curve(seen, peak, white_nits), 1) / seen
        return in_srgb(light * factor[:, None].astype(np.float32))

    return apply


def clipped(light: Light, peak: float = 1.0, white_nits: float = WHITE_NITS) -> Light:
    """No curve: each channel cut off at white, as an SDR screenshot of HDR is."""
    return np.clip(light, 0, 1)


TONES: dict[str, Callable[[Light, float, float], Light]] = {
    "bt2390": on_luminance(bt2390),
    "reinhard": on_luminance(reinhard),
    "hable": on_luminance(hable),
    "clip": clipped,
}
"""Name -> (light, its peak, what 1.0 is in nits) -> light in [0, 1]."""


def in_srgb(light: Light) -> Light:
    """Colours outside of [0, 1], moved towards grey until they are inside; hues stay."""
    outside = np.any((light < -OUTSIDE) | (light > 1 + OUTSIDE), axis=-1)
    result = light.copy()
    if outside.any():
        result[outside] = _towards_grey(light[outside])
    return np.clip(result, 0, 1)


def _towards_grey(light: Light) -> Light:
    """(N, 3) -> where the way from each colour's grey, in Oklab, leaves the gamut."""
    lab = np.cbrt(light @ TO_LMS.T) @ TO_LAB.T
    grey = np.zeros_like(lab)
    grey[:, 0] = _grey_of(lab[:, 0], np.hypot(lab[:, 1], lab[:, 2]))
    share, step = np.zeros_like(lab[:, :1]), np.float32(1)
    for _ in range(STEPS):
        step /= 2
        tried = _of_oklab(grey + (share + step) * (lab - grey))
        fits = np.all((tried >= -OUTSIDE) & (tried <= 1 + OUTSIDE), axis=1, keepdims=True)
        share += step * fits
    return _of_oklab(grey + share * (lab - grey))


def _grey_of(lightness: Plane, chroma: Plane) -> Plane:
    """The lightness to move to: a colour's own, and nearer to 0.5 the more chroma it has."""
    off = lightness - 0.5
    reach = 0.5 + np.abs(off) + ALPHA * chroma
    root = np.sqrt(np.maximum(reach**2 - 2 * np.abs(off), 0))
    return 0.5 * (1 + np.sign(off) * (reach - root))


def _of_oklab(lab: NDArray[np.float32]) -> Light:
    lms = lab @ FROM_LAB.T
    return (lms * lms * lms) @ FROM_LMS.T


def encoded(light: Light) -> Pixels:
    """Linear light in [0, 1] -> sRGB."""
    curve = 1.055 * np.maximum(light, np.float32(FAINT)) ** np.float32(1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, curve).astype(np.float32)


def pq_of(nits: Plane | float) -> Plane:
    """PQ's signal, 0 to 1, for light in nits: the inverse of `pq_to_nits`."""
    (m1, m2), (c1, c2, c3) = PQ_M, PQ_C
    y = (np.clip(nits, 0, MOST_NITS) / MOST_NITS) ** m1
    return np.asarray(((c1 + c2 * y) / (1 + c3 * y)) ** m2)

"""Daylight: Preetham's sky, the sun's colour, and what the sky lends to surfaces.

Everything is radiance in the same relative unit, for the weak sun; strength scales it later.

References
----------
Preetham, Shirley, Smits 1999, *A Practical Analytic Model for Daylight* (sky luminance,
chromaticity and sun transmittance). Ramamoorthi, Hanrahan 2001, *An Efficient Representation for
Irradiance Environment Maps* (nine spherical harmonics). CIE S 011 overcast sky, (1 + 2 sin e) / 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from capture.game.noise import Array

MAP_SIZE = (128, 64)  # width (compass), height (elevation) of the sky map
DIRECT_TO_SKY = 0.85  # weak sun: direct luminous irradiance over the sky's, surface facing each
SKY_EXPONENT = 0.21  # sky light grows with this power of the sun's strength
PALE = np.array([0.93, 1.0, 1.07])  # air light at the horizon; Preetham's is known to be too red
VEIL_PEAK = 0.45  # radiance of the glare's middle over the sun's irradiance, see pipeline
WHITE_BALANCE = 0.85  # 0 = film for daylight, 1 = every white is grey
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
XYZ_TO_RGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)
# Preetham table 2: Perez coefficients A to E, each (slope in T, constant), for Y, x and y.
PEREZ = {
    "Y": [
        (0.1787, -1.4630),
        (-0.3554, 0.4275),
        (-0.0227, 5.3251),
        (0.1206, -2.5771),
        (-0.0670, 0.3703),
    ],
    "x": [
        (-0.0193, -0.2592),
        (-0.0665, 0.0008),
        (-0.0004, 0.2125),
        (-0.0641, -0.8989),
        (-0.0033, 0.0452),
    ],
    "y": [
        (-0.0167, -0.2608),
        (-0.0950, 0.0092),
        (-0.0079, 0.2102),
        (-0.0441, -1.6537),
        (-0.0109, 0.0529),
    ],
}
ZENITH_X = [
    [0.00166, -0.00375, 0.00209, 0.0],
    [-0.02903, 0.06377, -0.03202, 0.00394],
    [0.11693, -0.21196, 0.06052, 0.25886],
]
ZENITH_Y = [
    [0.00275, -0.00610, 0.00317, 0.0],
    [-0.04214, 0.08970, -0.04153, 0.00516],
    [0.15346, -0.26756, 0.06670, 0.26688],
]


@dataclass(frozen=True)
class Daylight:
    """Light of one sun direction at weak strength."""

    sky_map: Array  # float32 (64, 128, 3) radiance; row 0 = straight down, column 0 = south
    harmonics: Array  # float32 (9, 3) irradiance coefficients for `irradiance`
    sun_direction: Array  # float32 (3,) unit vector towards the sun: east, north, up
    sun_irradiance: Array  # float32 (3,) on a surface that faces the sun
    white: float  # radiance of a matt white surface that faces the sun
    brightest: float  # radiance of the sky and the glare where the sun stands
    bright: float  # radiance of the sky away from the sun


def sun_vector(azimuth_deg: float, elevation_deg: float) -> Array:
    """Unit vector (east, north, up) towards a compass direction and elevation."""
    a, e = np.radians(azimuth_deg), np.radians(elevation_deg)
    return np.array([np.sin(a) * np.cos(e), np.cos(a) * np.cos(e), np.sin(e)])


def map_directions() -> Array:
    """Unit vectors of the sky map's pixel centres, (64, 128, 3).

    Elevation is stored by square root, so that the horizon gets most of the rows.
    """
    width, height = MAP_SIZE
    azimuth = ((np.arange(width) + 0.5) / width * 2 - 1) * np.pi
    v = (np.arange(height) + 0.5) / height * 2 - 1
    elevation = np.sign(v) * v * v * np.pi / 2
    a, e = np.meshgrid(azimuth, elevation)
    return np.stack([np.sin(a) * np.cos(e), np.cos(a) * np.cos(e), np.sin(e)], axis=-1)


def _perez(name: str, turbidity: float, cos_theta: Array | float, gamma: Array | float) -> Array:
    a, b, c, d, e = (slope * turbidity + constant for slope, constant in PEREZ[name])
    cos_gamma = np.cos(gamma)
    gradation = 1 + a * np.exp(b / np.maximum(cos_theta, 0.02))
    return np.asarray(gradation * (1 + c * np.exp(d * np.asarray(gamma)) + e * cos_gamma**2))


def _zenith(turbidity: float, theta: float) -> tuple[float, float, float]:
    """Zenith luminance (kcd/m2) and chromaticity, Preetham appendix A.2."""
    chi = (4 / 9 - turbidity / 120) * (np.pi - 2 * theta)
    luminance = (4.0453 * turbidity - 4.9710) * np.tan(chi) - 0.2155 * turbidity + 2.4192
    t = np.array([turbidity**2, turbidity, 1.0])
    s = np.array([theta**3, theta**2, theta, 1.0])
    return float(luminance), float(t @ ZENITH_X @ s), float(t @ ZENITH_Y @ s)


def preetham(directions: Array, sun: Array, turbidity: float) -> Array:
    """Linear sRGB sky radiance for directions above the horizon, zenith luminance scaled to 1."""
    theta = float(np.arccos(np.clip(sun[2], 0.0, 1.0)))
    cos_theta = np.maximum(directions[..., 2], 0.02)
    gamma = np.arccos(np.clip(directions @ sun, -1, 1))
    _, x_zenith, y_zenith = _zenith(turbidity, theta)
    value = {
        k: _perez(k, turbidity, cos_theta, gamma) / _perez(k, turbidity, 1.0, theta) for k in PEREZ
    }
    luminance = value["Y"]
    x, y = value["x"] * x_zenith, value["y"] * y_zenith
    xyz = np.stack([x / y, np.ones_like(y), (1 - x - y) / y], axis=-1) * luminance[..., None]
    return np.maximum(xyz @ XYZ_TO_RGB.T, 0.005 * luminance[..., None])


def sun_colour(elevation_deg: float, turbidity: float) -> Array:
    """Colour of direct sunlight through the air, luminance 1 (Preetham appendix A.1)."""
    mass = 1 / (np.sin(np.radians(elevation_deg)) + 0.15 * (elevation_deg + 3.885) ** -1.253)
    wavelength = np.array([0.65, 0.57, 0.475])
    rayleigh = np.exp(-0.008735 * mass * wavelength**-4.08)
    aerosol = np.exp(-mass * (0.04608 * turbidity - 0.04586) * wavelength**-1.3)
    colour = rayleigh * aerosol
    return np.asarray(colour / (colour @ LUMINANCE))


def irradiance(harmonics: Array, normals: Array) -> Array:
    """Irradiance of unit normals (..., 3) from nine coefficients, equation 13 of Ramamoorthi."""
    return _basis(normals) @ harmonics


def _basis(n: Array) -> Array:
    x, y, z = n[..., 0], n[..., 1], n[..., 2]
    one = np.ones_like(x)
    return np.stack([one, y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], axis=-1)


def _project(sky_map: Array, directions: Array) -> Array:
    """Coefficients that `irradiance` turns into cosine-weighted sky light."""
    height = sky_map.shape[0]
    v = (np.arange(height) + 0.5) / height * 2 - 1
    weight = (np.abs(v) * np.cos(v * v * np.pi / 2))[:, None]  # solid angle of a row
    weight = weight / weight.sum() / sky_map.shape[1] * 4 * np.pi
    norms = (
        np.array(
            [
                0.282095,
                0.488603,
                0.488603,
                0.488603,
                1.092548,
                1.092548,
                0.315392,
                1.092548,
                0.546274,
            ]
        )
        ** 2
    )
    bands = np.array([np.pi] + [2 * np.pi / 3] * 3 + [np.pi / 4] * 5)
    moments = np.einsum(
        "hw,hwk,hwc->kc", np.broadcast_to(weight, sky_map.shape[:2]), _basis(directions), sky_map
    )
    return moments * (norms * bands)[:, None]


def _hazy(radiance: Array, limit: float) -> Array:
    """Brightest parts (the aureole) pulled under `limit`: a weak sun shines through haze."""
    luminance = (radiance @ LUMINANCE)[..., None]
    return radiance / (1 + luminance / limit)


def metered_exposure(day: Daylight, sun_off_axis_deg: float) -> float:
    """The camera's exposure, metered for the weak sun so that its picture is not clipped.

    `sun_off_axis_deg` is the angle between the sun and the camera's axis: with the sun out of the
    view the camera opens up. Strength plays no part: an over-exposed picture keeps the exposure.
    """
    facing = float(np.clip((62 - sun_off_axis_deg) / 22, 0, 1))
    sky_peak = day.bright + facing * (day.brightest - day.bright)
    return 0.78 / max(1.2 * day.white, sky_peak)


def _white_balance(light: Array) -> Array:
    """A camera's automatic white balance: takes out most of the light's colour, not all."""
    return np.asarray((light @ LUMINANCE / light) ** WHITE_BALANCE)


def daylight(
    azimuth_deg: float, elevation_deg: float, turbidity: float, overcast: float, ground: Array
) -> Daylight:
    """Sky, sun and exposure for one sun direction.

    Parameters
    ----------
    overcast : float
        0 = Preetham's clear sky, 1 = the CIE overcast sky.
    ground : array (3,)
        Mean albedo of everything below the horizon.
    """
    directions, sun = map_directions(), sun_vector(azimuth_deg, elevation_deg)
    clear = preetham(directions, sun, turbidity)
    up = directions[..., 2]
    above = up > 0
    clear = clear / (clear[above] @ LUMINANCE).mean()
    pale = 0.92 * (1 - np.maximum(up, 0)) ** 2.5 * np.clip((elevation_deg - 3) / 10, 0, 1)
    clear += pale[..., None] * ((clear @ LUMINANCE)[..., None] * PALE - clear)
    warm = 0.35 * sun_colour(elevation_deg, turbidity) + 0.65
    grey = ((1 + 2 * np.maximum(up, 0)) / 3)[..., None] * warm * 1.6
    sky = _hazy((1 - overcast) * clear + overcast * grey, 1.5)
    above_only = np.where(above[..., None], sky, 0)
    sky_irradiance = irradiance(_project(above_only, directions), np.array([0.0, 0.0, 1.0]))
    direct = DIRECT_TO_SKY * (1 - 0.5 * overcast) * (sky_irradiance @ LUMINANCE)
    sun_irradiance = direct * sun_colour(elevation_deg, turbidity) ** 0.7
    below = (0.06 + ground) * (sky_irradiance + sun_irradiance * max(sun[2], 0.15)) / np.pi
    horizon = sky[above.argmax(axis=0)[0]][None]
    fade = np.clip(-up / 0.35, 0, 1)[..., None] ** 0.6
    sky = np.where(above[..., None], sky, horizon * (1 - fade) + below * fade)
    harmonics = _project(sky, directions)
    balance = _white_balance(sun_irradiance + irradiance(harmonics, np.array([0.0, 0.0, 1.0])))
    sky, harmonics, sun_irradiance = sky * balance, harmonics * balance, sun_irradiance * balance
    white = 0.85 * (sun_irradiance + irradiance(harmonics, sun)) / np.pi
    near = (sky[above].max(axis=0) + VEIL_PEAK * sun_irradiance).max()
    far = np.percentile(sky[above].max(axis=-1), 85.0)
    return Daylight(
        sky.astype(np.float32),
        harmonics.astype(np.float32),
        sun.astype(np.float32),
        sun_irradiance.astype(np.float32),
        float(white.max()),
        float(near),
        float(far),
    )

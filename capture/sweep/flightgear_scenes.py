"""What FlightGear shows at each viewpoint, except for the light. Needs no game.

A viewpoint is a number: place, time of day (and with it the sun), aircraft, pose and camera follow
from (seed, number) alone. ``flightgear.py`` sets them in the game.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dataset.errors import UserError

SUN_LAG_S = 740.0
"""The game's sun is where an almanac has it this much earlier; measured, to about 0.3 deg."""

LOWEST_SUN_DEG, HIGHEST_SUN_DEG = 4.0, 45.0
MIDDLE = (63.92, -22.45)  # latitude, longitude: the peninsula around Keflavik, part of the game
FIRST_DAYS_S = tuple(1704067200 + 86400 * day for day in (74, 105, 135, 166, 196, 227, 258))
"""Midnight, UTC, in the middle of each month from March to September 2024: unix time."""

Vector = tuple[float, float, float]


class AircraftModel(NamedTuple):
    """Name and size of one of the models of ``docs/flightgear/aircraft/unclip/unclip.xml``."""

    name: str
    length_m: float
    span_m: float
    height_m: float


AIRCRAFT_MODELS = (  # in the order of that file
    AircraftModel("A320", 37.7, 34.0, 11.8),
    AircraftModel("B747", 71.2, 64.0, 18.9),
    AircraftModel("A380", 74.5, 80.0, 24.1),
    AircraftModel("B737", 40.3, 36.0, 12.8),
    AircraftModel("Cessna 172", 7.7, 11.0, 2.6),
    AircraftModel("PA-28", 7.0, 11.0, 2.8),
    AircraftModel("Tiger Moth", 7.3, 9.0, 3.0),
    AircraftModel("SR-71", 31.1, 17.0, 4.4),
    AircraftModel("Mirage 2000", 14.0, 9.1, 4.5),
    AircraftModel("F-15", 19.4, 13.0, 4.1),
    AircraftModel("F-16", 13.8, 10.0, 4.5),
    AircraftModel("Typhoon", 15.9, 11.0, 4.4),
    AircraftModel("MiG-21", 16.0, 7.2, 3.8),
    AircraftModel("F-18", 15.5, 11.4, 3.5),
    AircraftModel("Beech 1900", 17.8, 17.7, 4.5),
    AircraftModel("Cub", 6.9, 10.8, 2.3),
    AircraftModel("Bf 109", 8.9, 10.0, 2.2),
    AircraftModel("F-14", 19.2, 19.5, 4.6),
    AircraftModel("Viggen", 15.1, 10.6, 4.8),
    AircraftModel("Vulcan", 30.3, 34.0, 6.5),
    AircraftModel("Zero", 9.0, 12.0, 2.4),
    AircraftModel("Tu-154", 47.6, 37.5, 9.6),
    AircraftModel("S-11", 8.1, 11.0, 2.8),
    AircraftModel("Centrair", 6.8, 15.0, 1.9),
    AircraftModel("T-38", 13.9, 7.7, 3.1),
    AircraftModel("B727", 46.7, 33.0, 8.4),
)
ALL_AIRCRAFT = tuple(range(len(AIRCRAFT_MODELS)))


class Direction(NamedTuple):
    """Degrees: azimuth clockwise from north, elevation above the horizon."""

    azimuth: float
    elevation: float


class Pose(NamedTuple):
    """Degrees: heading clockwise from north, nose up, right wing down."""

    heading: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class SceneSpec:
    """One viewpoint: everything except the exposure."""

    number: int
    aircraft: int  # index into AIRCRAFT_MODELS
    unix_s: int  # the game's clock
    sun: Direction  # where the game's sun is then
    look: Direction  # of the camera, whose middle is the aircraft's
    pose: Pose
    fov_deg: float  # across the picture's shorter side
    distance_m: float  # camera to aircraft
    latitude_deg: float
    longitude_deg: float
    altitude_m: float
    visibility_m: float
    burnt: float  # fraction of the picture where the strongest exposure clips two channels


def sun_direction(unix_s: float, latitude_deg: float, longitude_deg: float) -> Direction:
    """Direction of the sun, seen from a place at a time, without refraction.

    Notes
    -----
    The low-precision formulas for the sun of *The Astronomical Almanac* (section C), good to 0.01
    deg between 1950 and 2050, and Greenwich mean sidereal time to first order.

    Examples
    --------
    >>> east, low = sun_direction(1718972400, 63.985, -22.592)
    >>> round(east), round(low)
    (155, 48)
    """
    days = unix_s / 86400 + 2440587.5 - 2451545.0  # since J2000.0
    mean = math.radians(280.460 + 0.9856474 * days)
    anomaly = math.radians(357.528 + 0.9856003 * days)
    ecliptic = mean + math.radians(1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    tilt = math.radians(23.439 - 4e-7 * days)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal = math.radians(280.46061837 + 360.98564736629 * days + longitude_deg)
    return _seen_from(math.radians(latitude_deg), sidereal - ascension, declination)


def _seen_from(latitude: float, hour_angle: float, declination: float) -> Direction:
    """Equatorial to horizontal; radians in, degrees out."""
    south, east = math.cos(hour_angle), -math.sin(hour_angle)
    sine = math.sin(latitude) * math.sin(declination)
    sine += math.cos(latitude) * math.cos(declination) * south
    north = math.tan(declination) * math.cos(latitude) - math.sin(latitude) * south
    return Direction(math.degrees(math.atan2(east, north)) % 360, math.degrees(math.asin(sine)))


def game_sun(unix_s: float, latitude_deg: float, longitude_deg: float) -> Direction:
    """Direction of the game's own sun when its clock says ``unix_s``."""
    return sun_direction(unix_s - SUN_LAG_S, latitude_deg, longitude_deg)


def choose_aircraft(only: str = "", without: str = "") -> tuple[int, ...]:
    """Indices of the aircraft that are shown, so that a network can be judged by the others.

    Parameters
    ----------
    only, without : str
        Names of ``AIRCRAFT_MODELS``, separated by commas, in any case: all that are shown (all
        there are, if empty), and those that are not.

    Raises
    ------
    UserError
        There is no such aircraft, or none is left.

    Examples
    --------
    >>> choose_aircraft("f-16, Zero,A320", without="zero")
    (0, 10)
    """
    asked, left_out = _indices(only), _indices(without)
    chosen = tuple(sorted((asked or set(ALL_AIRCRAFT)) - left_out))
    if not chosen:
        raise UserError(
            "No aircraft is left to show: --without leaves out all of them. Name fewer there, or "
            "more with --aircraft."
        )
    return chosen


def _indices(names: str) -> set[int]:
    known = {model.name.lower(): index for index, model in enumerate(AIRCRAFT_MODELS)}
    asked = [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name.lower() not in known:
            there = ", ".join(model.name for model in AIRCRAFT_MODELS)
            raise UserError(f"There is no aircraft {name!r}. There are {there}.")
    return {known[name.lower()] for name in asked}


def scene(seed: int, number: int, aircraft: Sequence[int] = ALL_AIRCRAFT) -> SceneSpec:
    """Viewpoint ``number`` of the world ``seed``; the same on every machine.

    Other ``aircraft`` to choose from change which one is seen, and how far it is away.
    """
    rng = random.Random(f"flightgear/{seed}/{number}")
    latitude = MIDDLE[0] + rng.uniform(-0.06, 0.06)
    longitude = MIDDLE[1] + rng.uniform(-0.2, 0.2)
    unix_s, sun = _time_of_day(rng, latitude, longitude)
    look, which = _look(rng, sun), rng.choice(aircraft)
    side = rng.choice((rng.uniform(20, 160), rng.uniform(200, 340), rng.uniform(0, 360)))
    roll = max(-50.0, min(50.0, rng.gauss(0, 18)))
    pose = Pose((look.azimuth + side) % 360, rng.gauss(2, 5), roll)
    fov, fill = rng.uniform(32, 50), rng.uniform(0.7, 1.0)
    return SceneSpec(
        number=number,
        aircraft=which,
        unix_s=unix_s,
        sun=sun,
        look=look,
        pose=pose,
        fov_deg=fov,
        distance_m=_distance(AIRCRAFT_MODELS[which], pose, look, fov, fill),
        latitude_deg=latitude,
        longitude_deg=longitude,
        altitude_m=700.0 * 4.0 ** rng.random(),
        visibility_m=9000.0 * 4.0 ** rng.random(),
        burnt=rng.uniform(0.12, 0.45),
    )


def _time_of_day(rng: random.Random, latitude: float, longitude: float) -> tuple[int, Direction]:
    """A time at which the sun is up, but low enough to come near the picture."""
    while True:
        unix_s = int(rng.choice(FIRST_DAYS_S) + rng.uniform(0, 86400))
        sun = game_sun(unix_s, latitude, longitude)
        if LOWEST_SUN_DEG <= sun.elevation <= HIGHEST_SUN_DEG:
            return unix_s, sun


def _look(rng: random.Random, sun: Direction) -> Direction:
    """Half of the time into the sun, else past it or with it behind the camera."""
    kind, aside = rng.random(), rng.choice((-1, 1))
    if kind < 0.5:
        turn, elevation = rng.gauss(0, 12), sun.elevation - rng.uniform(0, 16)
    elif kind < 0.75:
        turn, elevation = aside * rng.uniform(30, 100), rng.uniform(-14, 22)
    else:
        turn, elevation = aside * rng.uniform(100, 180), rng.uniform(-16, 20)
    return Direction((sun.azimuth + turn) % 360, max(-18.0, min(36.0, elevation)))


def _distance(
    craft: AircraftModel, pose: Pose, look: Direction, fov_deg: float, fill: float
) -> float:
    """Metres at which the aircraft takes ``fill`` of the shorter side of the picture.

    The aircraft counts as the ellipsoid in its bounding box; half of its depth is added, because
    nearer parts look larger.
    """
    right, up, ahead = _camera_axes(look)
    axes = list(zip(_body_axes(pose), craft[1:], strict=True))

    def extent(along: Vector) -> float:
        return math.hypot(*(size * _dot(axis, along) for axis, size in axes))

    across = max(extent(right), extent(up))
    return across / (2 * fill * math.tan(math.radians(fov_deg) / 2)) + extent(ahead) / 4


def _camera_axes(look: Direction) -> tuple[Vector, Vector, Vector]:
    """Right, up and ahead of the camera as (east, north, up)."""
    turn, lift = math.radians(look.azimuth), math.radians(look.elevation)
    east, north = math.sin(turn), math.cos(turn)
    up = (-math.sin(lift) * east, -math.sin(lift) * north, math.cos(lift))
    ahead = (math.cos(lift) * east, math.cos(lift) * north, math.sin(lift))
    return (north, -east, 0.0), up, ahead


def _body_axes(pose: Pose) -> tuple[Vector, Vector, Vector]:
    """Nose, right wing and top of the aircraft as (east, north, up)."""
    wing, top, nose = _camera_axes(Direction(pose.heading, pose.pitch))
    cosine, sine = math.cos(math.radians(pose.roll)), math.sin(math.radians(pose.roll))
    rolled = _mix(wing, cosine, top, -sine)
    return nose, rolled, _mix(top, cosine, wing, sine)


def _mix(one: Vector, a: float, other: Vector, b: float) -> Vector:
    return a * one[0] + b * other[0], a * one[1] + b * other[1], a * one[2] + b * other[2]


def _dot(one: Vector, other: Vector) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))

"""What each viewpoint shows, and the light that belongs to it. Standard library only.

A viewpoint is a number. Everything about it follows from (seed, number): aircraft, livery, pose,
camera, place, weather and sun. Nothing here draws.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from capture.game.options import STRONG, WEAK, Light

AIRCRAFT = ("airliner", "delta", "biplane", "glider", "twin_boom", "helicopter")
"""Names of the aircraft, in the order of the key `a`."""

SLENDER = ("glider", "helicopter")  # wings and rotor reach far beyond what can be seen of them

BIOMES = ("fields", "mountains", "desert", "snow", "coast", "sea", "cloud_sea")
WEATHERS = ("clear", "cirrus", "cumulus", "broken", "overcast")
PALE_PLACES = {"snow": 0.8, "cloud_sea": 0.75, "desert": 0.85, "broken": 0.85, "overcast": 0.65}
"""Where much is white, a weaker sun burns as much of the picture: factors on its strength."""

WORLDS_PER_BIOME = 2
CLOUD_FIELDS = 5


@dataclass(frozen=True)
class Viewpoint:
    """One scene, light apart. Angles in degrees, compass directions clockwise from north."""

    number: int
    aircraft: str  # one of AIRCRAFT
    livery: int  # seed of colours and markings
    yaw_deg: float  # aircraft's heading minus the camera's: 0 = seen from behind, 90 = flies right
    pitch_deg: float  # aircraft's nose above the horizon
    roll_deg: float  # right wing down
    heading_deg: float  # camera's compass direction
    look_deg: float  # camera's elevation angle, below 0 = looks down
    fov_deg: float  # field of view across the picture's shorter side
    fill: float  # larger of the aircraft's width and height, as a fraction of the picture's
    offset: tuple[float, float]  # centre of the aircraft off the picture's, fraction of the slack
    biome: str  # one of BIOMES
    world: int  # which of the biome's WORLDS_PER_BIOME worlds
    place: tuple[float, float]  # position in the world, fraction of its tile
    altitude_m: float  # camera above the highest ground near it
    weather: str  # one of WEATHERS
    clouds: int  # which of CLOUD_FIELDS cloud fields
    cloud_turn: float  # turns the cloud field, fraction of a circle
    turbidity: float  # Preetham's T: 2 = very clear, 6 = hazy
    light: Light  # the over-exposed light


def _camera_angles(rng: random.Random, biome: str) -> tuple[float, float]:
    """(look, altitude): mostly level or looking up, now and then down on the ground."""
    spans = ((-8, 8), (2, 26), (6, 32), (-22, -6))
    look = rng.uniform(*rng.choice(spans))
    altitude = rng.choice((rng.uniform(250, 700), rng.uniform(500, 2200)))
    return look, altitude * (0.5 if biome == "cloud_sea" else 1.0)


def _sun(rng: random.Random, heading: float, look: float, share: float) -> Light:
    """The sun in or near the view (backlit), or behind the camera's shoulder (front-lit)."""
    kind = rng.random()
    if kind < 0.66:
        aside, elevation = rng.gauss(0, 9), max(look, -2) + rng.uniform(1, 15)
    elif kind < 0.82:
        aside, elevation = rng.choice((-1, 1)) * rng.uniform(20, 60), rng.uniform(8, 50)
    else:
        aside, elevation = rng.choice((-1, 1)) * rng.uniform(100, 180), rng.uniform(12, 60)
    share *= 1 - 0.02 * max(0.0, look - 8)  # the higher the look, the more of it is sky
    strength = STRONG * share * 2.0 ** rng.uniform(-0.6, 0.7)
    return Light((heading + aside) % 360.0, min(70.0, max(4.0, elevation)), strength)


def viewpoint(seed: int, number: int, aircraft: str | None = None) -> Viewpoint:
    """The scene of viewpoint `number` in the world `seed`; the same on every machine.

    `aircraft` puts another aircraft (one of AIRCRAFT) in its place.
    """
    rng = random.Random(f"unclip/{seed}/{number}")
    biome, heading = rng.choice(BIOMES), rng.uniform(0, 360)
    look, altitude = _camera_angles(rng, biome)
    side = rng.choice((rng.uniform(25, 155), rng.uniform(205, 335), rng.uniform(0, 360)))
    craft, weather = rng.choice(AIRCRAFT), rng.choice(WEATHERS)
    light = _sun(rng, heading, look, PALE_PLACES.get(biome, 1.0) * PALE_PLACES.get(weather, 1.0))
    scene = Viewpoint(
        number=number,
        aircraft=craft,
        livery=rng.randrange(1 << 30),
        yaw_deg=side,
        pitch_deg=rng.gauss(3, 6),
        roll_deg=max(-55.0, min(55.0, rng.gauss(0, 20))),
        heading_deg=heading,
        look_deg=look,
        fov_deg=rng.uniform(32, 50),
        fill=min(0.9, rng.uniform(0.5, 0.84) * (1.2 if craft in SLENDER else 1.0)),
        offset=(rng.uniform(-0.7, 0.7), rng.uniform(-0.6, 0.6)),
        biome=biome,
        world=rng.randrange(WORLDS_PER_BIOME),
        place=(rng.random(), rng.random()),
        altitude_m=altitude,
        weather=weather,
        clouds=rng.randrange(CLOUD_FIELDS),
        cloud_turn=rng.random(),
        turbidity=rng.uniform(2.0, 4.2),
        light=light,
    )
    return scene if aircraft is None else replace(scene, aircraft=aircraft)


def over_exposed_light(seed: int, number: int) -> Light:
    """The strong sun of a viewpoint: in the view or near it, or burning the lit side."""
    return viewpoint(seed, number).light


def reference_light(light: Light) -> Light:
    """The same sun direction with the weak sun that makes a reference picture (domain X)."""
    return replace(light, strength=WEAK)

"""FlightGear, driven through its telnet property server, for a sweep over its light.

The exposure is the game's own: its shaders multiply the colour before they clamp it.
``flightgear_scenes.py`` chooses the scene of each viewpoint. The user starts the game
(``docs/flightgear.md``); the caller passes a function that reads its window.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np

from capture.clock import now_s
from capture.sweep.flightgear_scenes import AIRCRAFT_MODELS, ALL_AIRCRAFT, SceneSpec, scene
from dataset.errors import UserError
from dataset.pictures.images import Image

START = (
    "fgfs --fg-aircraft=docs/flightgear/aircraft --aircraft=unclip --fdm=null --in-air "
    "--airport=BIKF --altitude=3000 --vc=100 --enable-freeze --telnet=_,_,60,_,{port},_ "
    "--disable-real-weather-fetch --disable-clouds3d --prop:/sim/rendering/shaders/skydome=true"
)
FRAME, CRAFT = "/unclip/frame", "/unclip/aircraft"
BRIGHTNESS = "/sim/rendering/als-filters/brightness"
CHANGED, SAME = 0.7, 0.4  # mean difference in 8-bit steps: above is new, below is equal
SUN_ERROR_DEG = 1.2  # most distance of the game's own sun from where it should be
MEASURING = 0.5  # exposure at which nothing is clipped, to measure the others
UNBURNT = 0.002  # fraction of the picture, such as the sun's disc, that step 0 may clip
WEAKEST, STRONGEST = 1.6, 8.0  # bounds of the last exposure as a multiple of the first
FEET_PER_M = 1 / 0.3048
MOST_ANSWER = 64 << 10  # bytes of one property
EARTH_RADIUS_M = 6303363.7  # as the game has it in Environment/local-weather-rules.xml

PropertyValue = float | int | str
Properties = dict[str, PropertyValue]

READY: Properties = {
    "/sim/freeze/master": "true",
    "/sim/freeze/clock": "true",
    "/sim/time/warp": 0,
    "/sim/current-view/view-number": 1,  # looks at the aircraft
    "/sim/hud/visibility": "false",
    "/sim/menubar/visibility": "false",
    "/sim/rendering/shadow-volume": "false",
    "/sim/rendering/shaders/custom-settings": "true",
    "/sim/rendering/shaders/skydome": "true",  # the shaders that apply an exposure
    "/sim/rendering/shaders/model": 0,
    "/sim/rendering/als-filters/use-filtering": "true",
    "/sim/rendering/als-filters/gamma": 0,
    "/rendering/scene/scattering": 1,
    "/environment/ground-haze-thickness-m": 1200,
    # Flat clouds ignore the exposure: they would be dark before a burnt sky.
    **{f"/environment/clouds/layer[{layer}]/coverage": "clear" for layer in range(5)},
}


class NotDrawn(Exception):
    """The game did not draw what was set: skip this viewpoint."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for the game, which draws a new scene in two or three stages."""

    scene_frames: int = 16  # counts of the game's frame counter after a new scene, at least
    scene_s: float = 0.9  # seconds after a new scene, at least
    light_frames: int = 4  # counts after a new exposure, at least
    apart_frames: int = 4  # counts between two pictures that must agree
    give_up_s: float = 5.0  # per try to get a new picture
    tries: int = 3  # times that settings are sent before a viewpoint is given up
    start_frames: int = 300  # until a new game has faded its first messages
    silent_s: float = 90.0  # without a new frame: the game has stopped


PATIENCE = Patience()


class PropertyServer:
    """One connection to the game's property server, in its terse mode.

    Raises
    ------
    UserError
        Nothing listens there, or the game no longer answers.
    """

    def __init__(self, host: str, port: int, timeout_s: float = 20.0) -> None:
        self._place = f"{host}:{port}"
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except (OSError, UnicodeError, OverflowError) as error:  # not a host name or a port
            raise UserError(
                f"No FlightGear answers at {self._place} ({error}). Start it, in the folder of "
                f"this project, with `{START.format(port=port)}` and wait until it shows the "
                "aircraft; docs/flightgear.md says more.",
                1,
            ) from error
        self._answers = self._socket.makefile("rb")
        self._send("data")

    def get(self, path: str) -> str:
        """The value as text; empty if there is no such property."""
        self._send(f"get {path}")
        try:
            line = self._answers.readline(MOST_ANSWER)
        except OSError as error:
            raise self._gone(error) from error
        if not line:
            raise self._gone("it closed the connection")
        return line.decode("utf-8", "replace").strip()

    def number(self, path: str) -> float:
        """The value as a number; NaN if it is not a finite one."""
        try:
            value = float(self.get(path))
        except ValueError:
            return math.nan
        return value if math.isfinite(value) else math.nan

    def set(self, settings: Properties) -> None:
        """Send values; they take effect when the game next draws."""
        for path, value in settings.items():
            text = f"{value:.6f}" if isinstance(value, float) else value
            self._send(f"set {path} {text}")

    def close(self) -> None:
        """Hang up. May be called twice."""
        self._answers.close()
        self._socket.close()

    def _send(self, command: str) -> None:
        try:
            self._socket.sendall(f"{command}\r\n".encode())
        except OSError as error:
            raise self._gone(error) from error

    def _gone(self, why: object) -> UserError:
        return UserError(
            f"FlightGear at {self._place} no longer answers ({why}): start it again.", 1
        )


class FlightGear:
    """A running FlightGear as the game of a sweep.

    Parameters
    ----------
    host, port : str, int
        Its property server.
    steps : int
        Exposures per viewpoint: step 0 clips nothing, the last one over-exposes.
    grab : callable
        Returns the game's window, uint8 (H, W, 3 or more), with its three colours first, in any
        order.
    seed : int
        Random seed of the viewpoints.
    aircraft : sequence of int
        Which of ``AIRCRAFT_MODELS`` are shown.
    patience : Patience
        Waiting times.

    Raises
    ------
    UserError
        Nothing answers, or the game was started without the aircraft ``unclip``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        steps: int,
        grab: Callable[[], Image],
        seed: int = 0,
        aircraft: Sequence[int] = ALL_AIRCRAFT,
        patience: Patience = PATIENCE,
    ) -> None:
        self._steps, self._grab, self._patience = steps, grab, patience
        self._seed, self._aircraft = seed, aircraft
        self._scene: SceneSpec | None = None
        self._before: Image | None = None  # what was shown before a scene that is still to come
        self._weakest = self._range = self._brightness = 1.0
        self._game = PropertyServer(host, port)
        if not self._game.get(CRAFT):
            self._game.close()
            raise UserError(
                f"The game at {host}:{port} does not know {CRAFT}: it flies another aircraft. "
                f"Start it with `{START.format(port=port)}`; docs/flightgear.md says more."
            )

    def __enter__(self) -> FlightGear:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def prepare(self) -> None:
        """Freeze the simulation, look at the aircraft, and hide menus and messages.

        Raises
        ------
        UserError
            The game counts no frames.
        """
        # The counter is a Nasal script, which is loaded only while simulation time runs.
        self._game.set({"/sim/freeze/master": "false", "/sim/freeze/clock": "false"})
        self._game.set({"/sim/view-name-popup": "false"})
        self._wait_for_counter()
        self._game.set(READY)
        # Any first scene is then a change, even the one that the game shows already.
        self._game.set({BRIGHTNESS: 0.1})
        self._wait_frames(self._patience.scene_frames)
        self._scene = self._before = None

    def go(self, viewpoint: int) -> None:
        """Turn to a viewpoint: sun, place, aircraft, pose and camera.

        They follow from seed and number. `light` waits until they are drawn.
        """
        if self._scene is not None and self._scene.number == viewpoint and self._before is None:
            return
        self._before = self._picture()
        self._scene = scene(self._seed, viewpoint, self._aircraft)
        self._game.set(self._settings())

    def light(self, step: int) -> str:
        """Set the exposure and wait until its picture is on the screen.

        Parameters
        ----------
        step : int
            0: the game's own exposure (1), or a weaker one at which nothing is clipped;
            ``steps - 1``: strong enough to clip the viewpoint's fraction of the picture;
            geometric in between.

        Returns
        -------
        str
            The light and the aircraft in words.

        Raises
        ------
        NotDrawn
            The picture did not change, or did not stand still.
        """
        if self._before is not None:
            self._settle(self._before)
        brightness = self._weakest * self._range ** (step / max(1, self._steps - 1))
        if brightness != self._brightness:
            before, waiting = self._picture(), self._patience.light_frames
            self._draw({BRIGHTNESS: brightness}, before, waiting, 0.0)
            self._brightness = brightness
        return self._describe()

    def close(self) -> None:
        """Restore the exposure and hang up; the game goes on. May be called twice."""
        with suppress(UserError):  # the game went first, or this was called before
            self._game.set({BRIGHTNESS: 1.0})
        self._game.close()

    def _settings(self) -> Properties:
        """The scene as properties of the game, at the exposure for measuring."""
        here = self._here()
        height_of_sun = math.radians(here.sun.elevation)
        height, width = self._picture().shape[:2]
        longer = max(height, width) / min(height, width)  # the game's angle spans the longer side
        fov = 2 * math.degrees(math.atan(math.tan(math.radians(here.fov_deg) / 2) * longer))
        return {
            "/sim/time/warp": 0,
            "/sim/time/cur-time-override": here.unix_s,
            CRAFT: here.aircraft,
            "/position/latitude-deg": here.latitude_deg,
            "/position/longitude-deg": here.longitude_deg,
            "/position/altitude-ft": here.altitude_m * FEET_PER_M,
            "/orientation/heading-deg": here.pose.heading,
            "/orientation/pitch-deg": here.pose.pitch,
            "/orientation/roll-deg": here.pose.roll,
            "/environment/visibility-m": here.visibility_m,
            "/environment/ground-visibility-m": here.visibility_m,
            # The shaders' own sun and height: while the game is frozen its rules do not update
            # them, and the light would stay as it was.
            "/environment/terminator-relative-position-m": height_of_sun * EARTH_RADIUS_M,
            "/sim/rendering/eye-altitude-m": here.altitude_m,
            # The game counts the camera's angles to the left and downwards.
            "/sim/current-view/heading-offset-deg": (180 - here.look.azimuth) % 360 - 180,
            "/sim/current-view/pitch-offset-deg": -here.look.elevation,
            "/sim/current-view/z-offset-m": -here.distance_m,
            "/sim/current-view/field-of-view": fov,
            BRIGHTNESS: MEASURING,
        }

    def _settle(self, before: Image) -> None:
        """Wait for the new scene, and measure its first and its last exposure."""
        waiting = self._patience
        shown = self._draw(self._settings(), before, waiting.scene_frames, waiting.scene_s)
        brightest = float(np.quantile(shown.max(axis=2), 1 - UNBURNT))
        middle = np.median(shown, axis=2)  # of three channels: the sky's blue clips long before it
        level = float(np.quantile(middle, 1 - self._here().burnt))
        self._weakest = min(1.0, MEASURING * 240 / max(1.0, brightest))
        strongest = MEASURING * 252 / max(1.0, level)
        self._range = min(STRONGEST, max(WEAKEST, strongest / self._weakest))
        self._before, self._brightness = None, MEASURING

    def _draw(self, settings: Properties, before: Image, frames: int, least_s: float) -> Image:
        """The picture with these settings, which are sent again if it does not appear."""
        for _ in range(self._patience.tries):
            self._game.set(settings)
            shown = self._wait_for_change(before, frames, least_s)
            if shown is not None:
                return shown
        self._before = before  # the next call starts with the whole scene
        raise NotDrawn(
            f"The game did not draw viewpoint {self._here().number} within "
            f"{self._patience.tries * self._patience.give_up_s:.0f} seconds."
        )

    def _wait_for_change(self, before: Image, frames: int, least_s: float) -> Image | None:
        """The first still picture that differs from ``before``, or None."""
        start, last = now_s(), None
        self._wait_frames(frames)
        time.sleep(max(0.0, start + least_s - now_s()))
        while now_s() < start + max(least_s, self._patience.give_up_s):
            now = self._picture()
            still = last is not None and _difference(now, last) < SAME
            if still and _difference(now, before) > CHANGED and self._sun_is_right():
                return now
            last = now
            self._wait_frames(self._patience.apart_frames)
        return None

    def _sun_is_right(self) -> bool:
        """Whether the game has applied the time: its sun is where it should be."""
        zenith = math.degrees(self._game.number("/sim/time/sun-angle-rad"))
        return abs(90 - zenith - self._here().sun.elevation) < SUN_ERROR_DEG

    def _wait_frames(self, count: int) -> None:
        first, end = self._game.number(FRAME), now_s() + self._patience.silent_s
        while self._game.number(FRAME) < first + count:
            if now_s() > end:
                raise UserError("FlightGear no longer draws: is its window minimised?", 1)
            time.sleep(0.002)

    def _wait_for_counter(self) -> None:
        """Wait until the game counts its frames and has faded its first messages."""
        end = now_s() + self._patience.silent_s
        while not self._game.get(FRAME):
            if now_s() > end:
                raise UserError(
                    f"The game counts no frames ({FRAME} is missing). Copy "
                    "docs/flightgear/unclip.nas into the folder Nasal of FlightGear's own folder "
                    "(~/.fgfs, on Windows %APPDATA%\\flightgear.org) and start the game again."
                )
            time.sleep(0.1)
        # NaN if the counter holds a text.
        drawn = self._game.number(FRAME)
        waiting = self._patience.start_frames - (0 if math.isnan(drawn) else int(drawn))
        self._wait_frames(max(1, waiting))

    def _picture(self) -> Image:
        """The window now, its colours only: uint8 (H, W, 3)."""
        return np.array(self._grab()[:, :, :3])

    def _here(self) -> SceneSpec:
        assert self._scene is not None, "go() comes before light()"
        return self._scene

    def _describe(self) -> str:
        here = self._here()
        return (
            f"sun azimuth {here.sun.azimuth:.1f}, elevation {here.sun.elevation:.1f}; "
            f"exposure {self._brightness:.2f}; aircraft {AIRCRAFT_MODELS[here.aircraft].name}"
        )


def _difference(one: Image, other: Image) -> float:
    """Mean difference in 8-bit steps; 255 if the sizes differ."""
    return 255.0 if one.shape != other.shape else float(cv2.absdiff(one, other).mean())

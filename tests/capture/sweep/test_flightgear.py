"""FlightGear's driver against a property server on loopback that draws late, twice, or never."""

from __future__ import annotations

import calendar
import math
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.processes import Thread
from helpers.waiting import SOON_S
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from capture.sweep.flightgear import BRIGHTNESS, CRAFT, FRAME, START, FlightGear, NotDrawn, Patience
from capture.sweep.flightgear_scenes import (
    AIRCRAFT_MODELS,
    choose_aircraft,
    game_sun,
    scene,
    sun_direction,
)
from dataset.errors import UserError

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[3] / "docs"
CLOCK, ANGLE = "/sim/time/cur-time-override", "/sim/time/sun-angle-rad"
HASTE = Patience(
    scene_frames=16,
    scene_s=0.02,
    light_frames=3,
    apart_frames=3,
    give_up_s=0.3,
    tries=2,
    start_frames=0,
    silent_s=0.25,
)
PATIENT = replace(HASTE, give_up_s=SOON_S, silent_s=SOON_S)  # where the game does draw
FRAME_S = 0.004


class SlowGame:
    """A property server on loopback, and the window that belongs to it.

    Values are taken over some frames after they were set; the picture follows in two stages: first
    the camera and the exposure, then the light of the new sun, which the game's own angle of the
    sun runs ahead of.

    Parameters
    ----------
    deaf : int
        So many new scenes are not taken over at all.
    properties : dict
        What the game knows at its start.
    """

    CAMERA_FRAMES, SUN_FRAMES = 2, 12

    def __init__(self, deaf: int = 0, properties: dict[str, str] | None = None) -> None:
        self.known = {FRAME: "0", CRAFT: "0", CLOCK: "0"} if properties is None else properties
        self.deaf = deaf
        self.drawing = True
        self.restless = False
        self.set_count = 0
        self._set_at: dict[str, list[tuple[float, str]]] = {}
        self._start = time.monotonic()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with socket.socket() as knock:  # wakes accept()
            knock.settimeout(SOON_S)
            knock.connect_ex(("127.0.0.1", self.port))
        self._listener.close()
        self._thread.join()

    def picture(self) -> NDArray[np.uint8]:
        """BGRX: a ramp moved by the camera, as bright as the sun is high, times the exposure."""
        turn = self._seen("/sim/current-view/heading-offset-deg", self.CAMERA_FRAMES)
        brightness = self._seen(BRIGHTNESS, self.CAMERA_FRAMES, 1.0)
        hour = self._seen(CLOCK, self.SUN_FRAMES) / 3600 % 24
        ramp = np.roll(np.arange(64, dtype=float), int(turn)) + 40 + 4 * hour
        picture = np.zeros((48, 64, 4), np.uint8)
        picture[:, :, :3] = np.clip(ramp * brightness, 0, 255).astype(np.uint8)[None, :, None]
        if self.restless:
            picture[:, :, :3] = np.roll(picture[:, :, :3], self._frame(), axis=1)
        return picture

    def _frame(self) -> int:
        return int((time.monotonic() - self._start) / FRAME_S)

    def _seen(self, path: str, frames: int, default: float = 0.0) -> float:
        """The last value that was set at least this many frames ago."""
        if not self.drawing:
            return default
        then = time.monotonic() - frames * FRAME_S
        values = [value for moment, value in self._set_at.get(path, []) if moment <= then]
        return float(values[-1]) if values else default

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # closed
            return
        with connection, connection.makefile("rwb") as lines:
            for line in lines:
                verb, _, rest = line.decode().strip().partition(" ")
                if verb == "get":
                    lines.write(f"{self._answer(rest)}\r\n".encode())
                    lines.flush()
                elif verb == "set":
                    self._take(*rest.split(" ", 1))

    def _answer(self, path: str) -> str:
        if path == FRAME and path in self.known:
            return str(self._frame())
        if path == ANGLE:
            where = (self._last(f"/position/{name}-deg") for name in ("latitude", "longitude"))
            sun = game_sun(self._seen(CLOCK, self.CAMERA_FRAMES), *where)
            return str(math.radians(90 - sun.elevation))
        return self.known.get(path, "")

    def _last(self, path: str) -> float:
        return float(self._set_at.get(path, [(0.0, "0")])[-1][1])

    def _take(self, path: str, value: str) -> None:
        if path == CLOCK:
            self.set_count += 1
        if path.startswith("/sim/time/cur") and self.set_count <= self.deaf:
            return
        self._set_at.setdefault(path, []).append((time.monotonic(), value))


@pytest.fixture
def game() -> Iterator[SlowGame]:
    game = SlowGame()
    yield game
    game.close()


def drive(game: SlowGame, patience: Patience = PATIENT) -> FlightGear:
    return FlightGear("127.0.0.1", game.port, 3, game.picture, patience=patience)


def test_light_waits_until_both_stages_of_a_scene_are_drawn(game: SlowGame) -> None:
    with drive(game) as driver:
        driver.prepare()
        for number in (3, 4):
            driver.go(number)
            driver.light(0)
            shown = game.picture()
            time.sleep(15 * FRAME_S)
            assert np.array_equal(shown, game.picture())


def test_a_picture_that_never_comes_to_rest_is_not_drawn(game: SlowGame) -> None:
    with drive(game) as driver:
        driver.prepare()
        driver.go(5)
        driver._patience = HASTE
        game.restless = True
        with pytest.raises(NotDrawn):
            driver.light(0)


def test_steps_only_multiply_the_picture_and_the_last_one_burns(game: SlowGame) -> None:
    with drive(game) as driver:
        driver.prepare()
        driver.go(7)
        seen, said = [], []
        for step in range(3):
            said.append(driver.light(step))
            seen.append(game.picture().astype(float))
    exposures = [float(re.findall(r"exposure ([\d.]+)", text)[0]) for text in said]
    assert exposures[0] == 1.0
    assert exposures[1] == pytest.approx(math.sqrt(exposures[2]), abs=0.01)
    for exposure, picture in zip(exposures, seen, strict=True):
        assert np.abs(np.minimum(255, seen[0] * exposure) - picture).max() < 4
    assert (seen[0] >= 250).mean() == 0
    assert (seen[2][:, :, :3] >= 250).mean() > 0.1
    assert re.fullmatch(
        r"sun azimuth [\d.]+, elevation [\d.]+; exposure 1.00; aircraft [\w -]+", said[0]
    )


def test_a_step_may_be_asked_for_in_any_order_and_again(game: SlowGame) -> None:
    with drive(game) as driver:
        driver.prepare()
        driver.go(1)
        last = driver.light(2)
        first = driver.light(0)
        driver.go(1)  # there already
        assert driver.light(2) == last
        assert driver.light(2) == last
        assert driver.light(0) == first


def test_a_scene_that_was_not_taken_over_is_set_again() -> None:
    game = SlowGame(deaf=2)  # go() sets it once, light() once more
    try:
        with drive(game, replace(PATIENT, give_up_s=1.5)) as driver:
            driver.prepare()
            driver.go(2)
            driver.light(0)
        assert game.set_count == 3
    finally:
        game.close()


def test_a_picture_that_never_changes_is_not_drawn(game: SlowGame) -> None:
    with drive(game) as driver:
        driver.prepare()
        game.drawing = False
        driver.go(5)
        driver._patience = HASTE
        with pytest.raises(NotDrawn, match="viewpoint 5"):
            driver.light(0)
        driver._patience = PATIENT
        game.drawing = True
        driver.go(6)  # the sweep goes on
        assert "exposure 1.00" in driver.light(0)


def test_nobody_at_the_port_names_the_command_that_starts_the_game() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # nobody else gets this port, and nobody listens
        port = deaf.getsockname()[1]
        with pytest.raises(UserError, match=rf"fgfs .*--telnet=_,_,60,_,{port},_"):
            FlightGear("127.0.0.1", port, 3, lambda: np.zeros((4, 4, 4), np.uint8))


@pytest.mark.parametrize(
    ("known", "told"),
    [({FRAME: "0"}, "--aircraft=unclip"), ({CRAFT: "0"}, r"unclip\.nas")],
    ids=["another aircraft", "no frame counter"],
)
def test_a_game_started_otherwise_is_told_what_it_lacks(known: dict[str, str], told: str) -> None:
    game = SlowGame(properties=known)
    try:
        with pytest.raises(UserError, match=told), drive(game, HASTE) as driver:
            driver.prepare()
    finally:
        game.close()


def test_close_may_be_called_twice_and_ends_the_driving(game: SlowGame) -> None:
    driver = drive(game)
    driver.close()
    driver.close()
    with pytest.raises(UserError, match="start it again"):
        driver.prepare()


@given(st.integers(0, 9), st.integers(0, 10_000))
def test_a_scene_is_a_pure_function_of_seed_and_number(seed: int, number: int) -> None:
    here = scene(seed, number)
    assert here == scene(seed, number)
    assert here != scene(seed + 1, number)
    assert here != scene(seed, number + 1)
    assert here.sun == game_sun(here.unix_s, here.latitude_deg, here.longitude_deg)
    assert 4 <= here.sun.elevation <= 45
    assert 5 < here.distance_m < 400


def test_aircraft_left_out_are_never_shown_and_the_rest_of_a_scene_stays() -> None:
    left = choose_aircraft(without="Typhoon, tiger moth")
    assert len(left) == len(AIRCRAFT_MODELS) - 2
    names = {AIRCRAFT_MODELS[scene(0, number, left).aircraft].name for number in range(400)}
    assert names == {model.name for model in AIRCRAFT_MODELS} - {"Typhoon", "Tiger Moth"}
    one = scene(3, 7, choose_aircraft("Zero"))
    assert AIRCRAFT_MODELS[one.aircraft].name == "Zero"
    assert (one.unix_s, one.look) == (scene(3, 7).unix_s, scene(3, 7).look)


@pytest.mark.parametrize(
    ("only", "without", "told"),
    [
        ("F-16,Spitfire", "", "no aircraft 'Spitfire'. There are A320,"),
        ("F-16", "f-16", "No aircraft is left"),
    ],
)
def test_an_aircraft_that_is_not_there_names_those_that_are(
    only: str, without: str, told: str
) -> None:
    with pytest.raises(UserError, match=re.escape(told)):
        choose_aircraft(only, without)


def test_the_sun_stands_where_the_worked_example_of_nrel_has_it() -> None:
    # Reda and Andreas, Solar Position Algorithm, NREL/TP-560-34302 (2008), table A5.1: Golden,
    # Colorado, 17 October 2003, 12:30:30 at UTC-7. Its zenith angle holds 0.013 deg of refraction.
    when = calendar.timegm((2003, 10, 17, 19, 30, 30))
    sun = sun_direction(when, 39.742476, -105.1786)
    assert sun.azimuth == pytest.approx(194.34024, abs=0.02)
    assert 90 - sun.elevation == pytest.approx(50.11162, abs=0.03)


def test_the_aircraft_of_the_game_are_those_of_the_scenes() -> None:
    root = ElementTree.parse(DOCS / "flightgear/aircraft/unclip/unclip.xml").getroot()
    shown = [int(value.text or "") for value in root.iter("value")]
    assert shown == list(range(len(AIRCRAFT_MODELS)))


def test_the_page_and_the_message_start_the_game_alike() -> None:
    page = (DOCS / "flightgear.md").read_text(encoding="utf-8")
    for flag in START.format(port=5480).split()[1:]:
        assert flag in page

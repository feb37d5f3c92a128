"""Light sweeps of a game that is played by real keys on a real display."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.painted import PaintedWindow, PlayedWindow, noise, press
from helpers.processes import Thread
from helpers.screens import check_whole
from helpers.waiting import SOON_S, soon

from capture.control.channel import send_command
from capture.control.endpoints import read_endpoint
from capture.control.hotkeys import stop_listener
from capture.options import CaptureOptions, SweepOptions
from capture.status import Summary
from capture.sweep import key_presser
from capture.sweep import sweep as module
from capture.sweep.key_presser import KeyPresser
from capture.sweep.sweep import run_sweep
from dataset.errors import UserError
from dataset.pictures.images import Image, read_image
from dataset.sessions.manifest import read_session

SIZE = (96, 64)
DRAW_S = 0.03  # after a key, until its picture is there
WEAKER, STRONGER, NEXT, NOTHING = "]", "[", "n", "j"
SWEEP = SweepOptions(
    key=WEAKER, steps=4, settle_s=0.05, viewpoint_key=NEXT, viewpoint_settle_s=0.05, delay_s=SOON_S
)
KEYS = {  # what is pressed -> what the game takes it for
    WEAKER: WEAKER,
    "page_down": WEAKER,
    "+": WEAKER,
    "N": WEAKER,
    STRONGER: STRONGER,
    NEXT: NEXT,
}

Progress = Callable[[int, int], None]


def view(viewpoint: int, weaker: int) -> Image:
    """What the game shows after its light was made weaker this many times."""
    return np.asarray(noise(viewpoint, SIZE) * 0.8**weaker, dtype=np.uint8)


class Game:
    """Redraws its picture after each key."""

    def __init__(self) -> None:
        self.viewpoint = self.weaker = 0
        self.heard: list[str] = []
        self.window = PlayedWindow("Played", (300, 200), SIZE, self._play)
        self._draw()

    def _play(self, pressed: str) -> None:
        key = KEYS.get(pressed, "")
        self.heard.append(key)
        self.weaker += {WEAKER: 1, STRONGER: -1}.get(key, 0)
        self.viewpoint += key == NEXT
        time.sleep(DRAW_S)
        self._draw()

    def _draw(self) -> None:
        self.window.paint(view(self.viewpoint, self.weaker))


@pytest.fixture
def game(display: str, own_runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Game]:
    """A game that may be slow: a change that comes is waited for as long as it takes."""
    monkeypatch.setattr(module, "LATE", SOON_S / SWEEP.settle_s)
    game = Game()
    try:
        yield game
    finally:
        game.window.close()


@pytest.fixture
def pressers(monkeypatch: pytest.MonkeyPatch) -> list[KeyPresser]:
    """What pressed the keys of the sweeps so far."""
    made: list[KeyPresser] = []

    def make() -> KeyPresser:
        made.append(KeyPresser())
        return made[-1]

    monkeypatch.setattr(module, "_presser", make)
    return made


def sweep(on_progress: Progress = lambda done, total: None, **changed: Any) -> Summary:
    options = CaptureOptions(window="Played", session="s", disk_floor_bytes=0)
    return run_sweep(options, replace(SWEEP, **changed), on_progress)


def at(moment: int, action: Callable[[], object]) -> Progress:
    """Do something when this many frames are taken."""

    def look(done: int, total: int) -> None:
        if done == moment:
            action()

    return look


def pictures(summary: Summary) -> list[Image]:
    return [read_image(summary.session / each.file) for each in check_whole(summary.session)]


def test_a_sweep_takes_every_viewpoint_under_every_light(game: Game) -> None:
    summary = sweep(viewpoints=3)
    frames = check_whole(summary.session)
    assert [each.viewpoint for each in frames] == [f"v{n:05d}" for n in (0, 1, 2) for _ in range(4)]
    assert [each.light for each in frames] == [f"step {n}" for n in range(4)] * 3
    assert all(each.snap for each in frames)
    for number, picture in enumerate(pictures(summary)):  # the light goes on getting weaker
        viewpoint, step = divmod(number, 4)
        assert np.array_equal(picture, view(viewpoint, 3 * viewpoint + step))
    assert summary.reason == read_session(summary.session)["reason"] == "3 viewpoints"
    assert game.heard == [WEAKER] * 3 + ([NEXT] + [WEAKER] * 3) * 2


def test_the_back_key_returns_the_light(game: Game) -> None:
    slow = {"settle_s": 1.0, "viewpoint_settle_s": 0.05}  # that of the last of several presses
    found = pictures(sweep(viewpoints=2, steps=3, taps=2, back_key=STRONGER, **slow))
    wanted = [view(viewpoint, 2 * step) for viewpoint in (0, 1) for step in range(3)]
    assert all(map(np.array_equal, found, wanted))
    assert game.heard.count(STRONGER) == 4


@pytest.mark.parametrize("key", ["<page_down>", "+", "<shift>+n"])
def test_keys_that_are_no_plain_character_are_pressed_and_not_taken_for_the_users(
    game: Game, key: str
) -> None:
    summary = sweep(steps=2, key=key)
    assert summary.reason == "1 viewpoints"
    assert not np.array_equal(*pictures(summary))


def test_any_key_of_the_user_ends_it_with_all_frames_whole(
    game: Game, pressers: list[KeyPresser]
) -> None:
    def interfere() -> None:
        press("k")
        soon(pressers[0].user_key)

    summary = sweep(at(3, interfere), viewpoints=3)
    assert summary.reason == "ended by the user's key k"
    assert len(check_whole(summary.session)) == 3


def test_keys_that_bring_the_game_to_the_front_do_not_end_it(
    game: Game, pressers: list[KeyPresser], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = module._wait_for_game

    def bring(*about: Any) -> None:
        game.window.focus()
        press("k")
        soon(pressers[0].user_key)
        wait(*about)

    monkeypatch.setattr(module, "_wait_for_game", bring)
    options = CaptureOptions(region=(300, 200, *SIZE), session="s", disk_floor_bytes=0)
    summary = run_sweep(options, replace(SWEEP, steps=2, delay_s=0.1))
    assert summary.reason == "1 viewpoints"
    assert game.heard == ["", WEAKER]


def test_a_key_that_changes_nothing_is_named(game: Game, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE", 4)
    with pytest.raises(UserError, match=r"'j' changed nothing in the picture: .* for the light"):
        sweep(key=NOTHING, steps=2)
    assert len(check_whole(Path("captures/s"))) == 1
    assert "'j' changed nothing" in read_session(Path("captures/s"))["reason"]


def test_a_viewpoint_key_that_changes_nothing_is_named(
    game: Game, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LATE", 4)
    with pytest.raises(UserError, match=r"'j' changed nothing .* for the next viewpoint"):
        sweep(viewpoint_key=NOTHING, steps=1, viewpoints=2)
    assert len(check_whole(Path("captures/s"))) == 1


def test_a_game_that_loses_the_keyboard_ends_it(game: Game) -> None:
    with PaintedWindow("Other", place=(700, 500)) as other:
        summary = sweep(at(2, other.focus))
    assert summary.reason == 'the window "Played" lost the keyboard'
    assert len(check_whole(summary.session)) == 2


def test_a_client_can_stop_it(game: Game) -> None:
    def stop() -> None:
        place = read_endpoint(Path("captures"))
        assert place is not None
        send_command(place, "stop")

    client = Thread(target=stop)
    summary = sweep(at(2, client.start), viewpoints=1000)
    client.join()
    assert summary.reason == "stopped by control"
    assert 2 <= len(check_whole(summary.session)) < 4000


def test_own_presses_that_are_heard_late_are_not_taken_for_the_users(
    display: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(key_presser, "now_s", lambda: now_s)
    with KeyPresser() as presser:
        stop_listener(presser._listener)  # it hears when the test says so
        [key] = presser.parse(WEAKER)
        for late_s, user in ((5.0, None), (20.0, WEAKER)):
            presser.tap([key])
            presser._tapping = 0
            now_s += late_s
            presser._hear(key)
            assert presser.user_key() == user


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_a_closed_terminal_ends_it_with_all_frames_whole(game: Game) -> None:
    summary = sweep(at(2, lambda: os.kill(os.getpid(), signal.SIGHUP)), viewpoints=3)
    assert summary.reason == "interrupted"
    assert read_session(summary.session)["state"] == "ended"
    assert len(check_whole(summary.session)) == 2


def test_a_bar_that_nobody_sees_ends_no_sweep(game: Game) -> None:
    def closed(done: int, total: int) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    assert len(check_whole(sweep(closed).session)) == 4


def test_a_text_that_cannot_be_written_down_is_refused(game: Game) -> None:
    with pytest.raises(UserError, match="--host is too long, or has control characters"):
        sweep(host="\udcb3\udcb7")


def test_a_limit_ends_it(game: Game) -> None:
    options = CaptureOptions(window="Played", session="s", disk_floor_bytes=0, max_frames=3)
    summary = run_sweep(options, replace(SWEEP, viewpoints=3))
    assert summary.reason == "3 frames taken"
    assert len(check_whole(summary.session)) == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"key": None}, "--key"),
        ({"viewpoint_key": None, "viewpoints": 2}, "--viewpoint-key"),
        ({"key": "nonsense"}, "'nonsense' is not a key"),
        ({"steps": 0}, "--steps"),
        ({"aircraft": "F-16"}, "are for --driver flightgear"),
        ({"without": "F-16"}, "are for --driver flightgear"),
        ({"driver": "flightgear", "aircraft": "Spitfire"}, "no aircraft 'Spitfire'"),
    ],
)
def test_what_is_missing_or_wrong_is_named(game: Game, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        sweep(**changed)
    assert game.heard == []
    assert not Path("captures/s").exists()

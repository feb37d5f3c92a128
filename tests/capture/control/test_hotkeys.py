"""Real key presses become commands, and only those meant for the recorder."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator

import pytest
from helpers.painted import held_down, press
from helpers.waiting import SOON_S

import capture.control.hotkeys as hotkeys_module
from capture.commands import CommandQueue
from capture.control.hotkeys import Hotkeys
from capture.control.keys import keys_of
from capture.options import CaptureOptions
from dataset.errors import UserError

Heard = tuple[Hotkeys, CommandQueue]


@pytest.fixture
def heard(display: str) -> Iterator[Heard]:
    commands: CommandQueue = queue.SimpleQueue()
    with Hotkeys(commands, keys_of(CaptureOptions())) as hotkeys:
        yield hotkeys, commands


def drain(commands: CommandQueue) -> list[str]:
    """All commands until now: those before that of a last key."""
    press("ctrl+F8")
    found: list[str] = []
    while found[-1:] != ["undo"]:
        command = commands.get(timeout=SOON_S)
        found.append(" ".join(filter(None, (command.name, command.value))))
    return found[:-1]


def test_every_key_becomes_its_command(heard: Heard) -> None:
    press("F9", "F10", "F7", "F8", "F6", "ctrl+F12")
    assert drain(heard[1]) == ["toggle", "snap", "label X", "label Y", "light-step", "stop"]
    assert len(keys_of(CaptureOptions())) == 7  # with that of `drain`


@pytest.mark.parametrize("modifier", ["ctrl", "shift", "alt", "super", "ctrl+shift"])
def test_an_extra_modifier_does_not_match(heard: Heard, modifier: str) -> None:
    press(f"{modifier}+F9", "F12")
    assert drain(heard[1]) == []
    press("F9")
    assert drain(heard[1]) == ["toggle"]


def test_a_key_held_down_toggles_once(heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotkeys_module, "REPEAT_S", 5.0)  # the two may be heard long apart
    with held_down("F9"):
        time.sleep(1.0)
    assert drain(heard[1]) == ["toggle"]


@pytest.mark.parametrize(("apart_s", "times"), [(0.0, 1), (0.03, 1), (0.05, 11)])
def test_auto_repeat_sent_as_release_and_press_toggles_once(
    heard: Heard, apart_s: float, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hotkeys, commands = heard
    now_s = hotkeys._heard
    monkeypatch.setattr(hotkeys_module, "now_s", lambda: now_s)
    key = hotkeys._keyboard.Key.f9
    hotkeys._press(key)
    for _ in range(10):
        now_s += 0.03
        hotkeys._release(key)
        now_s += apart_s
        hotkeys._press(key)
    hotkeys._release(key)
    assert drain(commands) == ["toggle"] * times


def test_other_keys_held_by_the_player_do_not_matter(heard: Heard) -> None:
    with held_down("w"):
        press("F9")
    assert drain(heard[1]) == ["toggle"]


def test_a_dead_listener_is_seen_and_brought_back(heard: Heard) -> None:
    hotkeys, commands = heard
    assert hotkeys.alive
    hotkeys._listener.stop()
    hotkeys._listener._queue.get(timeout=SOON_S)
    hotkeys._listener.join(SOON_S)
    hotkeys._tried -= 60  # as if it had been started a minute ago
    hotkeys.watch()
    assert hotkeys.alive
    press("F10")
    assert drain(commands) == ["snap"]


@pytest.mark.parametrize("key", ["<f99>", "", "<ctrl>", "a+b", "f9"])
def test_a_key_that_cannot_be_heard_is_refused(display: str, key: str) -> None:
    with pytest.raises(UserError, match="'stop'"):
        Hotkeys(queue.SimpleQueue(), {"stop": key})


def test_two_commands_cannot_share_a_key(display: str) -> None:
    with pytest.raises(UserError, match="both 'label X' and 'label Y'"):
        Hotkeys(queue.SimpleQueue(), {"label X": "<f7>", "label Y": "<F7>"})


def test_no_display_is_an_error_with_a_way_out() -> None:
    from capture.control.hotkeys import import_keyboard  # the import is what fails

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "pynput", None)
        with pytest.raises(UserError, match="cli capture --start"):
            import_keyboard()

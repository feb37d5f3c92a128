"""Global keys become commands on a queue. The only place that imports pynput.

The callback runs where the operating system waits for it: it puts a token on the queue and
returns. What a command means is decided elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

from capture.commands import Command, CommandQueue
from capture.options import CaptureOptions
from dataset.errors import UserError

REPEAT_S = 0.04  # X11 sends auto-repeat as release and press: no finger is that quick
FORGET_S = 30.0  # a lock screen swallows releases: after so long a silence no key counts as held
LISTENER_RETRY_S = 10.0  # between two attempts to bring a dead listener back
LISTENER_END_S = 2.0  # longest wait for the listener's thread to end
READY_S = 5.0  # longest wait for the listener to hook the keyboard


def keys_of(options: CaptureOptions) -> dict[str, str]:
    """Command, with its value if it has one, -> key in pynput's notation."""
    return {
        "toggle": options.key_record,
        "snap": options.key_snap,
        "label X": options.key_x,
        "label Y": options.key_y,
        "undo": options.key_undo,
        "light-step": options.key_light,
        "stop": options.key_stop,
    }


class Hotkeys:
    """Listens to the keyboard of the whole desktop while entered.

    Parameters
    ----------
    commands : queue of Command
        Where the command of each pressed key is put, once for one press.
    keys : mapping
        Command -> key in pynput's notation.

    Raises
    ------
    UserError
        A key cannot be parsed, two commands share one, or the keyboard cannot be listened to.
    """

    def __init__(self, commands: CommandQueue, keys: Mapping[str, str]) -> None:
        self._commands = commands
        self._keyboard = import_keyboard()
        self._modifiers = set(self._keyboard._NORMAL_MODIFIERS.values())
        self._chords = _parse_keys(keys, self._keyboard.HotKey.parse, self._modifiers)
        self._listener: Any = None
        self._tried = 0.0  # when it was last started
        self._canonical: Callable[[Any], Any] = lambda key: key
        self._forget()

    def __enter__(self) -> Hotkeys:
        self.restart()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether keys are heard. The listener may die with a lock screen or the X server."""
        return self._listener is not None and self._listener.running and self._listener.is_alive()

    def restart(self) -> None:
        """Listen with a new listener; ``UserError`` where that cannot be done."""
        self.close()
        self._forget()
        self._tried = time.monotonic()
        self._listener = self._keyboard.Listener(on_press=self._press, on_release=self._release)
        self._canonical = self._listener.canonical
        self._listener.start()
        # pynput's own wait() would never return for a listener that died before it was ready.
        ready = threading.Thread(target=self._listener.wait, daemon=True)
        ready.start()
        deadline = time.monotonic() + READY_S
        while ready.is_alive() and self._listener.is_alive() and time.monotonic() < deadline:
            ready.join(0.02)
        if ready.is_alive():
            raise UserError(
                "The global keys cannot be heard: the keyboard listener did not start. Record "
                "with `cli capture --start` instead.",
                1,
            )

    def watch(self) -> None:
        """Start a dead listener again, at most once in `LISTENER_RETRY_S`; call it now and then."""
        if self.alive or time.monotonic() - self._tried < LISTENER_RETRY_S:
            return
        with suppress(UserError):  # the desktop is still away: recording goes on without keys
            self.restart()

    def close(self) -> None:
        """Stop listening. May be called twice."""
        listener, self._listener = self._listener, None
        if listener is not None and listener.is_alive():
            stop_listener(listener)

    def _forget(self) -> None:
        self._held: set[Any] = set()
        self._released: dict[Any, float] = {}
        self._heard = time.monotonic()

    def _press(self, key: Any) -> None:
        key, now = self._hear(key)
        if key in self._held:
            return
        self._held.add(key)
        if key in self._modifiers or now - self._released.get(key, -1.0) < REPEAT_S:
            return
        text = self._chords.get(frozenset({key} | (self._held & self._modifiers)))
        if text is not None:
            name, _, value = text.partition(" ")
            self._commands.put(Command(name, value or None, by="key"))

    def _release(self, key: Any) -> None:
        key, now = self._hear(key)
        self._held.discard(key)
        self._released[key] = now

    def _hear(self, key: Any) -> tuple[Any, float]:
        """The key in its canonical form, and now, in seconds."""
        now = time.monotonic()
        if now - self._heard > FORGET_S:
            self._held.clear()
        self._heard = now
        return self._canonical(key), now


def stop_listener(listener: Any) -> None:
    """End a listener of pynput and its thread at once, also where the display went first."""
    with suppress(Exception):  # whatever the system makes of a display that is gone
        listener.stop()
    # On X11 a stopped listener would wait for one more key.
    control, context = (getattr(listener, f"_{name}", None) for name in ("display_stop", "context"))
    if control is not None and context is not None:
        with suppress(Exception):
            control.record_disable_context(context)
            control.flush()
    threading.Thread.join(listener, LISTENER_END_S)


def import_keyboard() -> ModuleType:
    """pynput's keyboard module, which connects to the display as soon as it is imported."""
    try:
        from pynput import keyboard
    except ImportError as error:
        raise UserError(
            "The global keys need a display that pynput can listen to, and there is none "
            f"({str(error).splitlines()[0]}). Record with `cli capture --start` instead."
        ) from error
    return keyboard  # type: ignore[no-any-return,unused-ignore]


def _parse_keys(
    keys: Mapping[str, str], parse: Callable[[str], list[Any]], modifiers: set[Any]
) -> dict[frozenset[Any], str]:
    """Set of held keys -> command."""
    chords: dict[frozenset[Any], str] = {}
    for command, text in keys.items():
        try:
            chord = frozenset(parse(text))
        except ValueError:
            chord = frozenset()
        if len(chord - modifiers) != 1:
            raise UserError(
                f"The key {text!r} for {command!r} is not one that can be listened to. Write one "
                "key, with modifiers before it if need be: `<f9>`, `<ctrl>+<f12>`, `k`."
            )
        if chord in chords:
            raise UserError(
                f"The key {text!r} stands for both {chords[chord]!r} and {command!r}. Give each "
                "command a key of its own."
            )
        chords[chord] = command
    return chords

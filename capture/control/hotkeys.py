"""Global keys become commands on a queue.

The callback runs while the operating system waits for it: it only puts a command on the queue.
pynput connects to the display when it is imported, so `import_keyboard` imports it late.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

from capture.clock import now_s
from capture.commands import Command, CommandQueue
from capture.control.keys import not_a_key, shared_key
from dataset.errors import UserError

REPEAT_S = 0.04  # X11 sends auto-repeat as release and press; no finger is that fast
FORGET_S = 30.0  # a lock screen swallows releases: after this silence no key counts as held
LISTENER_RETRY_S = 10.0  # between two attempts to restart a dead listener
LISTENER_END_S = 2.0  # longest wait for the listener's thread to end
READY_S = 5.0  # longest wait for the listener to hook the keyboard

WITHOUT_KEYS = "Record with `cli capture --start` instead."


class Hotkeys:
    """Listens to the keyboard of the whole desktop while in the context.

    Parameters
    ----------
    commands : queue of Command
        Gets the command of each pressed key, once per press.
    keys : mapping
        Command -> key in pynput's notation.

    Raises
    ------
    UserError
        A key cannot be parsed, two commands share one, or the keyboard cannot be heard.
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
        """Whether keys are heard. A lock screen or the X server may end the listener."""
        return self._listener is not None and self._listener.running and self._listener.is_alive()

    def restart(self) -> None:
        """Start a new listener; ``UserError`` if that fails."""
        self.close()
        self._forget()
        self._tried = now_s()
        self._listener = self._keyboard.Listener(on_press=self._press, on_release=self._release)
        self._canonical = self._listener.canonical
        self._listener.start()
        # pynput's own wait() would never return for a listener that died before it was ready.
        ready = threading.Thread(target=self._listener.wait, daemon=True)
        ready.start()
        deadline = now_s() + READY_S
        while ready.is_alive() and self._listener.is_alive() and now_s() < deadline:
            ready.join(0.02)
        if ready.is_alive():
            raise UserError(
                "The global keys cannot be heard: the keyboard listener did not start.",
                1,
                remedy=WITHOUT_KEYS,
            )

    def watch(self) -> None:
        """Restart a dead listener, at most every `LISTENER_RETRY_S`; call it now and then."""
        if self.alive or now_s() - self._tried < LISTENER_RETRY_S:
            return
        with suppress(UserError):  # the desktop is still gone: recording goes on without keys
            self.restart()

    def news(self) -> str | None:
        """None: what these keys are, everybody knows."""

    def close(self) -> None:
        """Stop listening. May be called twice."""
        listener, self._listener = self._listener, None
        if listener is not None and listener.is_alive():
            stop_listener(listener)

    def _forget(self) -> None:
        self._held: set[Any] = set()
        self._released: dict[Any, float] = {}
        self._heard = now_s()

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
        """The key in its canonical form, and the time in seconds."""
        now = now_s()
        if now - self._heard > FORGET_S:
            self._held.clear()
        self._heard = now
        return self._canonical(key), now


def stop_listener(listener: Any) -> None:
    """End a listener of pynput and its thread at once, even if the display is gone."""
    with suppress(Exception):  # of any kind, if the display is gone
        listener.stop()
    # On X11 a stopped listener would wait for one more key.
    control, context = (getattr(listener, f"_{name}", None) for name in ("display_stop", "context"))
    if control is not None and context is not None:
        with suppress(Exception):
            control.record_disable_context(context)
            control.flush()
    threading.Thread.join(listener, LISTENER_END_S)


def import_keyboard() -> ModuleType:
    """pynput's keyboard module; ``UserError`` without a display that it can connect to."""
    try:
        from pynput import keyboard
    except ImportError as error:
        raise UserError(
            "The global keys need a display that pynput can listen to, and there is none "
            f"({str(error).splitlines()[0]}).",
            remedy=WITHOUT_KEYS,
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
            raise not_a_key(text, command)
        if chord in chords:
            raise shared_key(text, chords[chord], command)
        chords[chord] = command
    return chords

"""Presses the game's own keys, and notices when the user presses one.

The game gets ordinary key events, as from a keyboard; nothing is injected into it. On X11 they go
through XTEST: pynput would send characters straight to the window, marked as synthetic, and many
games ignore such events.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from capture.clock import now_s
from capture.control.hotkeys import import_keyboard, stop_listener
from dataset.errors import UserError

HOLD_S = 0.05  # how long a key is down: games read the keyboard once per frame
GAP_S = 0.05  # between two presses
ECHO_S = 10.0  # our own presses reach the listener within this time, while a game loads, too
SHIFT_MASK = 1  # of X11: the character needs Shift


class KeyPresser:
    """Presses keys, and listens to the keyboard while in the context.

    Raises
    ------
    UserError
        There is no keyboard that can be pressed.
    """

    def __init__(self) -> None:
        self._keyboard = import_keyboard()
        self._controller: Any = self._keyboard.Controller()
        self._expected: Counter[Any] = Counter()  # our presses that the listener has not heard yet
        self._sent_s = 0.0
        self._lock = threading.Lock()
        self._pressed: str | None = None
        self._tapping = 0  # the thread that taps
        self._listener: Any = self._keyboard.Listener(on_press=self._hear)

    def __enter__(self) -> KeyPresser:
        self._listener.start()
        self._listener.wait()
        return self

    def __exit__(self, *_: object) -> None:
        stop_listener(self._listener)
        # pynput would close it when it is garbage-collected, perhaps after the display.
        connection = vars(self._controller).pop("_display", None)
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def parse(self, text: str) -> list[Any]:
        """The keys of ``]``, ``n``, ``<f5>`` or ``<ctrl>+k``; ``UserError`` for anything else."""
        try:
            parsed = self._keyboard.HotKey.parse(text)
        except ValueError:
            raise not_pressable(text) from None
        return [each for key in parsed for each in self._typed(key)]

    def tap(self, keys: list[Any], times: int = 1) -> None:
        """Press and release keys together, ``times`` times.

        Raises
        ------
        UserError
            The system rejects the key, or the display is gone.
        """
        self._tapping = threading.get_ident()
        for _ in range(times):
            with self._lock:
                self._expected.update(self._canonical(key) for key in keys)
                self._sent_s = now_s()
            try:
                self._press_and_release(keys)
            except Exception as error:  # of a kind that depends on the system
                raise UserError(f"The game's key could not be pressed: {error}", 1) from error
            time.sleep(GAP_S)

    def user_key(self) -> str | None:
        """The key that the user pressed, or None."""
        return self._pressed

    def forget(self) -> None:
        """Ignore what the user pressed until now."""
        self._pressed = None

    def _typed(self, key: Any) -> list[Any]:
        """On X11, the keys that type a character; anything else as it is."""
        mapping = getattr(self._controller, "keyboard_mapping", None)
        char = getattr(key, "char", None)
        if mapping is None or char is None:
            return [key]
        number = self._controller._key_to_keysym(key)
        shift = mapping.get(number, (0, None))[1]
        if shift not in (0, SHIFT_MASK):  # not on this keyboard: pynput remaps a key
            return [key]
        pressed = self._keyboard.KeyCode.from_char(char, vk=number)
        return [self._keyboard.Key.shift, pressed] if shift else [pressed]

    def _press_and_release(self, keys: list[Any]) -> None:
        for key in keys:
            self._controller.press(key)
        time.sleep(HOLD_S)
        for key in reversed(keys):
            self._controller.release(key)

    def _hear(self, key: Any) -> None:
        if threading.get_ident() == self._tapping:
            return  # pynput reports its own presses at once, and X11 reports them again
        key = self._canonical(key)
        with self._lock:
            if now_s() - self._sent_s > ECHO_S:
                self._expected.clear()
            if self._expected[key] > 0:
                self._expected[key] -= 1
            elif self._pressed is None:
                self._pressed = str(key).strip("'")

    def _canonical(self, key: Any) -> Any:
        return self._listener.canonical(key)


def not_pressable(text: str) -> UserError:
    """The error of a key that is none."""
    return UserError(
        f"{text!r} is not a key that can be pressed. Write it as `]`, `n`, `<f5>`, `<page_up>` or "
        "`<ctrl>+k`."
    )

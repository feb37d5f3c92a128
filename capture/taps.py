"""Presses the game's own keys, and notices when the user presses one. Imports pynput.

Only ordinary key events go out, as from a keyboard: nothing is put into the game.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from capture.hotkeys import import_keyboard
from dataset.errors import UserError

HOLD_S = 0.05  # how long a key is down: games look at the keyboard once a picture
GAP_S = 0.05  # between two presses
ECHO_S = 1.0  # our own presses come back to the listener within this


class Taps:
    """A keyboard that can be pressed and is listened to while entered.

    Raises
    ------
    UserError
        There is no keyboard that could be pressed.
    """

    def __init__(self) -> None:
        self._keyboard = import_keyboard()
        self._controller = self._keyboard.Controller()
        self._expected: Counter[Any] = Counter()  # our presses that did not come back yet
        self._sent_s = 0.0
        self._lock = threading.Lock()
        self._pressed: str | None = None
        self._listener: Any = self._keyboard.Listener(on_press=self._hear)

    def __enter__(self) -> Taps:
        self._listener.start()
        self._listener.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()

    def parse(self, text: str) -> list[Any]:
        """The keys of ``]``, ``n``, ``<f5>`` or ``<ctrl>+k``; ``UserError`` if it is none."""
        try:
            return list(self._keyboard.HotKey.parse(text))
        except ValueError:
            raise UserError(
                f"{text!r} is not a key that can be pressed. Write it as `]`, `n`, `<f5>`, "
                "`<page_up>` or `<ctrl>+k`."
            ) from None

    def tap(self, keys: list[Any], times: int = 1) -> None:
        """Press and release keys together, as often as asked."""
        for _ in range(times):
            with self._lock:
                self._expected.update(self._canonical(key) for key in keys)
                self._sent_s = time.monotonic()
            for key in keys:
                self._controller.press(key)
            time.sleep(HOLD_S)
            for key in reversed(keys):
                self._controller.release(key)
            time.sleep(GAP_S)

    def user_key(self) -> str | None:
        """The key that the user pressed, if he did."""
        return self._pressed

    def _hear(self, key: Any) -> None:
        key = self._canonical(key)
        with self._lock:
            if time.monotonic() - self._sent_s > ECHO_S:
                self._expected.clear()
            if self._expected[key] > 0:
                self._expected[key] -= 1
            elif self._pressed is None:
                self._pressed = str(key).strip("'")

    def _canonical(self, key: Any) -> Any:
        return self._listener.canonical(key)

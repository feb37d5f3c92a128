"""Key presses as browsers report them under layouts other than Latin ones, and input methods."""

from __future__ import annotations

from typing import Any

LATIN = "qwertyuiopasdfghjklzxcvbnm"
PROCESS = "an open input method"
SCRIPTS = {  # what the keys of LATIN type
    "Hangul": "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴㅇㄹㅎㅗㅓㅏㅣㅋㅌㅊㅍㅠㅜㅡ",
    "Cyrillic": "йцукенгшщзфывапролдячсмить",
    "Greek": ";ςερτυθιοπασδφγηξκλζχψωβνμ",
    "full-width Latin": "".join(chr(ord(letter) + 0xFEE0) for letter in LATIN),
}
KEYBOARDS = [*SCRIPTS, PROCESS]

PRESS = """([key, code, shiftKey]) => {
  const about = { key, code, shiftKey, bubbles: true, cancelable: true };
  const target = document.activeElement ?? document.body;
  const taken = !target.dispatchEvent(new KeyboardEvent("keydown", about));
  target.dispatchEvent(new KeyboardEvent("keyup", about));
  return taken;
}"""


def press(page: Any, keyboard: str, letter: str, shift: bool = False) -> bool:
    """Press the key on which a Latin keyboard has this letter; whether the page took it."""
    typed = "Process" if keyboard == PROCESS else SCRIPTS[keyboard][LATIN.index(letter)]
    return press_key(page, typed, f"Key{letter.upper()}", shift)


def press_key(page: Any, key: str, code: str, shift: bool = False) -> bool:
    """Press a key as a browser reports it: ``event.key`` and ``event.code``."""
    return bool(page.evaluate(PRESS, [key, code, shift]))

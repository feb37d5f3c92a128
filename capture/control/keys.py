"""The keys of a recorder's commands, and how each desktop writes them.

Options have them in pynput's notation (`<ctrl>+<f12>`). pynput itself is not needed: it cannot even
be imported without a display of X11.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields

from capture.options import CaptureOptions
from dataset.errors import UserError
from dataset.own_program import own_command

KEY_FIELDS = {  # command, with its value if any -> the setting of its key
    "toggle": "key_record",
    "snap": "key_snap",
    "label X": "key_x",
    "label Y": "key_y",
    "undo": "key_undo",
    "light-step": "key_light",
    "stop": "key_stop",
}
NOTATIONS = ("shown", "gtk", "sway", "portal")
MODIFIERS = {  # pynput's name -> X keysym, then as each of NOTATIONS has it
    "ctrl": (0xFFE3, "Ctrl+", "<Control>", "Ctrl+", "CTRL+"),
    "alt": (0xFFE9, "Alt+", "<Alt>", "Mod1+", "ALT+"),
    "shift": (0xFFE1, "Shift+", "<Shift>", "Shift+", "SHIFT+"),
    "cmd": (0xFFEB, "Super+", "<Super>", "Mod4+", "LOGO+"),
}
NAMED = {  # pynput's name -> X keysym and its name
    **{f"f{n}": (0xFFBD + n, f"F{n}") for n in range(1, 21)},
    "backspace": (0xFF08, "BackSpace"),
    "tab": (0xFF09, "Tab"),
    "enter": (0xFF0D, "Return"),
    "pause": (0xFF13, "Pause"),
    "scroll_lock": (0xFF14, "Scroll_Lock"),
    "esc": (0xFF1B, "Escape"),
    "home": (0xFF50, "Home"),
    "left": (0xFF51, "Left"),
    "up": (0xFF52, "Up"),
    "right": (0xFF53, "Right"),
    "down": (0xFF54, "Down"),
    "page_up": (0xFF55, "Page_Up"),
    "page_down": (0xFF56, "Page_Down"),
    "end": (0xFF57, "End"),
    "print_screen": (0xFF61, "Print"),
    "insert": (0xFF63, "Insert"),
    "menu": (0xFF67, "Menu"),
    "num_lock": (0xFF7F, "Num_Lock"),
    "caps_lock": (0xFFE5, "Caps_Lock"),
    "delete": (0xFFFF, "Delete"),
    "space": (0x20, "space"),
}
SIGNS = " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
SIGN_NAMES = (  # of their keysyms
    "space exclam quotedbl numbersign dollar percent ampersand apostrophe parenleft parenright "
    "asterisk plus comma minus period slash colon semicolon less equal greater question at "
    "bracketleft backslash bracketright asciicircum underscore grave braceleft bar braceright "
    "asciitilde"
)
NAMES_OF_SIGNS = dict(zip(SIGNS, SIGN_NAMES.split(), strict=True))
LAST_LATIN1 = 0xFF  # up to it, a character is its own keysym
UNICODE_KEYSYM = 0x0100_0000  # added to any other character


@dataclass(frozen=True)
class Chord:
    """A key and the modifiers held with it.

    Examples
    --------
    >>> chord = parse_chord("<ctrl>+<f8>")
    >>> [chord.written(each) for each in NOTATIONS]
    ['Ctrl+F8', '<Control>F8', 'Ctrl+F8', 'CTRL+F8']
    >>> parse_chord("<cmd>+]").written("portal"), parse_chord("]").keysyms()
    ('LOGO+bracketright', [93])
    """

    modifiers: tuple[str, ...]  # of MODIFIERS, in its order
    keysym: int  # of X11
    name: str  # of that keysym

    def written(self, notation: str) -> str:
        """As one of `NOTATIONS` has it: in words, for GTK, for sway, for the desktop's portal."""
        column = 1 + NOTATIONS.index(notation)
        return "".join(str(MODIFIERS[each][column]) for each in self.modifiers) + self.name

    def keysyms(self) -> list[int]:
        """The keys to press, in order."""
        return [*(int(MODIFIERS[each][0]) for each in self.modifiers), self.keysym]


@dataclass(frozen=True)
class Shortcut:
    """A key of the desktop, and the command that it runs."""

    command: str  # of a recorder, with its value if any
    what: str  # it does
    chord: Chord
    line: str  # the command line, quoted for a shell


def wanted_shortcuts(options: CaptureOptions) -> list[Shortcut]:
    """The keys that the options name, with the commands that the desktop shall run."""
    out = [] if options.out == CaptureOptions().out else ["--out", os.path.abspath(options.out)]
    told = what_keys_do()
    return [
        Shortcut(
            command,
            told[command],
            chord,
            shlex.join(own_command("capture", *command.split(), "--notify", *out)),
        )
        for command, chord in chords_of(keys_of(options)).items()
    ]


def keys_of(options: CaptureOptions) -> dict[str, str]:
    """Command, with its value if any -> key in pynput's notation."""
    return {command: getattr(options, field) for command, field in KEY_FIELDS.items()}


def what_keys_do() -> dict[str, str]:
    """Command -> what it does, in the words of its key's option."""
    helps = {each.name: str(each.metadata["help"]) for each in fields(CaptureOptions)}
    said = {command: helps[field].removeprefix("Key: ") for command, field in KEY_FIELDS.items()}
    return {command: f"{text[0].upper()}{text[1:]}".rstrip(".") for command, text in said.items()}


def parse_chord(text: str) -> Chord:
    """A key in pynput's notation; ``ValueError`` where it is none that a desktop can have."""
    parts = _parts(text)
    names = [_name(each) for each in parts]
    modifiers = {each for each in names if each in MODIFIERS}
    if len(names) - len(modifiers) != 1 or names[-1] in MODIFIERS:
        raise ValueError(text)
    ordered = tuple(each for each in MODIFIERS if each in modifiers)
    if names[-1] in NAMED and len(parts[-1]) > 1:
        return Chord(ordered, *NAMED[names[-1]])
    return Chord(ordered, *_character(parts[-1]))


def chords_of(keys: Mapping[str, str]) -> dict[str, Chord]:
    """Command -> its key.

    Raises
    ------
    UserError
        A key cannot be parsed, or two commands share one.
    """
    chords: dict[str, Chord] = {}
    for command, text in keys.items():
        try:
            chord = parse_chord(text)
        except ValueError:
            raise not_a_key(text, command) from None
        other = next((each for each, taken in chords.items() if taken == chord), None)
        if other is not None:
            raise shared_key(text, other, command)
        chords[command] = chord
    return chords


def taken_key(shortcut: Shortcut, by: str) -> UserError:
    """The error of a key that the desktop uses for something else."""
    option = KEY_FIELDS[shortcut.command].replace("_", "-")
    return UserError(
        f"The key {shortcut.chord.written('shown')} is taken already: {by}.",
        remedy=f"Choose another one, such as `--{option} '<cmd>+<f9>'`. Nothing was changed.",
    )


def not_a_key(text: str, command: str) -> UserError:
    """The error of a key that cannot be heard."""
    return UserError(
        f"The key {text!r} for {command!r} is not a key that can be heard.",
        remedy="Write one key, after modifiers if any: `<f9>`, `<ctrl>+<f12>`, `k`.",
    )


def shared_key(text: str, first: str, second: str) -> UserError:
    """The error of a key that two commands have."""
    return UserError(
        f"The key {text!r} stands for both {first!r} and {second!r}.",
        remedy="Give each command a key of its own.",
    )


def _parts(text: str) -> list[str]:
    """What stands between plus signs; a plus sign where a part begins is that key."""
    parts, start = [], 0
    for at, each in enumerate(text):
        if each == "+" and at != start:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def _name(part: str) -> str:
    """pynput's name of a key in angle brackets, left and right ones as one; "" for a character."""
    if len(part) == 1:
        return ""
    name = part[1:-1].lower()
    if part != f"<{part[1:-1]}>" or name.removesuffix("_l").removesuffix("_r") not in {
        *MODIFIERS,
        *NAMED,
    }:
        raise ValueError(part)
    return name if name in NAMED else name.removesuffix("_l").removesuffix("_r")


def _character(char: str) -> tuple[int, str]:
    """The keysym of a character and its name; letters are small ones."""
    char = char.lower()
    code = ord(char)
    if char.isalnum() and char.isascii():
        return code, char
    if not char.isprintable():
        raise ValueError(char)
    keysym = code if code <= LAST_LATIN1 else UNICODE_KEYSYM + code
    return keysym, NAMES_OF_SIGNS.get(char, f"U{code:04X}")

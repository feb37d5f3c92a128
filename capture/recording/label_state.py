"""What the player says of the frames to come: their label and their light. Takes no frames."""

from __future__ import annotations

from dataclasses import dataclass

STEP = "step "  # what the light key writes, with a number behind it


@dataclass(frozen=True)
class Undone:
    """Frames that lose the label which a key gave them."""

    first: int  # index of the first of them
    end: int  # index after the last
    label: str | None  # what they are instead


class LabelState:
    """The label and the light that frames get now, and how the labels came about."""

    def __init__(self, label: str | None = None) -> None:
        self.label = label
        self.light: str | None = None
        self._before: list[tuple[int, str | None]] = []  # first frame since, label until then

    def mark(self, label: str, next_index: int) -> None:
        """Frames from ``next_index`` on are X or Y; the same label again takes it away."""
        self._before.append((next_index, self.label))
        self.label = None if label == self.label else label

    def undo(self, next_index: int) -> Undone | None:
        """Take the last mark back; which frames it had reached. None: there is none left."""
        if not self._before:
            return None
        first, self.label = self._before.pop()
        return Undone(first, next_index, self.label)

    def step_light(self) -> str:
        """The light was moved once more: count its steps; what frames get from now on."""
        number = self.light.removeprefix(STEP) if self.light else "0"
        self.light = f"{STEP}{int(number) + 1 if number.isdecimal() else 1}"
        return self.light

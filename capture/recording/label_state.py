"""The label and the light that the player gives to the coming frames. Takes no frames."""

from __future__ import annotations

from dataclasses import dataclass

STEP = "step "  # what the light key writes, followed by a number


@dataclass(frozen=True)
class Undone:
    """Frames that lose the label that a key gave them."""

    first: int  # index of the first of them
    end: int  # index after the last
    label: str | None  # the label that they have instead


class LabelState:
    """The label and the light that frames get now, and the labels before, for undo."""

    def __init__(self, label: str | None = None) -> None:
        self.label = label
        self.light: str | None = None
        self._before: list[tuple[int, str | None]] = []  # first frame, label before

    def mark(self, label: str, next_index: int) -> None:
        """Frames from ``next_index`` on are X or Y; the same label again takes it away."""
        self._before.append((next_index, self.label))
        self.label = None if label == self.label else label

    def undo(self, next_index: int) -> Undone | None:
        """Take back the last label; the frames that had it. None: there is nothing to undo."""
        if not self._before:
            return None
        first, self.label = self._before.pop()
        return Undone(first, next_index, self.label)

    def step_light(self) -> str:
        """Count one more step of the light; the light of the frames from now on."""
        number = self.light.removeprefix(STEP) if self.light else "0"
        self.light = f"{STEP}{int(number) + 1 if number.isdecimal() else 1}"
        return self.light

"""Notices when a run goes wrong, and says what to do: D that wins or is blind, starvation, NaN.

Pure bookkeeping on the values of the log, line by line. A state counts once it has lasted, is told
once, and may be told again when it has gone in between. Nothing is stopped or changed here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOSSES = ("D_X", "D_Y", "G", "F", "cycle_X", "cycle_Y", "identity")
BLIND_LOSS = 2 * math.log(2)  # of a discriminator by equations (2) and (3) that cannot tell
STUDENT = {"D_X": "F", "D_Y": "G"}  # who learns from a discriminator


@dataclass(frozen=True)
class Limits:
    """When a state is bad, when it is good again, and how long is long.

    Between bad and good a state stays what it was, so that noise does not make it flicker.
    Lines are those of the log, about 20 steps each.
    """

    collapse_loss: float = 0.05  # D is bad under this: real frames get 0.975 of 1, as a rule
    collapse_over: float = 0.15  # and good over this
    collapse_accuracy: float = 0.98  # and only where it is right so often; 0.5 is guessing
    collapse_lines: int = 25  # 500 steps; any D wins for a while
    blind_loss: float = BLIND_LOSS  # 0.25 for least squares
    blind_margin: float = 0.02  # bad so near to it, good twice as far away
    blind_accuracy: float = 0.55  # and only where it is right no oftener
    blind_lines: int = 50  # 1,000 steps: at the start every D is blind
    run_share: float = 0.05  # of the lines so far that both must have lasted, too
    starved: float = 0.3  # share of the time spent waiting for frames: bad over this
    starved_over: float = 0.15  # good under this
    starved_lines: int = 5  # 100 steps: reading ahead takes some to get going
    slow: float = 0.5  # of the best rate: bad under this
    slow_over: float = 0.7  # good over this
    slow_lines: int = 10  # 200 steps: a sample grid or a checkpoint takes a moment
    best_lines: int = 3  # a rate counts as reached once so many lines in a row had it


@dataclass
class State:
    """One thing that can go wrong: a count of lines that rises and, twice as quickly, falls."""

    held: int = 0
    since: int = 0  # step before the first of them
    told: bool = False

    def update(self, bad: bool, good: bool, lines: int, step: int) -> bool:
        """Take one line; True when it has lasted so many lines and was not told yet."""
        if bad:
            self.since = step if self.held == 0 else self.since
            self.held = min(self.held + 1, lines)
        elif good:
            self.held = max(self.held - 2, 0)
        self.told = self.told and self.held > 0
        news = self.held >= lines and not self.told
        self.told = self.told or news
        return news


class Watch:
    """Looks at each line of one run's log.

    Parameters
    ----------
    limits : Limits
        What counts as bad, and for how long.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lines = self._last_step = 0
        self._collapse = {name: State() for name in STUDENT}
        self._blind = {name: State() for name in STUDENT}
        self._starved, self._slow = State(), State()
        self._rates: deque[float] = deque(maxlen=self.limits.best_lines)
        self._best = 0.0  # pairs a second

    def check(self, epoch: int, step: int, values: Mapping[str, float]) -> list[str]:
        """What is newly wrong, in sentences for the user; as a rule nothing.

        Parameters
        ----------
        epoch, step : int
            Where the run stands.
        values : mapping
            ``D_X``, ``D_Y``, ``accuracy_X``, ``accuracy_Y``, ``waited`` (0..1) and
            ``pairs_per_s``. What is missing or not a number is passed over.
        """
        self._lines += 1
        found = [
            *self._check_collapse(step, values),
            *self._check_blind(step, values),
            *self._check_waiting(values),
            *self._check_rate(values),
        ]
        self._last_step = step
        return [f"Epoch {epoch}, step {step:,}: {text}" for text in found]

    def _check_collapse(self, step: int, values: Mapping[str, float]) -> list[str]:
        limits, news = self.limits, []
        for name, state in self._collapse.items():
            loss, accuracy = _discriminator(values, name, missing=1.0)
            bad = loss < limits.collapse_loss and accuracy > limits.collapse_accuracy
            good = loss > limits.collapse_over
            if state.update(bad, good, self._long(limits.collapse_lines), self._last_step):
                news.append(name)
        return [self._explain_collapse(news, step, values)] if news else []

    def _check_blind(self, step: int, values: Mapping[str, float]) -> list[str]:
        limits, news = self.limits, []
        for name, state in self._blind.items():
            loss, accuracy = _discriminator(values, name, missing=0.5)
            away = abs(loss - limits.blind_loss)
            bad = away < limits.blind_margin and accuracy < limits.blind_accuracy
            good = away > 2 * limits.blind_margin
            if state.update(bad, good, self._long(limits.blind_lines), self._last_step):
                news.append(name)
        return [self._explain_blind(news, step, values)] if news else []

    def _check_waiting(self, values: Mapping[str, float]) -> list[str]:
        limits, waited = self.limits, values.get("waited", math.nan)
        bad, good = waited > limits.starved, waited < limits.starved_over
        if not self._starved.update(bad, good, limits.starved_lines, self._last_step):
            return []
        return [
            f"training waits for frames {waited:.0%} of its time, so a faster processor for the "
            "networks would not help. Put the data set on a local SSD, choose a smaller "
            "--load-size, or end other programs that read the disk or use the cores."
        ]

    def _check_rate(self, values: Mapping[str, float]) -> list[str]:
        limits, rate = self.limits, values.get("pairs_per_s", math.nan)
        if math.isfinite(rate):
            self._rates.append(rate)
        if len(self._rates) == limits.best_lines:
            self._best = max(self._best, min(self._rates))
        # Whoever waits for frames is slow, too, and has been told why.
        starved = values.get("waited", 0.0) > limits.starved
        bad = rate < limits.slow * self._best and not starved
        good = rate > limits.slow_over * self._best
        if not self._slow.update(bad, good, limits.slow_lines, self._last_step):
            return []
        return [
            f"training has slowed down to {rate:.1f} pairs a second, from {self._best:.1f}. "
            "Something else uses the machine, it runs on battery, it is too hot, or its memory is "
            "full and it swaps: look at its task manager. Nothing is lost; Ctrl-C saves, and "
            "--resume goes on later."
        ]

    def _long(self, lines: int) -> int:
        return max(lines, math.ceil(self.limits.run_share * self._lines))

    def _explain_collapse(
        self, names: Sequence[str], step: int, values: Mapping[str, float]
    ) -> str:
        students = _join([STUDENT[name] for name in names])
        since = min(self._collapse[name].since for name in names)
        domains = _join([name[-1] for name in names])
        return (
            f"{_join(names)} {_have(names)} told real from generated frames almost without fault "
            f"for {step - since:,} steps ({_state_of(names, values)}), so {students} hardly "
            f"{_learn(names)} from it any more. See in samples/ whether the pictures still change. "
            "If not, try in a new run, one at a time: --discriminator-rate 0.5, --gan "
            f"least-squares, a lower --learning-rate, or more frames of {domains}: few frames are "
            "learned by heart."
        )

    def _explain_blind(self, names: Sequence[str], step: int, values: Mapping[str, float]) -> str:
        students = _join([STUDENT[name] for name in names])
        since = min(self._blind[name].since for name in names)
        return (
            f"{_join(names)} {_have(names)} not been able to tell real from generated frames for "
            f"{step - since:,} steps ({_state_of(names, values)}; {self.limits.blind_loss:.3f} is "
            f"guessing), so {students} {_learn(names)} nothing from it. Either the generated "
            "frames are as good as real ones (see samples/), or X and Y look too much alike (see "
            "report/ in the data set), or the learning rate does not suit: try "
            "--discriminator-rate 2, or another --learning-rate, in a new run."
        )


def diverged(values: Mapping[str, float]) -> str:
    """Which losses are not finite any more, and what to do; empty where all are.

    Examples
    --------
    >>> diverged({"D_X": 1.2, "G": 0.7})
    ''
    >>> diverged({"D_X": float("nan"), "G": 0.7})[:32]
    'D_X is not a finite number any m'
    """
    lost = [name for name in LOSSES if not math.isfinite(values.get(name, 0.0))]
    if not lost:
        return ""
    what = "is not a finite number" if len(lost) == 1 else "are not finite numbers"
    return (
        f"{_join(lost)} {what} any more. What was saved before is whole. Start a new run with "
        "--precision fp32 or with half the --learning-rate; options.json in the run's folder says "
        "what this one had."
    )


def _discriminator(values: Mapping[str, float], name: str, missing: float) -> tuple[float, float]:
    """Loss and accuracy of D; ``missing`` where no accuracy is measured."""
    accuracy = values.get(f"accuracy_{name[-1]}", missing)
    return values.get(name, math.nan), missing if math.isnan(accuracy) else accuracy


def _state_of(names: Sequence[str], values: Mapping[str, float]) -> str:
    """Losses, and accuracies where they are known: ``loss 0.01, right 99.8 %``."""
    losses = " and ".join(f"{values[name]:.3f}" for name in names)
    known = [values[key] for name in names if (key := f"accuracy_{name[-1]}") in values]
    right = " and ".join(f"{each:.1%}" for each in known)
    return f"loss {losses}" + (f", right {right} of the time" if known else "")


def _join(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"


def _learn(names: Sequence[str]) -> str:
    return "learns" if len(names) == 1 else "learn"

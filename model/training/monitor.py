"""Notices when a run goes wrong, and says what to do: D that wins or is blind, starvation, NaN.

Pure bookkeeping on the values of the log, line by line. A problem is reported once it has
persisted, and again only after it has cleared. Nothing is stopped or changed here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MONITORED_LOSSES = (
    *("D_X", "D_Y", "G", "F", "cycle_X", "cycle_Y", "identity"),
    *("gain", "content", "order", "match", "pairs"),  # of preset physical
)
BLIND_LOSS = 2 * math.log(2)  # of a guessing discriminator, by equations (2) and (3)
STUDENT = {"D_X": "F", "D_Y": "G"}  # the generator that learns from a discriminator


@dataclass(frozen=True)
class MonitorThresholds:
    """When a state is bad, when it is good again, and for how long it must last.

    Between bad and good a state stays as it was, so that noise does not make it flicker.
    Lines are those of the log, about 20 steps each.
    """

    collapse_loss: float = 0.05  # D is bad below this: real frames usually get 0.975 of 1
    collapse_over: float = 0.15  # and good above this
    collapse_accuracy: float = 0.98  # and only if it is right this often; 0.5 is guessing
    collapse_lines: int = 25  # 500 steps; every D wins for a while
    blind_loss: float = BLIND_LOSS  # 0.25 for least squares
    blind_margin: float = 0.02  # bad this near to it, good twice as far away
    blind_accuracy: float = 0.55  # and only if it is not right more often
    blind_lines: int = 50  # 1,000 steps: every D is blind at the start
    run_share: float = 0.05  # share of the lines so far that both must last as well
    starved: float = 0.3  # share of the time spent waiting for frames: bad above this
    starved_over: float = 0.15  # good below this
    starved_lines: int = 5  # 100 steps: reading ahead needs a few to get going
    slow: float = 0.5  # share of the best rate: bad below this
    slow_over: float = 0.7  # good above this
    slow_lines: int = 10  # 200 steps: a snapshot or a checkpoint takes a moment
    best_lines: int = 3  # lines in a row that must reach a rate for it to count


@dataclass
class State:
    """One thing that can go wrong: a count of lines that rises and, twice as fast, falls."""

    held: int = 0
    since: int = 0  # step before the first of them
    reported: bool = False

    def update(self, bad: bool, good: bool, lines: int, step: int) -> bool:
        """Take one line; True if it has lasted this many lines and was not reported yet."""
        if bad:
            self.since = step if self.held == 0 else self.since
            self.held = min(self.held + 1, lines)
        elif good:
            self.held = max(self.held - 2, 0)
        self.reported = self.reported and self.held > 0
        news = self.held >= lines and not self.reported
        self.reported = self.reported or news
        return news


class TrainingMonitor:
    """Checks each line of one run's log.

    Parameters
    ----------
    thresholds : MonitorThresholds
        What counts as bad, and for how long.
    """

    def __init__(self, thresholds: MonitorThresholds | None = None) -> None:
        self.thresholds = thresholds or MonitorThresholds()
        self._lines = self._last_step = 0
        self._collapse = {name: State() for name in STUDENT}
        self._blind = {name: State() for name in STUDENT}
        self._starved, self._slow = State(), State()
        self._rates: deque[float] = deque(maxlen=self.thresholds.best_lines)
        self._best = 0.0  # pairs per second

    def check(self, epoch: int, step: int, values: Mapping[str, float]) -> list[str]:
        """New problems, in sentences for the user; usually none.

        Parameters
        ----------
        epoch, step : int
            Where the run is.
        values : mapping
            ``D_X``, ``D_Y``, ``accuracy_X``, ``accuracy_Y``, ``waited`` (0..1) and
            ``pairs_per_s``. Missing values and NaN are ignored.
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
        thresholds, news = self.thresholds, []
        for name, state in self._collapse.items():
            loss, accuracy = _discriminator(values, name, missing=1.0)
            bad = loss < thresholds.collapse_loss and accuracy > thresholds.collapse_accuracy
            good = loss > thresholds.collapse_over
            if state.update(bad, good, self._long(thresholds.collapse_lines), self._last_step):
                news.append(name)
        return [self._explain_collapse(news, step, values)] if news else []

    def _check_blind(self, step: int, values: Mapping[str, float]) -> list[str]:
        thresholds, news = self.thresholds, []
        for name, state in self._blind.items():
            loss, accuracy = _discriminator(values, name, missing=0.5)
            away = abs(loss - thresholds.blind_loss)
            bad = away < thresholds.blind_margin and accuracy < thresholds.blind_accuracy
            good = away > 2 * thresholds.blind_margin
            if state.update(bad, good, self._long(thresholds.blind_lines), self._last_step):
                news.append(name)
        return [self._explain_blind(news, step, values)] if news else []

    def _check_waiting(self, values: Mapping[str, float]) -> list[str]:
        thresholds, waited = self.thresholds, values.get("waited", math.nan)
        bad, good = waited > thresholds.starved, waited < thresholds.starved_over
        if not self._starved.update(bad, good, thresholds.starved_lines, self._last_step):
            return []
        return [
            f"training waits for frames {waited:.0%} of its time, so a faster processor for the "
            "networks would not help. Put the data set on a local SSD, choose a smaller "
            "--load-size, or end other programs that read the disk or use the cores."
        ]

    def _check_rate(self, values: Mapping[str, float]) -> list[str]:
        thresholds, rate = self.thresholds, values.get("pairs_per_s", math.nan)
        if math.isfinite(rate):
            self._rates.append(rate)
        if len(self._rates) == thresholds.best_lines:
            self._best = max(self._best, min(self._rates))
        # A run that waits for frames is slow, too; that is reported already.
        starved = values.get("waited", 0.0) > thresholds.starved
        bad = rate < thresholds.slow * self._best and not starved
        good = rate > thresholds.slow_over * self._best
        if not self._slow.update(bad, good, thresholds.slow_lines, self._last_step):
            return []
        return [
            f"training has slowed down to {rate:.1f} pairs per second, from {self._best:.1f}. "
            "Something else uses the machine, it runs on battery, it is too hot, or its memory is "
            "full and it swaps: look at its task manager. Nothing is lost; Ctrl-C saves, and "
            "--resume continues later."
        ]

    def _long(self, lines: int) -> int:
        return max(lines, math.ceil(self.thresholds.run_share * self._lines))

    def _explain_collapse(
        self, names: Sequence[str], step: int, values: Mapping[str, float]
    ) -> str:
        students = _join([STUDENT[name] for name in names])
        since = min(self._collapse[name].since for name in names)
        domains = _join([name[-1] for name in names])
        return (
            f"{_join(names)} {_have(names)} told real from generated frames almost without error "
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
            f"{step - since:,} steps ({_state_of(names, values)}; a guess has a loss of "
            f"{self.thresholds.blind_loss:.3f}), so {students} {_learn(names)} nothing from it. "
            "Either the generated frames are as good as real ones (see samples/), or X and Y look "
            "too similar (see report/ in the data set), or the learning rate is unsuitable: try "
            "--discriminator-rate 2, or another --learning-rate, in a new run."
        )


def diverged(values: Mapping[str, float]) -> str:
    """Which losses are no longer finite, and what to do; empty if all are.

    Examples
    --------
    >>> diverged({"D_X": 1.2, "G": 0.7})
    ''
    >>> diverged({"D_X": float("nan"), "G": 0.7})[:32]
    'D_X is no longer a finite number'
    """
    lost = [name for name in MONITORED_LOSSES if not math.isfinite(values.get(name, 0.0))]
    if not lost:
        return ""
    what = "is no longer a finite number" if len(lost) == 1 else "are no longer finite numbers"
    return (
        f"{_join(lost)} {what}. Earlier checkpoints are intact. Start a new run with --precision "
        "fp32 or with half the --learning-rate; options.json in the run's folder has the settings "
        "of this one."
    )


def _discriminator(values: Mapping[str, float], name: str, missing: float) -> tuple[float, float]:
    """Loss and accuracy of D; ``missing`` if no accuracy is measured."""
    accuracy = values.get(f"accuracy_{name[-1]}", missing)
    return values.get(name, math.nan), missing if math.isnan(accuracy) else accuracy


def _state_of(names: Sequence[str], values: Mapping[str, float]) -> str:
    """Losses, and accuracies if known: ``loss 0.01, right 99.8 % of the time``."""
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

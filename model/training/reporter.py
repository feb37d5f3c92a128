"""Everything that a training run writes and reports: log, snapshots, checkpoints, warnings.

When to do which is decided here; how a step is taken and when to stop, in ``train``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from dataset.errors import UserError
from model.checkpoint import Position, keep_epoch, save_checkpoint
from model.cyclegan import decayed_rate
from model.options import TrainOptions
from model.training.autotune import Trained
from model.training.batches import Domains
from model.training.best_epoch import BestEpoch
from model.training.log import Tracker
from model.training.monitor import MonitorThresholds, TrainingMonitor, diverged
from model.training.run_folder import epochs_to_keep
from model.training.snapshots import SnapshotFrames

LOG_EVERY = 20  # steps between two lines of log.jsonl
SOMETIMES_IDLE = "F.content."  # of preset physical: learns nothing from frames that clip nowhere


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training run is, after a step."""

    epoch: int  # from 1
    epochs: int
    done: int  # steps so far, of all epochs
    total: int  # steps planned in total; 0 where time is planned
    pairs_per_s: float  # frame pairs per second since the last report
    losses: dict[str, float]  # means since the last report, by the names of its losses
    held_out: str = ""  # how well held-out frames are restored
    seconds: float = 0.0  # since this process began
    minutes: float = 0.0  # planned; 0: epochs are

    def __str__(self) -> str:
        where = f"epoch {self.epoch}/{self.epochs}"
        if self.minutes:  # how many epochs fit is known only by the end
            now = min(self.seconds / 60, self.minutes)
            where = f"{now:.1f} of {self.minutes:.1f} min, epoch {self.epoch}"
        where += f" {self.pairs_per_s:.1f} pairs/s "
        return where + self._losses() + (f" {self.held_out}" if self.held_out else "")

    def _losses(self) -> str:
        losses = self.losses
        if "gain" in losses:
            return f"log k off by {losses['gain_error']:.3f} content {losses['content']:.3f}"
        return (
            f"D {losses['D_X'] + losses['D_Y']:.2f} G {losses['G'] + losses['F']:.2f} "
            f"cycle {losses['cycle_X'] + losses['cycle_Y']:.3f}"
        )


class RunReporter:
    """Writes log, snapshots and checkpoints of a run, and reports progress and warnings.

    In a group only the main process writes; the others take part in what needs all of them.

    Parameters
    ----------
    run : Path
        The run's folder.
    options : TrainOptions
        The settings.
    model : CycleGAN or Physical
        What is trained.
    domains : Domains
        Where its batches come from.
    at : Position
        Where this process starts.
    flops : float
        Floating-point operations per step.
    on_progress, on_message : callable
        As for ``train``.
    best : BestEpoch, optional
        What chooses the best epoch; None: the last one counts. Of the main process only.
    """

    def __init__(
        self,
        run: Path,
        options: TrainOptions,
        model: Trained,
        domains: Domains,
        at: Position,
        flops: float,
        on_progress: Callable[[TrainingProgress], None] | None,
        on_message: Callable[[str], None],
        best: BestEpoch | None = None,
    ) -> None:
        self.run, self.options, self.model, self.domains = run, options, model, domains
        self.flops, self.on_progress, self.on_message = flops, on_progress, on_message
        self.is_main, self.best = model.group.is_main, best
        self.tracker = Tracker(run, at.done) if self.is_main else None
        self.snapshots = SnapshotFrames(options, model.device) if self.is_main else None
        squares = options.gan == "least-squares"
        self.monitor = TrainingMonitor(MonitorThresholds(blind_loss=0.25) if squares else None)
        self.kept = epochs_to_keep(options)
        self.begin = self.reported = self.saved = time.perf_counter()
        self.began, self.waited, self.reported_done = at, 0.0, at.done
        for part in (self.tracker, self.snapshots):
            if part is not None and part.note:
                on_message(part.note)

    def __enter__(self) -> RunReporter:
        return self

    def __exit__(self, *error: object) -> None:
        if self.tracker:
            self.tracker.close()

    @property
    def seconds(self) -> float:
        """Seconds since this process started training."""
        return time.perf_counter() - self.begin

    def epochs_here(self, at: Position) -> int:
        """Epochs of this process, including the whole current one."""
        return at.epoch - self.began.epoch + 1

    def is_late(self, at: Position) -> bool:
        """Whether ``minutes`` are over in the first epoch, which alone may not fit into them."""
        minutes = self.options.minutes
        return self.epochs_here(at) == 1 and 0 < 60 * minutes < self.seconds

    def first_step(self) -> dict[str, Tensor] | None:
        """The weights that the first step of this process must move, as they are before it.

        None if it is not that step, or if the discriminators rest in it.
        """
        if self.model.steps != self.began.done:
            return None
        if self.model.steps % self.options.discriminator_every:
            return None
        named = self.model.networks.named_parameters()
        return {
            name: value.detach().clone()
            for name, value in named
            if not name.startswith(SOMETIMES_IDLE)
        }

    def after_step(self, at: Position) -> None:
        """Log every few steps and at the end of an epoch; save a checkpoint when one is due."""
        ends = at.step == self.domains.steps_per_epoch
        if at.done % LOG_EVERY == 0 or ends:
            self.report(at)
        if ends:  # saved after the epoch's snapshot, or the log could have it twice
            return
        every = self.options.checkpoint_every
        late = time.perf_counter() - self.saved > self.options.checkpoint_minutes * 60
        if (at.done % every == 0) if every else (late and self.model.group.world_size == 1):
            self.save(at, with_networks=False)

    def after_epoch(self, at: Position) -> None:
        """Save a snapshot, the best F so far, and F for Figure 3 if it needs this epoch."""
        if self.snapshots is None or self.tracker is None:
            return
        values: dict[str, float] = {}
        if at.epoch % self.options.sample_every == 0:
            snapshot = self.snapshots.take(self.model.networks, self.model.bf16)
            self.snapshots.save(self.run, at.epoch, snapshot)
            self.tracker.picture("samples", at.done, snapshot.grid)
            values |= snapshot.values
        if self.best is not None:
            values |= self.best.after_epoch(at)
        if at.epoch in self.kept:  # F knows by now how far off its gains are
            keep_epoch(self.run, self.model, at.epoch)
        if values:
            self.tracker.write(at.epoch, at.done, values)

    def save(self, at: Position, with_networks: bool = True) -> None:
        """Write a checkpoint, unless training has diverged."""
        self._refuse_divergence(at, self.model.meter.means(self.model.group, forget=False))
        if self.is_main:
            at = replace(at, seconds=self.began.seconds + self.seconds)
            save_checkpoint(self.run, self.model, at, with_networks=with_networks)
        self.saved = time.perf_counter()

    def _refuse_divergence(self, at: Position, values: dict[str, float]) -> None:
        if self.is_main and diverged(values):
            raise UserError(
                f"Training diverged in epoch {at.epoch}, step {at.done}: {diverged(values)}", 1
            )

    def report(self, at: Position) -> None:
        """Log and report means since the last report; nothing if there was no step since."""
        values = self.model.meter.means(self.model.group)
        if not values or self.tracker is None:
            return
        now = time.perf_counter()
        took, self.reported = now - self.reported, now
        steps, self.reported_done = at.done - self.reported_done, at.done
        waited, self.waited = self.domains.waited_s - self.waited, self.domains.waited_s
        rate = steps * self.options.batch_size / took
        line = values | {
            "learning_rate": decayed_rate(replace(self.options, epochs=at.epochs), at.epoch),
            "pairs_per_s": rate,
            "tflop_per_s": steps * self.flops / took / 1e12,
            "waited": waited / took,
        }
        self.tracker.write(at.epoch, at.done, line)
        self._refuse_divergence(at, values)
        for warning in self.monitor.check(at.epoch, at.done, line):
            self.on_message(warning)
        if self.on_progress:
            total = at.epochs * self.domains.steps_per_epoch
            total = min(total, self.options.steps) if self.options.steps else total
            total = 0 if self.options.minutes else total
            self.on_progress(
                TrainingProgress(
                    *(at.epoch, at.epochs, at.done, total, rate, values, str(self.best or "")),
                    seconds=self.seconds,
                    minutes=self.options.minutes,
                )
            )

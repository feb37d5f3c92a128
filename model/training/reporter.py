"""All that a training run writes and says on its way: log, samples, checkpoints, warnings.

When to do which is decided here; how a step is taken and when to stop, in ``train``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from dataset.errors import UserError
from model.checkpoint import Position, keep_restorer, save_checkpoint
from model.cyclegan import CycleGAN, decayed_rate
from model.options import TrainOptions
from model.training.batches import Domains
from model.training.log import Tracker
from model.training.monitor import Limits, Watch, diverged
from model.training.run_folder import kept_epochs
from model.training.snapshots import Samples

LOG_EVERY = 20  # steps between two lines of log.jsonl


@dataclass(frozen=True)
class Progress:
    """Where a training run stands, after a step."""

    epoch: int  # from 1
    epochs: int
    done: int  # steps so far, of all epochs
    total: int  # steps planned in all
    pairs_per_s: float  # frame pairs a second since the last report
    losses: dict[str, float]  # means since the last report, by the names of ``cyclegan.LOSSES``

    def __str__(self) -> str:
        losses = self.losses
        return (
            f"epoch {self.epoch}/{self.epochs} {self.pairs_per_s:.1f} pairs/s "
            f"D {losses['D_X'] + losses['D_Y']:.2f} G {losses['G'] + losses['F']:.2f} "
            f"cycle {losses['cycle_X'] + losses['cycle_Y']:.3f}"
        )


class Desk:
    """All that a run writes and says: log, samples, checkpoints, progress, warnings.

    In a group only the leading process has anything to write; the others take part in what needs
    all of them.

    Parameters
    ----------
    run : Path
        The run's folder.
    options : TrainOptions
        The settings.
    model : CycleGAN
        What is trained.
    domains : Domains
        Where its batches come from.
    at : Position
        Where this process begins.
    flops : float
        Floating-point operations of a step.
    on_progress, on_message : callable
        As for ``train``.
    """

    def __init__(
        self,
        run: Path,
        options: TrainOptions,
        model: CycleGAN,
        domains: Domains,
        at: Position,
        flops: float,
        on_progress: Callable[[Progress], None] | None,
        on_message: Callable[[str], None],
    ) -> None:
        self.run, self.options, self.model, self.domains = run, options, model, domains
        self.flops, self.on_progress, self.on_message = flops, on_progress, on_message
        self.leads = model.group.leads
        self.device = next(model.parameters()).device
        self.tracker = Tracker(run, at.done) if self.leads else None
        self.samples = Samples(options, self.device) if self.leads else None
        squares = options.gan == "least-squares"
        self.watch = Watch(replace(Limits(), blind_loss=0.25) if squares else None)
        self.kept = kept_epochs(options)
        self.begin = self.reported = self.saved = time.perf_counter()
        self.began, self.waited, self.reported_done = at, 0.0, at.done
        for part in (self.tracker, self.samples):
            if part is not None and part.note:
                on_message(part.note)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *error: object) -> None:
        if self.tracker:
            self.tracker.close()

    @property
    def seconds(self) -> float:
        """Seconds since this process began to train."""
        return time.perf_counter() - self.begin

    def epochs_here(self, at: Position) -> int:
        """Epochs of this process, the present one counted whole."""
        return at.epoch - self.began.epoch + 1

    def first_step(self) -> dict[str, Tensor] | None:
        """The weights before the first step of this process that moves all four networks."""
        if self.model.steps != self.began.done:
            return None
        if self.model.steps % self.options.discriminator_every:
            return None
        return {name: value.detach().clone() for name, value in self.model.named_parameters()}

    def after_step(self, at: Position) -> None:
        """A line in the log every few steps and at the end of an epoch; a checkpoint when due."""
        ends = at.step == self.domains.steps_per_epoch
        if at.done % LOG_EVERY == 0 or ends:
            self.report(at)
        if ends:  # saved once the epoch's samples are there, or the log would name them twice
            return
        every = self.options.checkpoint_every
        late = time.perf_counter() - self.saved > self.options.checkpoint_minutes * 60
        if (at.done % every == 0) if every else (late and self.model.group.world == 1):
            self.save(at, networks=False)

    def after_epoch(self, at: Position) -> None:
        """A sample grid, and F where Figure 3 wants it."""
        if not (self.leads and self.samples and self.tracker):
            return
        if at.epoch in self.kept:
            keep_restorer(self.run, self.model, at.epoch)
        if at.epoch % self.options.sample_every == 0:
            look = self.samples.look(self.model)
            self.samples.save(self.run, at.epoch, look)
            self.tracker.write(at.epoch, at.done, look.values)
            self.tracker.picture("samples", at.done, look.grid)

    def save(self, at: Position, networks: bool = True) -> None:
        """Write a checkpoint, unless the last steps have already gone wrong."""
        self._refuse_divergence(at, self.model.losses(forget=False))
        if self.leads:
            at = replace(at, seconds=self.began.seconds + self.seconds)
            save_checkpoint(self.run, self.model, at, networks=networks)
        self.saved = time.perf_counter()

    def _refuse_divergence(self, at: Position, values: dict[str, float]) -> None:
        if self.leads and diverged(values):
            raise UserError(
                f"Training diverged in epoch {at.epoch}, step {at.done}: {diverged(values)}", 1
            )

    def report(self, at: Position) -> None:
        """Write one line of means and pass it on. Nothing if no step came since the last one."""
        values = self.model.losses()
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
        for warning in self.watch.check(at.epoch, at.done, line):
            self.on_message(warning)
        if self.on_progress:
            total = at.epochs * self.domains.steps_per_epoch
            total = min(total, self.options.steps) if self.options.steps else total
            self.on_progress(Progress(at.epoch, at.epochs, at.done, total, rate, values))

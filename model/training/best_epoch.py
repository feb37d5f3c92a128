"""The best epoch of a run: F restores held-out frames of X, and the latest of the best is kept.

The frames were put under more light, so the truth about them is known; they are the same, under
the same light, after every epoch. ``held_out`` chooses them, ``synthetic`` exposes them: of light
that differs over a picture, the PSNR follows that of true pairs more closely (docs/LOG.md). A
supervised run restores the over-exposed pictures of held-out pairs instead. What restores pictures
afterwards is the best F, not the last: of epochs within half a decibel of the highest so far the
latest, for held-out frames are few, and a rate that has decayed is good for all others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from dataset.pictures.images import Image
from model import checkpoint, formation, runs
from model.checkpoint import Position
from model.options import TrainOptions
from model.physical_networks import PhysicalRestorer, overall, small_copy
from model.supervised import true_pairs
from model.synthetic import Exposed, expose_frames
from model.training.autotune import Trained
from model.training.held_out import Trials, plan_trials, read_trials
from model.training.run_folder import read_start
from model.training.snapshots import evaluating, in_batches, middle_square

COST = 0.03  # of the time of training, at most
QUICK_S = 2.0  # what takes less is timed three times
ALIKE = 0.5  # dB: held-out frames are few, and so much of a difference says nothing
MOST_PSNR = 40.0  # dB: a frame that is left as it is must not outweigh the others


class BestEpoch:
    """Measures F by held-out frames, and keeps the networks of the best epoch.

    Parameters
    ----------
    run : Path
        The run's folder.
    options : TrainOptions
        The run's settings; ``size`` and ``network.linear`` matter here.
    model : CycleGAN or Physical
        What is trained; its EMA is measured and kept if there is one.
    x : sequence of RGB uint8 (H, W, 3)
        All frames of X.
    trials : list of (int, float)
        Which of them, and log k of the light they are put under.
    y : sequence of RGB uint8 (H, W, 3), optional
        The over-exposed pictures of the same pairs, which are restored as they are.

    Attributes
    ----------
    trials
        As given.
    every : int
        Epochs from one measurement to the next.
    psnr : float
        The last measurement, dB; NaN if there was none.
    best : BestNote or None
        The best epoch so far.
    """

    def __init__(
        self,
        run: Path,
        options: TrainOptions,
        model: Trained,
        x: Sequence[Image],
        trials: Trials,
        y: Sequence[Image] | None = None,
    ) -> None:
        self.run, self.model, self.trials = run, model, trials
        self.every, self.psnr = 1, math.nan
        made = _make_trials(options, x, trials) if y is None else _take_pairs(options, x, y, trials)
        self.wanted, self.lit = made.wanted.to(model.device), made.exposed.to(model.device)
        self.gains = made.overall_gain().to(model.device)
        self.best = runs.read_best(run)

    def __str__(self) -> str:
        if self.best is None:
            return ""
        now = "" if math.isnan(self.psnr) else f"{self.psnr:.2f} dB, "
        return f"held out {now}best {self.best.psnr:.2f} dB in epoch {self.best.epoch}"

    def measure(self) -> float:
        """Mean PSNR of what F, or its EMA, makes of the frames, dB; nothing else changes."""
        f = self.model.networks.ema_or_F
        with (
            torch.no_grad(),
            evaluating(f),
            torch.autocast(self.lit.device.type, torch.bfloat16, enabled=self.model.bf16),
        ):
            restored = in_batches(f, self.lit * 2 - 1)
            if isinstance(f, PhysicalRestorer):
                self._note_error(f)
        return mean_psnr((restored + 1) / 2, self.wanted)

    def _note_error(self, f: PhysicalRestorer) -> None:
        """Tell F how far off its gains are where it has not learned."""
        small = torch.cat([small_copy(each[None]) for each in self.lit])
        away = (overall(f.propose(small)).float() - self.gains)[self.gains > 0]
        if not len(away):  # true pairs may hold no over-exposed picture
            return
        learner = self.model.networks.F
        assert isinstance(learner, PhysicalRestorer)
        for network in (f, learner):
            network.gain_error.copy_(away.square().mean().sqrt())

    def pace(self, epoch_s: float) -> None:
        """Choose how often to measure, by how long an epoch takes."""
        took = self._time()
        if took < QUICK_S:  # the first is slower, and a busy machine makes any of them slower
            took = min(took, self._time(), self._time())
        self.every = max(1, math.ceil(took / (COST * epoch_s)))

    def _time(self) -> float:
        begin = time.perf_counter()
        self.measure()
        return time.perf_counter() - begin

    def after_epoch(self, at: Position) -> dict[str, float]:
        """Measure if it is time to, and keep the networks if they are the best so far.

        Parameters
        ----------
        at : Position
            The epoch that is complete, and the steps so far. The last of those that are planned is
            always measured; not one at which a run is stopped, or resuming would change it.

        Returns
        -------
        dict
            ``psnr_held_out``, for the log; empty if it is not time to.
        """
        if at.epoch % self.every and at.epoch < at.epochs:
            return {}
        self.psnr = self.measure()
        highest = self.psnr if self.best is None else max(self.best.highest, self.psnr)
        if math.isfinite(self.psnr) and self.psnr > highest - ALIKE:
            self.best = runs.BestNote(at.epoch, at.done, self.psnr, highest)
            checkpoint.keep_best(self.run, self.model, self.best)
        return {"psnr_held_out": self.psnr}


def _make_trials(options: TrainOptions, x: Sequence[Image], trials: Trials) -> Exposed:
    gains = torch.tensor([log_gain for _, log_gain in trials])
    return expose_frames(
        _squares(options, x, trials),
        gains,
        unchanged=gains == 0,
        linear=options.network.linear,
        random=torch.Generator().manual_seed(0),  # the same light for every run of these frames
    )


def _take_pairs(
    options: TrainOptions, x: Sequence[Image], y: Sequence[Image], trials: Trials
) -> Exposed:
    references, over_exposed = (_squares(options, each, trials) for each in (x, y))
    return true_pairs(references, over_exposed, options.network.linear)


def _squares(options: TrainOptions, frames: Sequence[Image], trials: Trials) -> Tensor:
    squares = [middle_square(frames[frame], options.size) for frame, _ in trials]
    return torch.stack(squares).float() / formation.LEVELS


def mean_psnr(restored: Tensor, wanted: Tensor) -> float:
    """Mean of each picture's PSNR, dB, of (B, 3, H, W) in [0, 1]; none counts over `MOST_PSNR`.

    Examples
    --------
    >>> grey = torch.full((2, 3, 4, 4), 0.5)
    >>> round(mean_psnr(grey + torch.tensor([0.1, 0.0])[:, None, None, None], grey), 2)
    30.0
    """
    errors = (restored.clamp(0, 1) - wanted).square().mean((1, 2, 3))
    return float((-10 * errors.log10()).clamp(max=MOST_PSNR).mean())


def open_best(
    run: Path,
    options: TrainOptions,
    model: Trained,
    x: Sequence[Image],
    y: Sequence[Image],
    held: Sequence[int],
    gain: float,
) -> BestEpoch | None:
    """What chooses the best epoch of a run, new or resumed; None if no frames are held out.

    Parameters
    ----------
    run, options, model, x
        As of `BestEpoch`.
    y : sequence of RGB uint8 (H, W, 3)
        All frames of Y; restored if they are pairs of X.
    held : sequence of int
        Places of the held-out frames.
    gain : float
        As of `plan_trials`; not used by a resumed run, which goes on as it began.

    Raises
    ------
    UserError
        What a resumed run held out cannot be read.
    """
    if not options.resume:
        checkpoint.forget_best(run)
    if not held:
        return None
    pairs = None if options.pairs is None else y
    if not options.resume:
        trials = plan_trials(held, gain) if pairs is None else [(place, 0.0) for place in held]
        return BestEpoch(run, options, model, x, trials, pairs)
    best = BestEpoch(run, options, model, x, read_trials(run, len(x)), pairs)
    best.every = max(1, read_start(run).held_out_every)
    return best


def describe_held_out(best: BestEpoch | None, held: int, frames: int, options: TrainOptions) -> str:
    """Which frames the best epoch is chosen by, or why the last one counts, in a sentence."""
    supervised = options.pairs is not None
    what = "true pairs" if supervised else "X frames"
    if best is not None:
        how = f"every {best.every} epochs" if best.every > 1 else "every epoch"
        light = "" if supervised else " from more light than they had"
        return (
            f"{held} of {frames} {what} are held out: {how} F restores them{light} "
            f"({mean_psnr(best.lit, best.wanted):.2f} dB before), and the best F is kept"
        )
    if options.held_out:
        scenes = ", or of too few scenes," if supervised else ""
        return (
            f"{frames} {what} are too few{scenes} to hold some out and choose the best epoch by "
            "them: the last one restores"
        )
    return f"no {what} are held out (--held-out), so the last epoch restores"

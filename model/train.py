"""The training loop: data in, checkpoints, log and sample grids out.

What a step does is in ``cyclegan``; what a batch holds is in ``data``; here they meet a clock,
a run folder and a user who may press Ctrl-C.
"""

from __future__ import annotations

import json
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torchvision
from torch import Tensor

from dataset.errors import UserError
from dataset.images import Image, write_png
from model.checkpoint import (
    OPTIONS_FILE,
    STATE_FILE,
    keep_restorer,
    load_checkpoint,
    newest_run,
    save_checkpoint,
    write_options,
)
from model.cyclegan import LOSSES, CycleGAN, decayed_rate
from model.data import (
    Domains,
    find_frames,
    load_frames,
    steps_per_epoch,
    to_pictures,
    to_range,
)
from model.devices import pick_device, pick_precision
from model.networks import count_parameters
from model.options import NetworkOptions, TrainOptions

LOG_EVERY = 20  # steps between two lines of log.jsonl


@dataclass(frozen=True)
class Progress:
    """Where a training run stands, after a step."""

    epoch: int  # from 1
    epochs: int
    done: int  # steps so far, of all epochs
    total: int  # steps planned in all
    pairs_per_s: float  # frame pairs a second since the start of this process
    losses: dict[str, float]  # means since the last report


@dataclass(frozen=True)
class TrainSummary:
    """What a training run left behind."""

    run: Path
    epoch: int  # the epoch that comes next
    step: int  # the step in it that comes next
    steps: int  # steps so far, of all epochs
    seconds: float  # of this process
    interrupted: bool  # stopped by a signal


class StopRequest:
    """Turns Ctrl-C and SIGTERM into a wish that the loop grants between two steps.

    A second Ctrl-C interrupts at once. Outside the main thread signals are left alone.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def train(
    options: TrainOptions,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Callable[[str], None] = lambda message: None,
) -> TrainSummary:
    """Train a CycleGAN on ``options.data``, new or resumed.

    Parameters
    ----------
    options : TrainOptions
        The settings; ``resume`` goes on with the newest checkpoint of ``options.run``.
    on_progress : callable
        Called after every ``LOG_EVERY`` steps and at the end of an epoch.
    on_message : callable
        Called with one line on what was decided: device, precision, epochs.

    Raises
    ------
    UserError
        No data, no such device, a run that exists already, or nothing to resume.
    """
    # -- where and on what ---------------------------------------------------------------------
    run = open_run(options)
    device = pick_device(options.device)
    x_paths, y_paths = (find_frames(options.data, folder) for folder in ("trainA", "trainB"))
    x, y = (load_frames(paths, options.size, options.load_size) for paths in (x_paths, y_paths))
    domains = Domains(x, y, options.size, options.batch_size, options.seed, options.flip)
    bf16, seconds_per_step = pick_precision(options, device)
    options = plan_epochs(options, domains.steps_per_epoch, min(seconds_per_step.values()))
    on_message(
        f"{len(x_paths)} X and {len(y_paths)} Y frames on {device}, "
        f"{'bf16' if bf16 else 'fp32'}, {options.epochs} epochs of "
        f"{domains.steps_per_epoch} steps, run folder {run}"
    )

    # -- the networks, new or resumed ----------------------------------------------------------
    model = CycleGAN(options, device, bf16)
    epoch, step = (1, 0)
    if options.resume:
        epoch, step = load_checkpoint(run, model, device)
        on_message(f"resuming {run} at epoch {epoch}, step {step}")
    else:
        write_options(run, options, describe_machine(device, bf16, seconds_per_step))

    # -- the loop ------------------------------------------------------------------------------
    log = TrainingLog(run, options, domains.steps_per_epoch, on_progress)
    samples = sample_batch(options, device)
    kept = kept_epochs(options)
    begin, first = time.perf_counter(), (epoch - 1) * domains.steps_per_epoch + step
    done = first
    limit = options.steps or sys.maxsize
    with StopRequest() as stop:
        while epoch <= options.epochs and done < limit and not stop.wanted:
            model.set_learning_rate(decayed_rate(options, epoch))
            while step < domains.steps_per_epoch and done < limit and not stop.wanted:
                batch = (to_range(half.to(device)) for half in domains.batch(epoch, step))
                losses = model.train_step(*batch)
                step, done = step + 1, done + 1
                log.step(epoch, done, losses)
            if step == domains.steps_per_epoch:
                if epoch in kept:
                    keep_restorer(run, model, epoch)
                if epoch % options.sample_every == 0:
                    write_samples(run, model, samples, epoch)
                options = log.options = plan_rest(options, epoch, time.perf_counter() - begin)
                epoch, step = epoch + 1, 0
                save_checkpoint(run, model, epoch, step)
    log.report()
    save_checkpoint(run, model, epoch, step)
    return TrainSummary(run, epoch, step, done, time.perf_counter() - begin, stop.wanted)


class TrainingLog:
    """Collects the losses on the device and writes their means to ``log.jsonl`` now and then."""

    def __init__(
        self,
        run: Path,
        options: TrainOptions,
        steps_per_epoch: int,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.path, self.options, self.steps_per_epoch = run / "log.jsonl", options, steps_per_epoch
        self.on_progress = on_progress
        self.waiting: list[Tensor] = []  # read together: each reading waits for the device
        self.began, self.pairs = time.perf_counter(), 0
        self.epoch = self.done = 0

    def step(self, epoch: int, done: int, losses: Tensor) -> None:
        """Take one step's losses; report when enough have come or the epoch is over."""
        self.waiting.append(losses)
        self.pairs += self.options.batch_size
        self.epoch, self.done = epoch, done
        if len(self.waiting) == LOG_EVERY or done % self.steps_per_epoch == 0:
            self.report()

    def report(self) -> None:
        """Write one line of means and pass it on. Nothing if no step came since the last one.

        Raises
        ------
        UserError
            A loss is not a number: training has diverged.
        """
        if not self.waiting:
            return
        means = torch.stack(self.waiting).mean(0).tolist()
        self.waiting.clear()
        losses = dict(zip(LOSSES, (round(value, 5) for value in means), strict=True))
        rate = self.pairs / (time.perf_counter() - self.began)
        line = {"epoch": self.epoch, "step": self.done, "pairs_per_s": round(rate, 3), **losses}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if any(value != value for value in means):
            raise UserError(
                f"Training diverged in epoch {self.epoch}: a loss is not a number. The checkpoint "
                "of the epoch before is whole. Try --precision fp32 or a lower --learning-rate.",
                1,
            )
        if self.on_progress:
            total = self.options.steps or self.options.epochs * self.steps_per_epoch
            self.on_progress(
                Progress(self.epoch, self.options.epochs, self.done, total, rate, losses)
            )


def open_run(options: TrainOptions) -> Path:
    """The folder of the run: new, or the one to resume. ``UserError`` where that clashes."""
    run = options.runs / (options.run or time.strftime("%Y%m%d-%H%M%S"))
    if options.resume:
        run = newest_run(options.runs, options.run)
        if not (run / "checkpoints" / STATE_FILE).is_file():
            raise UserError(f"{run} has no checkpoint to resume from. Train it without --resume.")
        return run
    if (run / OPTIONS_FILE).exists():
        raise UserError(
            f"The run {run} exists already. Go on with it by --resume, or choose another --run."
        )
    find_frames(options.data, "trainA")  # no folder is left behind where there is nothing to learn
    run.mkdir(parents=True, exist_ok=True)
    return run


def resumed_options(runs: Path, run: str, changed: dict[str, Any]) -> TrainOptions:
    """The settings a run was started with, with what the user asks to be different.

    Raises
    ------
    UserError
        No such run, or its settings cannot be read.
    """
    folder = newest_run(runs, run)
    try:
        written = json.loads((folder / OPTIONS_FILE).read_text(encoding="utf-8"))
        known = {field.name for field in fields(TrainOptions)}
        values = {key: value for key, value in written["options"].items() if key in known}
        values["precision"] = written["precision"]  # what was measured then, not anew
        values["network"] = NetworkOptions(**values["network"])
        values |= {"data": Path(values["data"]), "keep_epochs": tuple(values["keep_epochs"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / OPTIONS_FILE} cannot be read, so the run cannot be resumed."
        ) from error
    # The time is spent; what is left is the epochs that were planned.
    values |= {"runs": runs, "run": folder.name, "resume": True, "minutes": 0.0, "steps": 0}
    return TrainOptions(**(values | changed))


def plan_epochs(
    options: TrainOptions, steps_per_epoch: int, seconds_per_step: float
) -> TrainOptions:
    """Turn ``minutes`` into a number of epochs by the measured time of a step."""
    if options.minutes <= 0:
        return options
    epochs = options.minutes * 60 / (seconds_per_step * steps_per_epoch)
    return replace(options, epochs=max(1, int(epochs)))


def plan_rest(options: TrainOptions, epochs_done: int, seconds: float) -> TrainOptions:
    """Correct the number of epochs by how long those of this process took.

    A step that was measured alone is quicker than one in ten minutes of them, and a machine has
    other things to do as well.
    """
    if options.minutes <= 0:
        return options
    left = options.minutes * 60 - seconds
    more = int(left / (seconds / epochs_done))
    return replace(options, epochs=epochs_done + max(0, more))


def kept_epochs(options: TrainOptions) -> set[int]:
    """The epochs of Figure 3: the paper's, or as many spread over a shorter run."""
    wanted = options.keep_epochs
    if options.epochs >= max(wanted, default=0):
        return set(wanted)
    last = max(wanted)
    return {max(1, round(epoch * options.epochs / last)) for epoch in wanted}


def sample_batch(options: TrainOptions, device: torch.device) -> tuple[Tensor, Tensor]:
    """The first frames of each test domain (of training where there is no test), centred."""
    return (
        _first_squares(options, "testA", "trainA").to(device),
        _first_squares(options, "testB", "trainB").to(device),
    )


def _first_squares(options: TrainOptions, folder: str, instead: str) -> Tensor:
    try:
        paths = find_frames(options.data, folder)
    except UserError:
        paths = find_frames(options.data, instead)
    apart = paths[:: max(1, len(paths) // options.samples)][: options.samples]
    frames = load_frames(apart, options.load_size or options.size, options.load_size)
    squares = [_middle(frame, options.load_size or options.size) for frame in frames]
    return to_range(torch.stack(squares))


def _middle(frame: Image, size: int) -> Tensor:
    top, left = (frame.shape[0] - size) // 2, (frame.shape[1] - size) // 2
    return torch.from_numpy(frame[top : top + size, left : left + size].copy()).permute(2, 0, 1)


@torch.no_grad()
def write_samples(run: Path, model: CycleGAN, samples: tuple[Tensor, Tensor], epoch: int) -> None:
    """Write ``samples/epoch_NNN.png``: rows x, G(x), F(G(x)), then y, F(y), G(F(y))."""
    x, y = samples
    with torch.autocast(x.device.type, torch.bfloat16, enabled=model.bf16):
        fake_y, fake_x = model.G(x), model.F(y)
        rows = [x, fake_y, model.F(fake_y), y, fake_x, model.G(fake_x)]
    grid = torchvision.utils.make_grid(torch.cat([row.float() for row in rows]), nrow=len(x))
    folder = run / "samples"
    folder.mkdir(exist_ok=True)
    write_png(folder / f"epoch_{epoch:03d}.png", to_pictures(grid[None])[0])


def describe_machine(
    device: torch.device, bf16: bool, seconds_per_step: dict[str, float]
) -> dict[str, Any]:
    """Facts that a result should be read with; they stand in ``options.json``."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "device": f"{device} {name}".strip(),
        "threads": torch.get_num_threads(),
        "precision": "bf16" if bf16 else "fp32",
        "measured_seconds_per_step": {k: round(v, 4) for k, v in seconds_per_step.items()},
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "python": platform.python_version(),
    }


def describe_plan(options: TrainOptions) -> str:
    """What ``cli train --dry-run`` prints: settings, parameters, estimated time. Writes nothing."""
    device = pick_device(options.device)
    counts = [len(find_frames(options.data, folder)) for folder in ("trainA", "trainB")]
    model = CycleGAN(options, device)
    bf16, measured = pick_precision(options, device)
    seconds = min(measured.values())
    an_epoch = steps_per_epoch(counts[0], counts[1], options.batch_size)
    options = plan_epochs(options, an_epoch, seconds)
    steps = options.steps or options.epochs * an_epoch
    lines = [f"{field.name} = {getattr(options, field.name)}" for field in fields(options)]
    lines += [
        f"parameters: G and F {count_parameters(model.G):,} each, "
        f"D_X and D_Y {count_parameters(model.D_X):,} each",
        f"frames: {counts[0]} X, {counts[1]} Y",
        f"estimate: {steps} steps of {seconds:.2f} s ({'bf16' if bf16 else 'fp32'} on {device}): "
        f"{steps * seconds / 3600:.2f} h",
    ]
    return "\n".join(lines)

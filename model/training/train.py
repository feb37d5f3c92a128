"""The training loop: a data set in, a trained run out.

What a step does is in ``cyclegan`` and ``physical``, how it is made fast in ``autotune``, what a
batch holds in ``batches``, what is written and reported in ``reporter``; here they come together.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataset import errors, memory
from dataset.layout.readers import evenly_spaced
from dataset.pictures.images import Image
from dataset.stopping import stops_caught
from model import checkpoint, devices, distributed, exposure, runs
from model.cyclegan import assert_learning, decayed_rate
from model.networks import count_parameters
from model.options import TrainOptions, check_settings
from model.physical import Physical
from model.training import autotune, held_out, run_folder, sources, starting
from model.training.autotune import StepConfig, StepTiming, count_flops, matmul_ceilings
from model.training.batches import Domains, steps_per_epoch, to_range
from model.training.best_epoch import describe_held_out, open_best
from model.training.gain_range import matching_gain
from model.training.reporter import RunReporter, TrainingProgress

VOTE_EVERY = {"cuda": 10}  # steps between two votes on stopping; each waits for the device

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainSummary:
    """What a training run left behind."""

    run: Path
    epoch: int  # the next one, from 1
    step: int  # the next one in it, from 0
    steps: int  # steps so far, of all epochs
    seconds: float  # of this process
    interrupted: bool  # stopped by a signal
    finished: bool = False  # resumed, but there was no step left


class StopRequest:
    """Whether something asked this process to end, while in the context: `stops_caught`."""

    def __init__(self) -> None:
        self.wanted = False
        self._caught = stops_caught(self._note)

    def _note(self) -> None:
        self.wanted = True

    def __enter__(self) -> StopRequest:
        self._caught.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._caught.__exit__(*error)


def train(
    options: TrainOptions,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    on_message: Say = lambda message: None,
) -> TrainSummary:
    """Train on ``options.data`` or ``options.pairs``; alone, or as one of torchrun's group.

    Parameters
    ----------
    options : TrainOptions
        The settings; ``resume`` continues from the newest checkpoint of ``options.run``.
    on_progress : callable
        Called after every ``LOG_EVERY`` steps and at the end of an epoch.
    on_message : callable
        Called with a line about what was decided or noticed: device, speed, epochs, trouble.

    Raises
    ------
    UserError
        No data, no such device, a run that exists already or that another process trains, nothing
        to resume, other frames than before, not enough memory, a loss that is not a number, or a
        setting that this kind of training does not have.
    """
    check_settings(options)
    with distributed.join_group(devices.pick_device(options.device)) as (group, device):
        if not group.is_main:
            on_progress, on_message = None, lambda message: None
        if options.resume and (at := run_folder.finished(options)):
            return _nothing_left(options, at, group, on_message)
        try:
            return _train(options, group, device, on_progress, on_message)
        except Exception as error:
            if not memory.ran_out(error):
                raise
            raise errors.UserError(autotune.lacks_memory(options), 1) from error


def _nothing_left(
    options: TrainOptions, at: checkpoint.Position, group: distributed.Group, on_message: Say
) -> TrainSummary:
    """Say that a run is finished, in place of training it."""
    run = runs.newest_run(options.runs, options.run)
    if group.is_main:
        run_folder.clear_parts(run)
    on_message(
        f"{run} is finished: {at.epoch - 1} epochs, {at.done:,} steps. --epochs N, with more than "
        f"{at.epoch - 1}, goes on"
    )
    return TrainSummary(run, at.epoch, at.step, at.done, 0.0, interrupted=False, finished=True)


def _train(
    options: TrainOptions,
    group: distributed.Group,
    device: torch.device,
    on_progress: Callable[[TrainingProgress], None] | None,
    on_message: Say,
) -> TrainSummary:
    with run_folder.open_run(options) if group.is_main else nullcontext(Path()) as mine:
        run = group.broadcast(mine)
        return _train_in(run, options, group, device, on_progress, on_message)


def _train_in(
    run: Path,
    options: TrainOptions,
    group: distributed.Group,
    device: torch.device,
    on_progress: Callable[[TrainingProgress], None] | None,
    on_message: Say,
) -> TrainSummary:
    # -- where, on what, and how fast ------------------------------------------------------------
    restarted = run_folder.is_restarted() and runs.has_checkpoint(run)
    if restarted and (run / runs.OPTIONS_FILE).is_file():
        options = replace(options, resume=True)
    if not options.resume:
        starting.check_start(options)
    supervised = options.pairs is not None
    if supervised:
        on_message(sources.describe_supervised(options))
    for told in sources.told_left_out(options):
        on_message(told)
    x, y = sources.open_sources(options)
    sums = {"X": x.sha256, "Y": y.sha256}
    if options.resume:
        run_folder.check_start(run, sums, sources.place_of(options), on_message)
        if group.is_main:
            run_folder.note_move(run, options, on_message)
    pairs = list(zip(x.sha256.values(), y.sha256.values(), strict=True)) if supervised else []
    held = group.broadcast(
        held_out.held_out_frames(run, options, list(x.sha256), pairs) if group.is_main else []
    )
    learned, learned_y = held_out.without(x, held), held_out.without(y, held if supervised else ())
    domains = Domains(
        learned, learned_y, options.size, options.batch_size, options.seed, options.flip, device,
        group.rank, group.world_size, paired=supervised,
    )  # fmt: skip
    an_epoch = domains.steps_per_epoch
    timings = agree_on_config(options, an_epoch, group, device, on_message)
    config, seconds = timings[0].config, timings[0].seconds
    options = run_folder.plan_epochs(options, an_epoch, seconds)
    flops, ceilings = count_flops(options), matmul_ceilings(device)

    # -- the networks, new or resumed; from here on a signal leaves a checkpoint -----------------
    with domains, StopRequest() as stop:
        model = autotune.build_model(options, device, config, group)
        at = checkpoint.Position(epoch=1, step=0, done=0, epochs=options.epochs, seconds=0.0)
        if options.resume:
            at = checkpoint.load_checkpoint(run, model, device, on_message)
            run_folder.check_position(run, at, an_epoch)
            at = replace(at, epochs=options.epochs or at.epochs)
            on_message(f"resuming {run} at epoch {at.epoch}, step {at.step}")
        elif told := starting.start(model.networks, options):
            on_message(told)
        needs_gain = not options.resume and (isinstance(model, Physical) or held)
        gain = find_gain(model, learned, learned_y, on_message) if needs_gain else 0.0
        best = open_best(run, options, model, x, y, held, gain) if group.is_main else None
        if not options.resume and group.is_main:
            # First, so that every run with settings can be resumed; and a full disk shows at once.
            checkpoint.save_checkpoint(run, model, at)
            run_folder.write_frames(run, sums)
            facts = run_folder.describe_machine(device, timings, flops, ceilings)
            facts["frames"] = asdict(run_folder.fingerprint_of(sums))
            facts["supervised"] = supervised
            if best is not None:
                held_out.write_trials(run, best.trials, list(x.sha256))
                best.pace(an_epoch * seconds)
                facts["held_out_every"] = best.every
            runs.write_options(run, options, facts)
            if not options.network.physical:  # it knows by itself what needs no correction
                exposure.write_exposure(run, exposure.learn_exposure(learned, y))
            on_message(describe_held_out(best, len(held), len(x), options))
        options = replace(options, epochs=at.epochs)
        # Even if no epoch is left: what is saved again has the rate of the last one.
        model.optimizers.set_learning_rate(decayed_rate(options, min(at.epoch, options.epochs)))
        on_message(
            f"{len(learned)} X and {len(learned_y)} Y frames on {device}, {config}, "
            f"{describe_length(options)} of {an_epoch} steps, run folder {run}\n"
            + describe_rate(flops / group.world_size / seconds, config, ceilings)
        )
        step = autotune.build_step(model, config)

        # -- the loop ----------------------------------------------------------------------------
        limit = options.steps or sys.maxsize
        with RunReporter(
            run, options, model, domains, at, flops, on_progress, on_message, best
        ) as reporter:
            stopped = False
            while at.epoch <= options.epochs and at.done < limit and not stopped:
                model.optimizers.set_learning_rate(decayed_rate(options, at.epoch))
                while at.step < an_epoch and at.done < limit and not stopped:
                    first = reporter.first_step()
                    x_now, y_now = (to_range(half) for half in domains.batch(at.epoch, at.step))
                    model.meter.add(step(x_now, y_now, draw(model, options, device)))
                    if first is not None:
                        assert_learning(model.networks, first)
                    at = replace(at, step=at.step + 1, done=at.done + 1)
                    reporter.after_step(at)
                    if at.done % VOTE_EVERY.get(device.type, 1) == 0 or group.world_size == 1:
                        stopped = group.any_rank(stop.wanted, device)
                        if at.step < an_epoch and group.any_rank(reporter.is_late(at), device):
                            limit = at.done
                            on_message(f"time is over after {at.step} of {an_epoch} steps")
                if at.step >= an_epoch:
                    here = reporter.epochs_here(at)
                    options = run_folder.plan_rest(options, here, reporter.seconds)
                    at = replace(at, epochs=group.broadcast(options.epochs))
                    options = replace(options, epochs=at.epochs)
                    reporter.after_epoch(at)
                    at = replace(at, epoch=at.epoch + 1, step=0)
                    reporter.save(at)
            if at.done == limit or at.epoch > options.epochs:
                reporter.report(at)  # a stopped run logs when the steps of a line are complete
            reporter.save(at)
        if best is not None and best.best is not None:
            on_message(f"{best}: it restores; the latest does with --epoch latest")
        return TrainSummary(run, at.epoch, at.step, at.done, reporter.seconds, stopped)


def find_gain(
    model: autotune.Trained, x: Sequence[Image], y: Sequence[Image], on_message: Say
) -> float:
    """log k under which frames of X look like those of Y; preset physical then draws such gains."""
    if not isinstance(model, Physical):  # which is only judged by it, and all would take seconds
        x, y = (evenly_spaced(each, held_out.COMPARED) for each in (x, y))
    gain = matching_gain(x, y, model.options.network.linear)
    if isinstance(model, Physical):
        model.match_gains(gain)
    on_message(f"frames of Y look like frames of X under {math.exp(gain):.2f} times the light")
    return gain


def draw(
    model: autotune.Trained, options: TrainOptions, device: torch.device
) -> tuple[Tensor, Tensor]:
    """What the pools do in this step: nothing if the discriminators rest."""
    rests = model.steps % options.discriminator_every != 0
    for_y, for_x = model.pools.draw(0 if rests else options.batch_size)
    return for_y.to(device, non_blocking=True), for_x.to(device, non_blocking=True)


def agree_on_config(
    options: TrainOptions,
    an_epoch: int,
    group: distributed.Group,
    device: torch.device,
    on_message: Say,
) -> list[StepTiming]:
    """Timings of the main process for its share of a batch, fastest first, in all processes."""
    share = replace(options, batch_size=options.batch_size // group.world_size)
    timings: list[StepTiming] = []
    if group.is_main:
        timings = autotune.pick_config(
            share,
            device,
            lambda seconds: run_folder.planned_steps(options, an_epoch, seconds),
            on_message,
        )
    return group.broadcast(timings)


def describe_length(options: TrainOptions) -> str:
    """How many epochs there will be, or how long."""
    if options.minutes <= 0:
        return f"{options.epochs} epochs"
    return f"{options.minutes:.3g} minutes of epochs"


def describe_rate(rate: float, config: StepConfig, ceilings: dict[str, float]) -> str:
    """A step's FLOP/s beside those of matrix products on the same machine, in a sentence.

    No share of a limit: convolutions can do with fewer operations than are counted.
    """
    precision = "bf16" if config.bf16 else "fp32"
    return (
        f"{rate / 1e12:.3g} TFLOP/s when measured alone; {precision} matrix products reach "
        f"{ceilings[precision] / 1e12:.3g} here"
    )


def tune(options: TrainOptions, on_message: Say = lambda message: None) -> str:
    """What ``cli train --tune`` prints: each configuration measured on this machine."""
    check_settings(options)
    device = devices.pick_device(options.device)
    found = []
    for config in autotune.candidates(options, device, compiled=True):
        on_message(f"measuring {config}")
        found.append(autotune.measure(options, device, config))
    return autotune.tune_table(found, count_flops(options), matmul_ceilings(device))


def count_frames(
    options: TrainOptions, x: Sequence[Path], y: Sequence[Path]
) -> tuple[int, tuple[int, int]]:
    """How many frames of X are held out, and how many of X and of Y are learned from."""
    if options.pairs is not None:
        pairs = [(str(one), str(other)) for one, other in zip(x, y, strict=True)]
        held = len(held_out.choose_pairs(pairs, options.held_out))
        return held, (len(x) - held, len(y) - held)
    names = [path.name for path in x]
    held = len(held_out.choose_frames(options.data, names, options.held_out))
    return held, (len(x) - held, len(y))


def _settings_in_words(options: Any) -> Iterator[tuple[str, str]]:
    """Names and values of settings, those of the network among them."""
    for field in fields(options):
        value = getattr(options, field.name)
        if is_dataclass(value):
            yield from _settings_in_words(value)
        elif isinstance(value, (list, tuple)):
            yield field.name, ", ".join(map(str, value)) or "none"
        else:
            yield field.name, "none" if value in (None, "") else str(value)


def describe_plan(options: TrainOptions) -> str:
    """What ``cli train --dry-run`` prints: settings, parameters, estimated time. Writes nothing."""
    check_settings(options)
    device = devices.pick_device(options.device)
    x, y = sources.find_pictures(options)
    held, counts = count_frames(options, x, y)
    an_epoch = steps_per_epoch(counts[0], counts[1], options.batch_size)
    # Compilation would take minutes for an estimate.
    quick = replace(options, compile="off" if options.compile == "auto" else options.compile)
    timings = autotune.pick_config(
        quick, device, lambda s: run_folder.planned_steps(options, an_epoch, s)
    )
    config, seconds, flops = timings[0].config, timings[0].seconds, count_flops(options)
    options = run_folder.plan_epochs(options, an_epoch, seconds)
    steps = run_folder.planned_steps(options, an_epoch, seconds)
    model = autotune.kind_of(options)(options, torch.device("meta"), initialized=False)
    lines = [f"{name} = {value}" for name, value in _settings_in_words(options)]
    lines += [sources.describe_supervised(options)] if options.pairs is not None else []
    lines += sources.told_left_out(options)
    lines += [
        "parameters: "
        + ", ".join(
            f"{name} {count_parameters(getattr(model.networks, name)):,}"
            for name in model.networks.names
        ),
        f"frames: {counts[0]} X, {counts[1]} Y" + (f"; {held} X held out" if held else ""),
        describe_rate(flops / seconds, config, matmul_ceilings(device)),
        f"estimate: {steps} steps of {seconds:.2f} s ({config} on {device}): "
        f"{steps * seconds / 3600:.2f} h",
    ]
    return "\n".join(lines)

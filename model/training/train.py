"""The training loop: data in, a trained run out.

What a step does is in ``cyclegan``, how it is made quick in ``speed``, what a batch holds in
``sampling`` and ``data``, what is written and said in ``desk``; here they meet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from dataset.errors import UserError
from dataset.layout.readers import find_frames
from dataset.memory import ran_out
from model.checkpoint import (
    OPTIONS_FILE,
    Position,
    has_checkpoint,
    load_checkpoint,
    save_checkpoint,
    write_options,
)
from model.cyclegan import CycleGAN, assert_learning, decayed_rate
from model.devices import pick_device
from model.distributed import Group, join_group
from model.exposure import learn_exposure, write_exposure
from model.networks import count_parameters
from model.options import TrainOptions
from model.training.autotune import (
    Measured,
    Speed,
    build_model,
    build_step,
    candidates,
    count_flops,
    lacks_memory,
    matmul_ceilings,
    measure,
    pick_speed,
    tune_table,
)
from model.training.batches import Domains, open_frames, steps_per_epoch, to_range
from model.training.fingerprint import check_frames, fingerprint_of, write_frames
from model.training.reporter import Desk, Progress
from model.training.resuming import check_position, note_torch, read_run
from model.training.run_folder import (
    describe_machine,
    open_run,
    plan_epochs,
    plan_rest,
    planned_steps,
    restarted,
)
from model.training.stopping import StopRequest
from model.weights import fill_from_cyclegan, find_cyclegan

VOTE_EVERY = {"cuda": 10}  # steps between two votes on stopping; each waits for the device

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainSummary:
    """What a training run left behind."""

    run: Path
    epoch: int  # the epoch that comes next
    step: int  # the step in it that comes next
    steps: int  # steps so far, of all epochs
    seconds: float  # of this process
    interrupted: bool  # stopped by a signal


def train(
    options: TrainOptions,
    on_progress: Callable[[Progress], None] | None = None,
    on_message: Say = lambda message: None,
) -> TrainSummary:
    """Train a CycleGAN on ``options.data``, new or resumed; alone, or in a group of torchrun's.

    Parameters
    ----------
    options : TrainOptions
        The settings; ``resume`` goes on with the newest checkpoint of ``options.run``.
    on_progress : callable
        Called after every ``LOG_EVERY`` steps and at the end of an epoch.
    on_message : callable
        Called with a line on what was decided or noticed: device, speed, epochs, trouble.

    Raises
    ------
    UserError
        No data, no such device, a run that exists already or that another process trains, nothing
        to resume, other frames than before, not enough memory, or a loss that is not a number.
    """
    with join_group(pick_device(options.device)) as (group, device):
        if not group.leads:
            on_progress, on_message = None, lambda message: None
        try:
            return _train(options, group, device, on_progress, on_message)
        except Exception as error:
            if not ran_out(error):
                raise
            raise UserError(lacks_memory(options), 1) from error


def _train(
    options: TrainOptions,
    group: Group,
    device: torch.device,
    on_progress: Callable[[Progress], None] | None,
    on_message: Say,
) -> TrainSummary:
    with ExitStack() as held:
        mine = held.enter_context(open_run(options)) if group.leads else Path()
        run = Path(group.agree(str(mine)))
        return _train_in(run, options, group, device, on_progress, on_message)


def _train_in(
    run: Path,
    options: TrainOptions,
    group: Group,
    device: torch.device,
    on_progress: Callable[[Progress], None] | None,
    on_message: Say,
) -> TrainSummary:
    # -- where, on what, and how quickly ---------------------------------------------------------
    if restarted() and has_checkpoint(run) and (run / OPTIONS_FILE).is_file():
        options = replace(options, resume=True)
    if options.init is not None and not options.resume:
        find_cyclegan(options.init)  # before minutes are spent on measuring
    x, y = (
        open_frames(options.data, folder, options.size, options.load_size)
        for folder in ("trainA", "trainB")
    )
    sums = {"X": x.sha256, "Y": y.sha256}
    if options.resume:
        written = read_run(run)
        check_frames(run, written.frames, sums, options.data, on_message)
        note_torch(run, written.torch, on_message)
    domains = Domains(
        x, y, options.size, options.batch_size, options.seed, options.flip, device,
        group.rank, group.world,
    )  # fmt: skip
    speed, measured = agree_on_speed(options, domains.steps_per_epoch, group, device, on_message)
    options = plan_epochs(options, domains.steps_per_epoch, measured[0].seconds)
    options = replace(options, epochs=int(group.agree(str(options.epochs))))
    flops, ceilings = count_flops(options), matmul_ceilings(device)

    # -- the networks, new or resumed; from here on a signal leaves a checkpoint -----------------
    with domains, StopRequest() as stop:
        model = build_model(options, device, speed, group)
        at = Position(epoch=1, step=0, done=0, epochs=options.epochs, seconds=0.0)
        if options.resume:
            at = load_checkpoint(run, model, device, on_message)
            check_position(run, at, domains.steps_per_epoch)
            at = replace(at, epochs=options.epochs or at.epochs)
            on_message(f"resuming {run} at epoch {at.epoch}, step {at.step}")
        elif options.init is not None:
            on_message(f"starting from {', '.join(fill_from_cyclegan(model, options.init))}")
        if not options.resume and group.leads:
            # First, so that whatever has settings can be resumed; and a full disk shows at once.
            save_checkpoint(run, model, at)
            write_frames(run, sums)
            facts = describe_machine(device, speed, measured, flops, ceilings)
            facts["frames"] = msgspec.structs.asdict(fingerprint_of(sums))
            write_options(run, options, facts)
            write_exposure(run, learn_exposure(x, y))
        options = replace(options, epochs=at.epochs)
        # Also where no epoch is left: what is saved again has the rate of the last one.
        model.set_learning_rate(decayed_rate(options, min(at.epoch, options.epochs)))
        on_message(
            f"{len(x)} X and {len(y)} Y frames on {device}, {speed}, {options.epochs} epochs of "
            f"{domains.steps_per_epoch} steps, run folder {run}\n"
            + describe_rate(flops / group.world / measured[0].seconds, speed, ceilings)
        )
        step = build_step(model, speed)

        # -- the loop ----------------------------------------------------------------------------
        limit = options.steps or sys.maxsize
        with Desk(run, options, model, domains, at, flops, on_progress, on_message) as desk:
            stopped = False
            while at.epoch <= options.epochs and at.done < limit and not stopped:
                model.set_learning_rate(decayed_rate(options, at.epoch))
                while at.step < domains.steps_per_epoch and at.done < limit and not stopped:
                    first = desk.first_step()
                    x_now, y_now = (to_range(half) for half in domains.batch(at.epoch, at.step))
                    model.note(step(x_now, y_now, draw(model, options, device)))
                    if first is not None:
                        assert_learning(model, first)
                    at = replace(at, step=at.step + 1, done=at.done + 1)
                    desk.after_step(at)
                    if at.done % VOTE_EVERY.get(device.type, 1) == 0 or group.world == 1:
                        stopped = group.any(stop.wanted, device)
                if at.step >= domains.steps_per_epoch:
                    epochs = plan_rest(options, desk.epochs_here(at), desk.seconds).epochs
                    options = replace(options, epochs=int(group.agree(str(epochs))))
                    at = replace(at, epochs=options.epochs)
                    desk.after_epoch(at)
                    at = replace(at, epoch=at.epoch + 1, step=0)
                    desk.save(at)
            if at.done == limit or at.epoch > options.epochs:
                desk.report(at)  # a run that goes on writes the line when its steps are complete
            desk.save(at)
        return TrainSummary(run, at.epoch, at.step, at.done, desk.seconds, stopped)


def draw(model: CycleGAN, options: TrainOptions, device: torch.device) -> tuple[Tensor, Tensor]:
    """What the pools shall do in this step: nothing where the discriminators rest."""
    rests = model.steps % options.discriminator_every != 0
    for_y, for_x = model.draw(0 if rests else options.batch_size)
    return for_y.to(device, non_blocking=True), for_x.to(device, non_blocking=True)


def agree_on_speed(
    options: TrainOptions, an_epoch: int, group: Group, device: torch.device, on_message: Say
) -> tuple[Speed, list[Measured]]:
    """The way that the leading process finds quickest for its share of a batch, on all of them."""
    share = replace(options, batch_size=options.batch_size // group.world)
    found: list[Measured] = []
    said = ""
    if group.leads:
        speed, found = pick_speed(
            share, device, lambda seconds: planned_steps(options, an_epoch, seconds), on_message
        )
        said = f"{speed!r};{found[0].seconds}"
    said = group.agree(said)
    text, seconds = said.rsplit(";", 1)
    speed = next(each for each in candidates(share, device, True) if repr(each) == text)
    return speed, found or [Measured(speed, float(seconds))]


def describe_rate(rate: float, speed: Speed, ceilings: dict[str, float]) -> str:
    """A step's FLOP/s beside those of matrix products on the same machine, in a sentence."""
    precision = "bf16" if speed.bf16 else "fp32"
    return (
        f"{rate / 1e12:.3g} TFLOP/s when measured alone, {rate / ceilings[precision]:.0%} of what "
        f"{precision} matrix products reach here"
    )


def tune(options: TrainOptions, on_message: Say = lambda message: None) -> str:
    """What ``cli train --tune`` prints: every way to train on this machine, measured."""
    device = pick_device(options.device)
    ways = candidates(options, device, compiled=True)
    found = []
    for way in ways:
        on_message(f"measuring {way}")
        found.append(measure(options, device, way))
    return tune_table(found, count_flops(options), matmul_ceilings(device))


def describe_plan(options: TrainOptions) -> str:
    """What ``cli train --dry-run`` prints: settings, parameters, estimated time. Writes nothing."""
    device = pick_device(options.device)
    counts = [len(find_frames(options.data, folder)) for folder in ("trainA", "trainB")]
    an_epoch = steps_per_epoch(counts[0], counts[1], options.batch_size)
    # Compilation would take minutes for an estimate.
    quick = replace(options, compile="off" if options.compile == "auto" else options.compile)
    speed, measured = pick_speed(quick, device, lambda s: planned_steps(options, an_epoch, s))
    seconds, flops = measured[0].seconds, count_flops(options)
    options = plan_epochs(options, an_epoch, seconds)
    steps = planned_steps(options, an_epoch, seconds)
    model = CycleGAN(options, torch.device("meta"), initial=False)
    lines = [f"{field.name} = {getattr(options, field.name)}" for field in fields(options)]
    lines += [
        f"parameters: G and F {count_parameters(model.G):,} each, "
        f"D_X and D_Y {count_parameters(model.D_X):,} each",
        f"frames: {counts[0]} X, {counts[1]} Y",
        describe_rate(flops / seconds, speed, matmul_ceilings(device)),
        f"estimate: {steps} steps of {seconds:.2f} s ({speed} on {device}): "
        f"{steps * seconds / 3600:.2f} h",
    ]
    return "\n".join(lines)

"""How a training step is made quick: precision, memory format, compilation, CUDA graphs.

What pays differs from machine to machine, so each way is tried for a few steps on the one at hand,
and the quickest is taken; a way that fails there is passed over and named. What a step computes
stands in ``cyclegan`` and is the same in all of them, but for rounding.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dataset.errors import UserError
from dataset.memory import ran_out
from model.cyclegan import CycleGAN
from model.distributed import Group
from model.options import TrainOptions

# Compilation takes minutes at first, so it is tried only where a run is long enough to earn it.
WORTH_COMPILING_S = {"cpu": 1800.0, "cuda": 300.0}
WORTH_DOUBLING_S = 0.03  # of a matrix product on the CPU: a larger one says more of its rate
Step = Callable[[Tensor, Tensor, tuple[Tensor, Tensor]], Tensor]


@dataclass(frozen=True)
class Speed:
    """One way to run the same step."""

    bf16: bool = False  # convolutions in bfloat16 autocast; weights, Adam, losses stay fp32
    channels_last: bool = False  # memory format of weights and pictures
    compiled: bool = False  # networks through torch.compile
    graphs: bool = False  # the step captured once and replayed as one CUDA graph

    def __str__(self) -> str:
        words = ["bf16" if self.bf16 else "fp32"]
        words += [name for name in ("channels_last", "compiled", "graphs") if getattr(self, name)]
        return " ".join(words)


@dataclass(frozen=True)
class Measured:
    """What a way took on this machine."""

    speed: Speed
    seconds: float  # of one step, the quickest of a few; infinite where it failed
    startup: float = 0.0  # seconds of the first step: compilation, buffers
    peak_bytes: int = 0  # most CUDA memory in use; 0 where that is unknown
    failure: str = ""  # why it cannot be had here


def apply_network(network: nn.Module, pictures: Tensor) -> Tensor:
    """A network's forward pass as a plain function: compiled once, it serves all that are alike."""
    return network(pictures)


def build_model(
    options: TrainOptions, device: torch.device, speed: Speed, group: Group | None = None
) -> CycleGAN:
    """The networks and optimizers of a run, to be run in this way."""
    if speed.compiled:
        keep_compiled_code_private()
    run = torch.compile(apply_network) if speed.compiled else apply_network
    return CycleGAN(options, device, speed.bf16, speed.channels_last, run, group)


def keep_compiled_code_private() -> None:
    """Have torch keep what it compiles beside its other downloads at the user's home.

    By itself it runs code from a folder of a foreseeable name in the shared temporary folder,
    whoever made that.
    """
    place = Path(torch.hub.get_dir()).parent / "torchinductor"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(place))


def build_step(model: CycleGAN, speed: Speed) -> Step:
    """The function that trains one step: the model's own, or its captured graph."""
    if not speed.graphs:
        return model.train_step
    options = model.options
    device = next(model.parameters()).device
    shape = (options.batch_size, 3, options.size, options.size)
    return CapturedStep(model, shape, device)


class CapturedStep:
    """A whole training step as one CUDA graph: a few thousand launches become one.

    Shapes, addresses and the sequence of operations are fixed; pictures, rates and the pool's draws
    are copied into place before each replay. Capturing leaves weights, optimizers, averages and
    pools as they were.
    """

    def __init__(self, model: CycleGAN, shape: Sequence[int], device: torch.device) -> None:
        self.model = model
        self.x, self.y = (torch.zeros(*shape, device=device) for _ in "xy")
        nowhere = torch.full((shape[0], 2), model.pool_X.size, device=device)
        nowhere[:, 1] = 0
        self.drawn = nowhere, nowhere.clone()
        for pool in (model.pool_X, model.pool_Y):
            pool.allocate(self.x)
        before = {key: value.clone() for key, value in tensors_of(model).items()}
        counted = model.steps
        self._warm_up()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.losses = model.train_step(self.x, self.y, self.drawn)
        for key, value in tensors_of(model).items():
            # Adam's moments and step counts come into being with the first step, from zero.
            value.copy_(before[key]) if key in before else value.zero_()
        model.steps = counted

    def _warm_up(self) -> None:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):  # compilation, cuDNN's choices and Adam's state happen here
                self.model.train_step(self.x, self.y, self.drawn)
        torch.cuda.current_stream().wait_stream(side)

    def __call__(self, x: Tensor, y: Tensor, drawn: tuple[Tensor, Tensor]) -> Tensor:
        self.x.copy_(x)
        self.y.copy_(y)
        for place, value in zip(self.drawn, drawn, strict=True):
            place.copy_(value)
        self.graph.replay()
        self.model.steps += 1
        return self.losses.clone()


def tensors_of(model: CycleGAN) -> dict[str, Tensor]:
    """All that a step changes, by name, as the tensors themselves."""
    found = dict(model.named_parameters()) | {"averaged_steps": model.averaged_steps}
    for number, average in enumerate(model.averages):
        found |= {f"average.{number}.{name}": each for name, each in average.named_parameters()}
    for name in ("generator_optimizer", "discriminator_optimizer"):
        for place, state in enumerate(getattr(model, name).state.values()):
            found |= {f"{name}.{place}.{key}": each for key, each in state.items()}
    for pool in ("pool_X", "pool_Y"):
        frames = getattr(model, pool).frames
        if frames is not None:
            found[pool] = frames
    return {key: value.detach() for key, value in found.items()}


def measure(
    options: TrainOptions, device: torch.device, speed: Speed, repeats: int = 2
) -> Measured:
    """Run a few steps on random frames in one way; a failure is an answer, too."""
    try:
        return _measure(options, device, speed, repeats)
    except Exception as error:  # compilers and drivers raise of every kind
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = (lines[0] if lines else type(error).__name__)[:120]
        return Measured(speed, float("inf"), failure=reason)


def _measure(options: TrainOptions, device: torch.device, speed: Speed, repeats: int) -> Measured:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    torch.compiler.reset()  # what was compiled for another way would be tried first
    begin = time.perf_counter()
    # Without the steps of a run that leave the discriminators alone, which would look quicker.
    model = build_model(replace(options, discriminator_every=1), device, speed)
    shape = (options.batch_size, 3, options.size, options.size)
    random = torch.Generator().manual_seed(0)
    x, y = ((torch.rand(*shape, generator=random) * 2 - 1).to(device) for _ in "xy")
    step = build_step(model, speed)
    times = []
    for _ in range(1 + repeats):
        started = time.perf_counter()
        drawn = tuple(each.to(device) for each in model.draw(options.batch_size))
        step(x, y, drawn).sum().item()  # type: ignore[arg-type]  # reading waits for the device
        times.append(time.perf_counter() - started)
    startup = started - begin - sum(times[1:-1])
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return Measured(speed, min(times[1:]), startup, peak)


def candidates(options: TrainOptions, device: torch.device, compiled: bool) -> list[Speed]:
    """The ways that the settings leave open; ``compiled``: whether "auto" may compile."""
    precisions = {"auto": (True, False), "bf16": (True,), "fp32": (False,)}[options.precision]
    on_cuda = device.type == "cuda"
    formats = {
        "auto": (False, True) if on_cuda else (False,),
        "contiguous": (False,),
        "channels_last": (True,),
    }[options.memory_format]
    ways = {"auto": (False, True) if compiled else (False,), "on": (True,), "off": (False,)}
    graphs = {"auto": (False, True), "on": (True,), "off": (False,)}[options.graphs]
    if not on_cuda or options.discriminator_every != 1:
        graphs = (False,)
    return [Speed(*each) for each in product(precisions, formats, ways[options.compile], graphs)]


def pick_speed(
    options: TrainOptions,
    device: torch.device,
    steps: Callable[[float], int],
    on_message: Callable[[str], None] = lambda message: None,
) -> tuple[Speed, list[Measured]]:
    """The quickest way for this run on this machine, its start-up counted in.

    Parameters
    ----------
    options : TrainOptions
        What they leave open ("auto") is measured.
    device : torch.device
        Where.
    steps : callable
        Seconds of a step -> how many steps the run would take.
    on_message : callable
        Called with one line before something takes long.

    Returns
    -------
    (Speed, list of Measured)
        The choice, and what decided it, quickest first.

    Raises
    ------
    UserError
        None of the ways works.
    """
    plain = candidates(replace(options, graphs="off"), device, compiled=False)
    found = [measure(options, device, speed) for speed in plain]
    best = min(found, key=lambda each: each.seconds)
    long = best.seconds * steps(best.seconds) > WORTH_COMPILING_S.get(device.type, float("inf"))
    if device.type == "cuda" or (long and options.compile == "auto"):
        more = [each for each in candidates(options, device, long) if each not in plain]
        if device.type == "cpu":  # minutes each: only in the precision that has won already
            more = [each for each in more if each.bf16 == best.speed.bf16]
        if any(each.compiled for each in more):
            on_message("trying compilation, which takes a minute or more the first time")
        found += [measure(options, device, speed) for speed in more]
    found.sort(key=lambda each: each.seconds + each.startup / max(1, steps(each.seconds)))
    if found[0].failure:
        if any(ran_out(each.failure) for each in found):
            raise UserError(lacks_memory(options), 1)
        raise UserError(
            f"No step can be run on {device}: {found[0].failure}. Say --device cpu, or leave "
            "--precision, --memory-format, --compile and --graphs to be measured.",
            1,
        )
    return found[0].speed, found


def lacks_memory(options: TrainOptions) -> str:
    """What to do where a step does not fit, in words."""
    return (
        f"There is not enough memory for steps of {options.batch_size} frames of "
        f"{options.size}x{options.size}. Close other programs, or say a smaller --batch-size, "
        "--size or --filters."
    )


def tune_table(found: Sequence[Measured], flops: float, ceilings: dict[str, float]) -> str:
    """What ``cli train --tune`` prints: each way, and its share of the machine's ceiling."""
    lines = [f"{'way':<36}{'s/step':>9}{'start-up s':>12}{'TFLOP/s':>9}{'of ceiling':>12}"]
    for each in sorted(found, key=lambda one: one.seconds):
        if each.failure:
            lines.append(f"{each.speed!s:<36}  not here: {each.failure}")
            continue
        rate, top = flops / each.seconds, ceilings["bf16" if each.speed.bf16 else "fp32"]
        lines.append(
            f"{each.speed!s:<36}{each.seconds:>9.3f}{each.startup:>12.1f}{rate / 1e12:>9.3f}"
            f"{rate / top:>11.0%}"
        )
    tops = ", ".join(f"{name} {value / 1e12:.2f}" for name, value in ceilings.items())
    return "\n".join([*lines, f"ceilings, matrix products: {tops} TFLOP/s"])


def count_flops(options: TrainOptions) -> float:
    """Floating-point operations of one step: convolutions and their gradients, 2 a multiply-add."""
    small = replace(options, batch_size=1, pool_size=0, ema=0.0)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = CycleGAN(small, torch.device("meta"), initial=False)
        pictures = torch.empty(1, 3, options.size, options.size)
        nothing = torch.empty(1, 2, dtype=torch.int64)
        model.train_step(pictures, pictures, (nothing, nothing))
    return float(counter.get_total_flops()) * options.batch_size


def matmul_ceilings(device: torch.device, repeats: int = 3) -> dict[str, float]:
    """The quickest matrix product of each precision, FLOP/s: what no step can exceed."""
    rates = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        side, most = (8192, 8192) if device.type == "cuda" else (256, 2048)
        # A processor without instructions for bfloat16 would take minutes for the largest.
        while (took := _time_product(side, kind, device)) < WORTH_DOUBLING_S and side < most:
            side *= 2
        times = [took, *(_time_product(side, kind, device) for _ in range(repeats))]
        rates[name] = 2 * side**3 / min(times)
    return rates


def _time_product(side: int, kind: torch.dtype, device: torch.device) -> float:
    left = torch.randn(side, side, device=device).to(kind)
    begin = time.perf_counter()
    (left @ left)[0, 0].item()  # reading the value waits for the device
    return time.perf_counter() - begin

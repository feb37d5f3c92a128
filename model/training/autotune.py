"""How a training step is made fast: precision, memory format, compilation, CUDA graphs.

What pays off differs between machines, so each configuration is tried for a few steps on this one,
and the fastest is taken; one that fails is skipped and named. What a step computes is in
``cyclegan``, and is the same for all of them up to rounding.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from dataset.errors import UserError
from dataset.memory import ran_out
from model.cyclegan import CycleGAN
from model.distributed import Group
from model.options import TrainOptions
from model.physical import Physical

# Compilation takes minutes at first, so it is tried only if the run is long enough.
WORTH_COMPILING_S = {"cpu": 1800.0, "cuda": 300.0}
SLOWER = 4.0  # times; by so much a convolution must not be slower in bf16: without instructions, 30
WORTH_DOUBLING_S = 0.03  # seconds of a matrix product that is too small to show the CPU's rate
Trained = CycleGAN | Physical
StepFunction = Callable[[Tensor, Tensor, tuple[Tensor, Tensor]], Tensor]


@dataclass(frozen=True)
class StepConfig:
    """One configuration of the same step."""

    bf16: bool = False  # bfloat16 autocast of convolutions; weights, Adam, losses stay fp32
    channels_last: bool = False  # memory format of weights and pictures
    compiled: bool = False  # networks through torch.compile
    graphs: bool = False  # the step captured once and replayed as one CUDA graph

    def __str__(self) -> str:
        words = ["bf16" if self.bf16 else "fp32"]
        words += [name for name in ("channels_last", "compiled", "graphs") if getattr(self, name)]
        return " ".join(words)


@dataclass(frozen=True)
class StepTiming:
    """Time and memory of a step in one configuration on this machine."""

    config: StepConfig
    seconds: float  # per step, the fastest of a few; infinite if it failed
    startup: float = 0.0  # seconds of the first step: compilation, buffers
    peak_bytes: int = 0  # peak CUDA memory; 0 if unknown
    failure: str = ""  # why it does not work here


def apply_network(network: nn.Module, pictures: Tensor) -> Tensor:
    """A network's forward pass as a function: compiled once, it serves all of the same shape."""
    return network(pictures)


def build_model(
    options: TrainOptions, device: torch.device, config: StepConfig, group: Group | None = None
) -> Trained:
    """The networks and optimizers of a run, in this configuration."""
    if config.compiled:
        keep_compiled_code_private()
    apply = torch.compile(apply_network) if config.compiled else apply_network
    kind = kind_of(options)
    return kind(options, device, config.bf16, config.channels_last, apply, group)


def kind_of(options: TrainOptions) -> type[CycleGAN] | type[Physical]:
    """What a run trains: a CycleGAN, or the inverse of the formation."""
    return Physical if options.network.physical else CycleGAN


def keep_compiled_code_private() -> None:
    """Have torch keep compiled code beside its downloads in the user's home.

    By default it runs code from a folder of a predictable name in the shared temporary folder,
    whoever made that folder.
    """
    place = Path(torch.hub.get_dir()).parent / "torchinductor"
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(place))


def build_step(model: Trained, config: StepConfig) -> StepFunction:
    """The function that trains one step: the model's own, or its captured graph."""
    if not config.graphs or isinstance(model, Physical):
        return model.train_step
    options = model.options
    shape = (options.batch_size, 3, options.size, options.size)
    return CapturedStep(model, shape, model.device)


class CapturedStep:
    """A whole training step as one CUDA graph: a few thousand launches become one.

    Shapes, addresses and the sequence of operations are fixed; pictures, rates and the pool's draws
    are copied into place before each replay. Capturing leaves weights, optimizers, EMA and pools
    as they were.
    """

    def __init__(self, model: CycleGAN, shape: Sequence[int], device: torch.device) -> None:
        self.model = model
        self.x, self.y = (torch.zeros(*shape, device=device) for _ in "xy")
        nowhere = torch.full((shape[0], 2), model.pools.X.size, device=device)
        nowhere[:, 1] = 0
        self.drawn = nowhere, nowhere.clone()
        for pool in (model.pools.X, model.pools.Y):
            pool.allocate(self.x)
        before = {key: value.clone() for key, value in tensors_of(model).items()}
        counted = model.steps
        self._warm_up()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.losses = model.train_step(self.x, self.y, self.drawn)
        for key, value in tensors_of(model).items():
            # Adam creates its moments and step counts in the first step, as zeros.
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
    """Everything that a step changes, by name: the tensors themselves."""
    networks, optimizers = model.networks, model.optimizers
    found = dict(networks.named_parameters()) | {"ema_steps": networks.ema_steps}
    for number, ema in enumerate(networks.ema):
        found |= {f"ema.{number}.{name}": each for name, each in ema.named_parameters()}
    for name, optimizer in (("G", optimizers.generators), ("D", optimizers.discriminators)):
        for place, state in enumerate(optimizer.state.values()):
            found |= {f"optimizer.{name}.{place}.{key}": each for key, each in state.items()}
    for name, pool in (("X", model.pools.X), ("Y", model.pools.Y)):
        if pool.frames is not None:
            found[f"pool.{name}"] = pool.frames
    return {key: value.detach() for key, value in found.items()}


def measure(
    options: TrainOptions, device: torch.device, config: StepConfig, repeats: int = 2
) -> StepTiming:
    """Run a few steps on random frames in one configuration; a failure is a result, too."""
    try:
        return _measure(options, device, config, repeats)
    except Exception as error:  # compilers and drivers raise all kinds
        lines = [line for line in str(error).splitlines() if line.strip()]
        reason = (lines[0] if lines else type(error).__name__)[:120].rstrip(" .")
        return StepTiming(config, float("inf"), failure=reason)


def _measure(
    options: TrainOptions, device: torch.device, config: StepConfig, repeats: int
) -> StepTiming:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    torch.compiler.reset()  # code compiled for another configuration would be tried first
    begin = time.perf_counter()
    # Not the steps without discriminators, which would look faster than the average.
    model = build_model(replace(options, discriminator_every=1), device, config)
    shape = (options.batch_size, 3, options.size, options.size)
    random = torch.Generator().manual_seed(0)
    x, y = ((torch.rand(*shape, generator=random) * 2 - 1).to(device) for _ in "xy")
    step = build_step(model, config)
    times = []
    for _ in range(1 + repeats):
        started = time.perf_counter()
        for_y, for_x = model.pools.draw(options.batch_size)
        drawn = for_y.to(device), for_x.to(device)
        step(x, y, drawn).sum().item()  # reading waits for the device
        times.append(time.perf_counter() - started)
    startup = started - begin - sum(times[1:-1])
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return StepTiming(config, min(times[1:]), startup, peak)


def candidates(options: TrainOptions, device: torch.device, compiled: bool) -> list[StepConfig]:
    """The configurations that the settings allow; ``compiled``: whether "auto" may compile."""
    precisions = {"auto": (True, False), "bf16": (True,), "fp32": (False,)}[options.precision]
    if options.precision == "auto" and not has_bf16(device):
        precisions = (False,)
    on_cuda = device.type == "cuda"
    formats = {
        "auto": (False, True) if on_cuda else (False,),
        "contiguous": (False,),
        "channels_last": (True,),
    }[options.memory_format]
    ways = {"auto": (False, True) if compiled else (False,), "on": (True,), "off": (False,)}
    graphs = {"auto": (False, True), "on": (True,), "off": (False,)}[options.graphs]
    if not on_cuda or options.discriminator_every != 1 or options.network.physical:
        graphs = (False,)
    return [
        StepConfig(*each) for each in product(precisions, formats, ways[options.compile], graphs)
    ]


@lru_cache
def has_bf16(device: torch.device) -> bool:
    """Whether a step in bf16 is worth trying: a CPU that emulates it would need minutes for one."""
    if device.type != "cpu":
        return True
    fp32, bf16 = (
        min(_time_convolution(kind) for _ in range(3)) for kind in (torch.float32, torch.bfloat16)
    )
    return bf16 < SLOWER * fp32


def pick_config(
    options: TrainOptions,
    device: torch.device,
    steps: Callable[[float], int],
    on_message: Callable[[str], None] = lambda message: None,
) -> list[StepTiming]:
    """The fastest configuration for this run on this machine, including start-up.

    Parameters
    ----------
    options : TrainOptions
        "auto" is measured.
    device : torch.device
        The device.
    steps : callable
        Seconds per step -> number of steps of the run.
    on_message : callable
        Called with one line before something that takes long.

    Returns
    -------
    list of StepTiming
        Fastest first: the first one is the choice.

    Raises
    ------
    UserError
        No configuration works.
    """
    plain = candidates(replace(options, graphs="off"), device, compiled=False)
    found = [measure(options, device, config) for config in plain]
    best = min(found, key=lambda each: each.seconds)
    long = best.seconds * steps(best.seconds) > WORTH_COMPILING_S.get(device.type, float("inf"))
    if device.type == "cuda" or (long and options.compile == "auto"):
        more = [each for each in candidates(options, device, long) if each not in plain]
        if device.type == "cpu":  # minutes each: only in the faster precision
            more = [each for each in more if each.bf16 == best.config.bf16]
        if any(each.compiled for each in more):
            on_message("trying compilation, which takes a minute or more the first time")
        found += [measure(options, device, config) for config in more]
    found.sort(key=lambda each: each.seconds + each.startup / max(1, steps(each.seconds)))
    if found[0].failure:
        if any(ran_out(each.failure) for each in found):
            raise UserError(lacks_memory(options), 1)
        raise UserError(
            f"No step runs on {device}: {found[0].failure}.",
            1,
            remedy="Leave out --precision, --memory-format, --compile and --graphs"
            + ("." if device.type == "cpu" else ", or choose --device cpu."),
        )
    return found


def lacks_memory(options: TrainOptions) -> str:
    """What to do if a step does not fit into memory."""
    return (
        f"There is not enough memory for steps of {options.batch_size} frames of "
        f"{options.size}x{options.size}. Close other programs, or choose a smaller --batch-size, "
        "--size or --filters."
    )


def tune_table(found: Sequence[StepTiming], flops: float, ceilings: dict[str, float]) -> str:
    """What ``cli train --tune`` prints: each configuration, beside the rate of matrix products."""
    lines = [
        f"{'configuration':<36}{'s/step':>9}{'start-up s':>12}{'TFLOP/s':>9}{'of products':>12}"
    ]
    for each in sorted(found, key=lambda one: one.seconds):
        if each.failure:
            lines.append(f"{each.config!s:<36}  not here: {each.failure}")
            continue
        rate, top = flops / each.seconds, ceilings["bf16" if each.config.bf16 else "fp32"]
        lines.append(
            f"{each.config!s:<36}{each.seconds:>9.3f}{each.startup:>12.1f}{rate / 1e12:>9.3f}"
            f"{rate / top:>11.0%}"
        )
    tops = ", ".join(f"{name} {value / 1e12:.2f}" for name, value in ceilings.items())
    return "\n".join([*lines, f"matrix products: {tops} TFLOP/s"])


def count_flops(options: TrainOptions) -> float:
    """Floating-point operations per step: convolutions and gradients, 2 per multiply-add."""
    # Preset physical does different things with the frames of a batch.
    count = options.batch_size if options.network.physical else 1
    small = replace(options, batch_size=count, pool_size=0, ema=0.0)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = kind_of(options)(small, torch.device("meta"), initialized=False)
        pictures = torch.empty(count, 3, options.size, options.size)
        nothing = torch.empty(1, 2, dtype=torch.int64)
        model.train_step(pictures, pictures, (nothing, nothing))
    return float(counter.get_total_flops()) * options.batch_size / count


def matmul_ceilings(device: torch.device, repeats: int = 3) -> dict[str, float]:
    """The fastest matrix product in each precision, FLOP/s: by it a step's rate is judged.

    It is no limit: some algorithms of convolutions need fewer operations than are counted.
    """
    rates = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        side, most = (8192, 8192) if device.type == "cuda" else (256, 2048)
        # A processor without instructions for bfloat16 would take minutes for the largest.
        while (took := _time_product(side, kind, device)) < WORTH_DOUBLING_S and side < most:
            side *= 2
        times = [took, *(_time_product(side, kind, device) for _ in range(repeats))]
        rates[name] = 2 * side**3 / min(times)
    return rates


def _time_convolution(kind: torch.dtype) -> float:
    """Seconds of a small one on the CPU, and of its gradients."""
    picture, weights = (
        torch.ones(shape, dtype=kind, requires_grad=True)
        for shape in ((1, 64, 32, 32), (64, 64, 3, 3))
    )
    begin = time.perf_counter()
    functional.conv2d(picture, weights, padding=1).sum().backward()
    return time.perf_counter() - begin


def _time_product(side: int, kind: torch.dtype, device: torch.device) -> float:
    left = torch.randn(side, side, device=device).to(kind)
    begin = time.perf_counter()
    (left @ left)[0, 0].item()  # reading the value waits for the device
    return time.perf_counter() - begin

"""Seconds and memory of one training step: CycleGAN code as it is usually written, beside ours.

The usual way is plain eager fp32: networks switched on and off, a pool that is a Python list, two
Adams. Ours is each way that `cli train` may choose. Same networks, losses, pictures and threads;
every row runs in a process of its own, so that its peak memory is its own, and the rows come in
turn. Compilation is counted as start-up: the first time, and again from its cache on disk.
Exit code 1 where the goal is missed.

    python benchmarks/model/train_step.py --batches 1 4
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.devices import pick_device
from model.networks import build_networks
from model.options import TrainOptions
from model.training.autotune import (
    StepConfig,
    build_model,
    build_step,
    count_flops,
    matmul_ceilings,
)

GOAL = 4.5  # times the usual way, at 256x256
USUAL = "usual"
WAYS = {
    USUAL: None,
    "fp32": StepConfig(),
    "bf16": StepConfig(bf16=True),
    "fp32 compiled": StepConfig(compiled=True),
    "bf16 compiled": StepConfig(bf16=True, compiled=True),
    "bf16 compiled, again": StepConfig(bf16=True, compiled=True),
    "bf16 channels_last compiled": StepConfig(bf16=True, channels_last=True, compiled=True),
    "bf16 graphs": StepConfig(bf16=True, graphs=True),
    "bf16 compiled graphs": StepConfig(bf16=True, compiled=True, graphs=True),
    "bf16 channels_last compiled graphs": StepConfig(True, True, True, True),
}


def main() -> int:
    arguments = parse_arguments()
    if arguments.way:
        print(json.dumps(run_way(arguments)))
        return 0
    device = pick_device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    ceilings = matmul_ceilings(device, repeats=20)
    print(f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"Python {platform.python_version()}; matrix products "
          + ", ".join(f"{key} {value / 1e12:.3f}" for key, value in ceilings.items())
          + " TFLOP/s")  # fmt: skip
    ways = [way for way in WAYS if device.type == "cuda" or "graphs" not in way]
    ways = [way for way in ways if not arguments.only or way in (USUAL, *arguments.only)]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache  # so that the first compilation is the first
        met = [report(arguments, ways, batch, ceilings) for batch in arguments.batches]
    return 0 if all(met) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3, help="steps that count, after the first")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only", nargs="*", default=[], help="these ways beside the usual one")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def report(
    arguments: argparse.Namespace, ways: list[str], batch: int, ceilings: dict[str, float]
) -> bool:
    """Print the table of one batch size; whether the best way reaches the goal."""
    flops = count_flops(settings(batch, arguments.size))
    print(f"\nbatch {batch} of {arguments.size}x{arguments.size}, {flops / 1e12:.2f} TFLOP a step")
    print(
        f"{'':36}{'s/step':>9}{'times':>7}{'start-up s':>12}{'TFLOP/s':>9}{'ceiling':>9}{'GB':>7}"
    )
    base, best = float("nan"), 0.0
    for way in ways:
        command = [sys.executable, __file__, "--way", way, "--batch", str(batch)]
        command += ["--size", str(arguments.size), "--repeats", str(arguments.repeats)]
        done = subprocess.run(
            [*command, "--device", arguments.device], capture_output=True, text=True
        )
        if done.returncode:
            print(f"{way:36}  not here: {done.stderr.strip().splitlines()[-1][:80]}", flush=True)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        base = found["s"] if way == USUAL else base
        best = max(best, base / found["s"])
        rate = flops / found["s"]
        top = ceilings["bf16" if "bf16" in way else "fp32"]
        print(f"{way:36}{found['s']:9.3f}{base / found['s']:7.2f}{found['startup']:12.1f}"
              f"{rate / 1e12:9.3f}{rate / top:9.0%}{found['gb']:7.2f}", flush=True)  # fmt: skip
    limit = base / (flops / max(ceilings.values()))
    print(f"best {best:.2f} times the usual way; at the ceiling of the quicker precision it would "
          f"be {limit:.2f} (goal {GOAL})")  # fmt: skip
    return best >= GOAL


def settings(batch: int, size: int) -> TrainOptions:
    return replace(TrainOptions(), batch_size=batch, size=size)


def run_way(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds a step (the best of a few), start-up and peak memory of this process."""
    device = pick_device(arguments.device)
    begin = time.perf_counter()
    options = settings(arguments.batch, arguments.size)
    step = usual_step(options, device) if arguments.way == USUAL else our_step(options, device)
    times = []
    for _ in range(1 + arguments.repeats):
        shape = (arguments.batch, 3, arguments.size, arguments.size)
        x, y = ((torch.rand(shape) * 2 - 1).to(device) for _ in "xy")
        started = time.perf_counter()
        step(x, y)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    startup = started - begin - sum(times[1:-1])
    return {"s": min(times[1:]), "startup": startup, "gb": peak_bytes(device) / 1e9}


def our_step(options: TrainOptions, device: torch.device) -> Callable[[Tensor, Tensor], None]:
    way = WAYS[parse_arguments().way]
    assert way is not None
    model = build_model(options, device, way)
    step = build_step(model, way)

    def run(x: Tensor, y: Tensor) -> None:
        for_y, for_x = model.pools.draw(options.batch_size)
        step(x, y, (for_y.to(device), for_x.to(device)))

    return run


def usual_step(options: TrainOptions, device: torch.device) -> Callable[[Tensor, Tensor], None]:
    """A step as tutorials have it, with the losses of the paper."""
    networks = [network.to(device) for network in build_networks(options.network)]
    G, F, D_X, D_Y = networks
    rate, betas = options.learning_rate, (options.beta1, options.beta2)
    adam_G = torch.optim.Adam(itertools.chain(G.parameters(), F.parameters()), rate, betas)
    adam_D = torch.optim.Adam(itertools.chain(D_X.parameters(), D_Y.parameters()), rate, betas)
    pools: tuple[list[Tensor], list[Tensor]] = ([], [])

    def judge(logits: Tensor, real: bool) -> Tensor:
        target = torch.full_like(logits, float(real))
        return functional.binary_cross_entropy_with_logits(logits, target)

    def learn(network: nn.Module, real: Tensor, fake: Tensor, pool: list[Tensor]) -> None:
        old = torch.stack([exchange(pool, each, options.pool_size) for each in fake.detach()])
        (judge(network(real), True) + judge(network(old), False)).backward()

    def run(x: Tensor, y: Tensor) -> None:
        fake_y, fake_x = G(x), F(y)
        back_x, back_y = F(fake_y), G(fake_x)
        for network in (D_X, D_Y):
            network.requires_grad_(False)
        adam_G.zero_grad()
        loss = judge(D_Y(fake_y), True) + judge(D_X(fake_x), True)
        cycles = functional.l1_loss(back_x, x) + functional.l1_loss(back_y, y)
        (loss + options.cycle_weight * cycles).backward()
        adam_G.step()
        for network in (D_X, D_Y):
            network.requires_grad_(True)
        adam_D.zero_grad()
        learn(D_Y, y, fake_y, pools[0])
        learn(D_X, x, fake_x, pools[1])
        adam_D.step()

    return run


def exchange(pool: list[Tensor], fake: Tensor, size: int) -> Tensor:
    if len(pool) < size:
        pool.append(fake)
        return fake
    if random.random() < 0.5:
        return fake
    place = random.randrange(size)
    old, pool[place] = pool[place], fake
    return old


def peak_bytes(device: torch.device) -> float:
    """Most memory this process has held: of the GPU, or resident."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    import resource  # not on Windows, where only the GPU's can be told

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    sys.exit(main())

"""How good can it be: variants of the unpaired CycleGAN beside a supervised run, on true pairs.

All train the same number of steps on the same frames of the embedded game and are judged on
viewpoints that none has seen. The supervised runs see which frames belong together and lower the
absolute difference directly, with the same generator: what unpaired training could reach at best.
Each row is printed and kept (``--out``) as soon as it is there; rows kept before are not run again.

    python benchmarks/model/variants.py --steps 400
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from made_pairs import make_pairs
from torch import nn
from torch.nn import functional

from dataset.layout.pairs import read_pairs
from dataset.pictures.images import read_image
from model.checkpoint import load_generator
from model.cyclegan import decayed_rate
from model.metrics import measure_quality
from model.networks import Generator, build_networks
from model.options import NetworkOptions, TrainOptions, cpu_preset
from model.restoring.network import restore_image
from model.training.batches import to_range
from model.training.frame_cache import open_frames
from model.training.train import train

CPU = torch.device("cpu")
MEASURES = ("psnr", "ssim", "edges")


def main() -> None:
    arguments = parse_arguments()
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads, {arguments}")  # fmt: skip
    kept: dict[str, dict[str, float]] = {}
    if arguments.out.is_file():
        kept = json.loads(arguments.out.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_pairs(root / "data", arguments.train, arguments.test, arguments.side)
        for name, run in ways(arguments, root).items():
            if name not in kept and (not arguments.only or name in arguments.only):
                begin = time.perf_counter()
                kept[name] = judge(run(), root / "data") | {"s": time.perf_counter() - begin}
                arguments.out.write_text(json.dumps(kept, indent=2), encoding="utf-8")
            if name in kept:
                row = kept[name]
                print(f"{name:44}" + "".join(f"{row[each]:9.3f}" for each in MEASURES), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--train", type=int, default=320, help="viewpoints to learn from")
    parser.add_argument("--test", type=int, default=60, help="held-out viewpoints")
    parser.add_argument("--side", type=int, default=128, help="of the frames, pixels")
    parser.add_argument("--size", type=int, default=96, help="of the squares to train on, pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[], help="names of rows")
    parser.add_argument("--out", type=Path, default=Path("variants.json"))
    return parser.parse_args()


def ways(arguments: argparse.Namespace, root: Path) -> dict[str, Callable[[], nn.Module | None]]:
    """Name of each row -> what trains it and gives back its F."""
    small = cpu_preset().network
    drawn = replace(small, residual=False, resize=False)
    base = settings(arguments, root, small)
    paper = replace(settings(arguments, root, drawn), learning_rate=2e-4, constant_share=0.5)
    unpaired = {
        "paper's losses and rate, small networks": paper,
        "the same, resize convolutions": replace(paper, network=replace(drawn, resize=True)),
        "the same, residual": replace(paper, network=replace(drawn, residual=True)),
        "the same, both": replace(paper, network=small),
        "both, early decay, half the rate (base)": base,
        "base, least squares": replace(base, gan="least-squares"),
        "base, identity loss 2": replace(base, identity_weight=2.0),
        "base, EMA 0.98": replace(base, ema=0.98),
        "base, lambda 3": replace(base, cycle_weight=3.0),
        "base, lambda 30": replace(base, cycle_weight=30.0),
        "base, D every second step": replace(base, discriminator_every=2),
        "base, D at half the rate": replace(base, discriminator_rate=0.5),
        "base, D at twice the rate": replace(base, discriminator_rate=2.0),
        "both, EMA 0.98": replace(paper, network=small, ema=0.98),
        "both, EMA 0.98, identity loss 2": replace(
            paper, network=small, ema=0.98, identity_weight=2.0
        ),
    }
    found: dict[str, Callable[[], nn.Module | None]] = {"input": lambda: None}
    found["supervised, redrawn"] = lambda: supervise(paper)
    found["supervised, both (base's networks)"] = lambda: supervise(base)
    for number, (name, options) in enumerate(unpaired.items()):
        found[name] = lambda number=number, options=options: learn(  # type: ignore[misc]
            replace(options, run=f"variant-{number}")
        )
    return found


def settings(arguments: argparse.Namespace, root: Path, network: NetworkOptions) -> TrainOptions:
    an_epoch = arguments.train // 4
    return replace(
        cpu_preset(),
        data=root / "data",
        runs=root / "runs",
        network=network,
        size=arguments.size,
        load_size=arguments.side,
        epochs=-(-arguments.steps // an_epoch),
        steps=arguments.steps,
        seed=arguments.seed,
        device="cpu",
        compile="off",
        samples=1,
        sample_every=1000,
    )


def learn(options: TrainOptions) -> nn.Module:
    """Train without pairs; F, or its running average."""
    return load_generator(train(options).run, CPU)


def supervise(options: TrainOptions) -> Generator:
    """Train F alone on true pairs, L1, with the same optimizer, rates, crops and steps."""
    _, restorer, _, _ = build_networks(options.network, options.seed)
    x, y = (
        open_frames(options.data, folder, options.size, options.load_size)
        for folder in ("trainA", "trainB")
    )
    # Six channels at once, so that both frames of a pair get the same square and the same flip.
    pairs = [np.concatenate(pair, axis=2) for pair in zip(x, y, strict=True)]
    order = np.random.default_rng(options.seed)
    adam = torch.optim.Adam(restorer.parameters(), options.learning_rate, (0.5, 0.999))
    an_epoch = len(pairs) // options.batch_size
    for step in range(options.steps):
        rate = decayed_rate(options, 1 + step // an_epoch)
        adam.param_groups[0]["lr"] = rate
        batch = np.stack([square(pairs, options.size, order) for _ in range(options.batch_size)])
        both = to_range(torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous())
        with torch.autocast("cpu", torch.bfloat16):
            restored = restorer(both[:, 3:])
        loss = functional.l1_loss(restored.float(), both[:, :3])
        adam.zero_grad()
        loss.backward()
        adam.step()
    return restorer.eval()


def square(pairs: list[np.ndarray], size: int, random: np.random.Generator) -> np.ndarray:
    """A random (size, size, 6) square of a random pair, mirrored half of the time."""
    pair = pairs[int(random.integers(len(pairs)))]
    top, left = (int(random.integers(side - size + 1)) for side in pair.shape[:2])
    cut = pair[top : top + size, left : left + size]
    return cut[:, ::-1] if random.random() < 0.5 else cut


def judge(restorer: nn.Module | None, data: Path) -> dict[str, float]:
    """Mean quality of what a network makes of the held-out frames; None: of these themselves."""
    found = []
    for pair in read_pairs(data / "pairs.csv"):
        picture = read_image(pair.over_exposed)
        restored = picture if restorer is None else restore_image(restorer, picture)
        found.append(measure_quality(restored, read_image(pair.reference)))
    return {each: float(np.mean([getattr(one, each) for one in found])) for each in MEASURES}


if __name__ == "__main__":
    main()

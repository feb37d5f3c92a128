"""Snapshots of a training: what the networks make of a few fixed frames, as a grid and numbers.

The grid shows centred test frames (training frames if there is no test, or if pairs are learned
from); true pairs of the test only give numbers. What the numbers mean, and where they are kept, is
not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

from dataset.errors import UserError
from dataset.files import writing_in
from dataset.gate import refuse_links
from dataset.labelling.clipping import clipped_mask
from dataset.layout.pairs import PAIRS_FILE, read_pairs
from dataset.layout.readers import DOMAIN_FOLDERS, evenly_spaced, find_frames
from dataset.pictures.images import Image, write_png
from model.metrics import Quality, measure_quality
from model.networks import GeneratorPair
from model.options import TrainOptions
from model.runs import SAMPLES_FOLDER
from model.training.batches import to_pictures, to_range
from model.training.frame_cache import load_frames
from model.training.sources import find_pictures

SNAPSHOT_PAIRS = 16  # true pairs that are measured, evenly spaced over the list
BATCH_PIXELS = 4 * 256 * 256  # per pass through a network: limits its memory
SNAPSHOT_METRICS = ("psnr", "ssim", "edges")

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Snapshot:
    """What the networks made of the fixed frames at one moment."""

    grid: Image  # RGB uint8; rows x, G(x), F(G(x)), y, F(y), G(F(y))
    values: dict[str, float]  # clipped_before, clipped_after, identity, and of pairs psnr_pairs ...


class SnapshotFrames:
    """The fixed frames, read once and kept on the device.

    Parameters
    ----------
    options : TrainOptions
        The run's settings; ``data``, ``samples``, ``size`` and ``load_size`` matter here.
    device : torch.device
        Device of the networks.

    Attributes
    ----------
    note : str
        Why no pairs are measured although there is a ``pairs.csv``; empty otherwise.

    Raises
    ------
    UserError
        There are no frames, or one of them is damaged.
    """

    def __init__(self, options: TrainOptions, device: torch.device) -> None:
        self.note = ""
        x, y = (_first_squares(options, domain) for domain in (0, 1))
        shown = min(len(x), len(y))  # rows of the grid have the same length
        self.x, self.y = x[:shown].to(device), y[:shown].to(device)
        over_exposed, references = self._read_pairs(options)
        self.over_exposed = over_exposed.to(device)
        self.references: list[Image] = list(to_pictures(references))
        self._before = self._compare("input", self.over_exposed)

    def _read_pairs(self, options: TrainOptions) -> tuple[Tensor, Tensor]:
        side = options.load_size or options.size
        path = options.data / PAIRS_FILE
        try:
            tested = options.pairs is None and path.exists()  # not what is learned from
            pairs = evenly_spaced(read_pairs(path), SNAPSHOT_PAIRS) if tested else []
        except UserError as error:
            # Training needs no pairs, so an empty or damaged list does not stop it.
            self.note, pairs = f"No quality on true pairs: {error}", []
        if not pairs:
            return torch.empty(0, 3, side, side), torch.empty(0, 3, side, side)
        return (
            _read_squares([pair.over_exposed for pair in pairs], options),
            _read_squares([pair.reference for pair in pairs], options),
        )

    @torch.no_grad()
    def take(self, networks: GeneratorPair, bf16: bool) -> Snapshot:
        """Run the fixed frames through G and F, or their EMA; the networks are left as they were.

        Returns
        -------
        Snapshot
            ``clipped_before`` and ``clipped_after``: mean clipped share of y and of F(y), 0..1.
            ``identity``: mean |F(x) - x| on the scale of 0..1. ``psnr_input`` and ``psnr_pairs``,
            and the same for ``ssim`` and ``edges``: true pairs before and after F, if there are
            any, on centred squares at the scale of training.
        """
        g, f = networks.ema_or_G, networks.ema_or_F
        with (
            evaluating(g, f),
            torch.autocast(self.x.device.type, torch.bfloat16, enabled=bf16),
        ):
            fake_y, fake_x = in_batches(g, self.x), in_batches(f, self.y)
            back_x, back_y = in_batches(f, fake_y), in_batches(g, fake_x)
            same_x = in_batches(f, self.x)
            restored = in_batches(f, self.over_exposed)
        values = {
            "clipped_before": _clipped(self.y),
            "clipped_after": _clipped(fake_x),
            "identity": float((same_x - self.x).abs().mean()) / 2,  # from [-1, 1] to [0, 1]
        }
        values |= self._before | self._compare("pairs", restored)
        return Snapshot(draw_grid([self.x, fake_y, back_x, self.y, fake_x, back_y]), values)

    def _compare(self, name: str, squares: Tensor) -> dict[str, float]:
        """Mean metrics of pictures against the references; empty without pairs."""
        found: list[Quality] = [
            measure_quality(picture, reference)
            for picture, reference in zip(to_pictures(squares), self.references, strict=True)
        ]
        return {
            f"{metric}_{name}": float(np.mean([getattr(each, metric) for each in found]))
            for metric in (SNAPSHOT_METRICS if found else ())
        }

    def save(self, run: Path, epoch: int, snapshot: Snapshot) -> None:
        """Write the grid as ``samples/epoch_NNN.png`` of a run."""
        folder = run / SAMPLES_FOLDER
        refuse_links(folder, "where sample grids go")
        with writing_in(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"epoch_{epoch:03d}.png", snapshot.grid)


def in_batches(network: Network, pictures: Tensor) -> Tensor:
    """A network's output for pictures (N, 3, H, W), a few at a time: fp32, the same shape."""
    count = max(1, BATCH_PIXELS // (pictures.shape[2] * pictures.shape[3]))
    parts = [network(part).float() for part in pictures.split(count) if len(part)]
    return torch.cat(parts) if parts else pictures


def draw_grid(rows: Sequence[Tensor]) -> Image:
    """Rows of pictures (N, 3, H, W) in [-1, 1] below each other: RGB uint8, 2 pixels apart."""
    grid = torchvision.utils.make_grid(torch.cat(list(rows)), nrow=len(rows[0]))
    return np.asarray(to_pictures(grid[None])[0], dtype=np.uint8)


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Networks in evaluation mode; afterwards every part is in its earlier mode again."""
    before = [(part, part.training) for network in networks for part in network.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def _clipped(squares: Tensor) -> float:
    """Mean clipped share of pictures (N, 3, H, W) in [-1, 1]."""
    pictures: NDArray[np.uint8] = to_pictures(squares)
    return float(np.mean([clipped_mask(picture).mean() for picture in pictures]))


def _first_squares(options: TrainOptions, domain: int) -> Tensor:
    paths = _shown(options, domain)
    apart = paths[:: max(1, len(paths) // options.samples)][: options.samples]
    return _read_squares(apart, options)


def _shown(options: TrainOptions, domain: int) -> list[Path]:
    if options.pairs is None:
        with suppress(UserError):
            return find_frames(options.data, DOMAIN_FOLDERS[2 + domain])
    return find_pictures(options)[domain]


def _read_squares(paths: Sequence[Path], options: TrainOptions) -> Tensor:
    """Centred squares at the scale of training: (N, 3, side, side) in [-1, 1]."""
    side = options.load_size or options.size
    frames = load_frames(paths, side, options.load_size)
    return to_range(torch.stack([middle_square(frame, side) for frame in frames]))


def middle_square(frame: Image, size: int) -> Tensor:
    """The centred square of a frame: uint8 (3, size, size)."""
    top, left = (frame.shape[0] - size) // 2, (frame.shape[1] - size) // 2
    return torch.from_numpy(frame[top : top + size, left : left + size].copy()).permute(2, 0, 1)

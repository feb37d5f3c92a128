"""The same few frames, looked at again and again while a run goes on: a grid and some numbers.

Frames of the test stand in the grid (of training, where there is no test), centred; true pairs
only give numbers. What the numbers are worth, and where they are kept, is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from dataset.layout.readers import evenly_spaced, find_frames
from dataset.pictures.images import Image, write_png
from model.metrics import Quality, measure_quality
from model.options import TrainOptions
from model.training.batches import load_frames, to_pictures, to_range

PAIRS = 16  # true pairs that are measured, evenly spread over the list
BATCH_PIXELS = 4 * 256 * 256  # of one pass through a network: bounds the memory that it takes
MEASURES = ("psnr", "ssim", "edges")

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Look:
    """What the networks made of the fixed frames at one moment."""

    grid: Image  # RGB uint8; rows x, G(x), F(G(x)), y, F(y), G(F(y))
    values: dict[str, float]  # clipped_before, clipped_after, identity, and of pairs psnr_pairs ...


class Samples:
    """The frames, read once and kept on the device.

    Parameters
    ----------
    options : TrainOptions
        The run's settings: ``data``, ``samples``, ``size`` and ``load_size`` count here.
    device : torch.device
        Where the networks are.

    Attributes
    ----------
    note : str
        Why no pairs are measured although ``pairs.csv`` is there; empty otherwise.

    Raises
    ------
    UserError
        There are no frames, or one of them is broken.
    """

    def __init__(self, options: TrainOptions, device: torch.device) -> None:
        self.note = ""
        x = _first_squares(options, "testA", "trainA")
        y = _first_squares(options, "testB", "trainB")
        shown = min(len(x), len(y))  # a row of the grid is a domain, so both are as long
        self.x, self.y = x[:shown].to(device), y[:shown].to(device)
        over_exposed, references = self._read_pairs(options)
        self.over_exposed = over_exposed.to(device)
        self.references: list[Image] = list(to_pictures(references))
        self._before = self._compare("input", self.over_exposed)

    def _read_pairs(self, options: TrainOptions) -> tuple[Tensor, Tensor]:
        side = options.load_size or options.size
        path = options.data / PAIRS_FILE
        try:
            pairs = evenly_spaced(read_pairs(path), PAIRS) if path.exists() else []
        except UserError as error:
            # Training needs no pairs, so a list without any, or a broken one, does not end it.
            self.note, pairs = f"No quality on true pairs: {error}", []
        if not pairs:
            return torch.empty(0, 3, side, side), torch.empty(0, 3, side, side)
        return (
            _read_squares([pair.over_exposed for pair in pairs], options),
            _read_squares([pair.reference for pair in pairs], options),
        )

    @torch.no_grad()
    def look(self, model: Any) -> Look:
        """Run the fixed frames through the networks, which are left as they were.

        Parameters
        ----------
        model
            Has the networks ``G`` and ``F`` and the flag ``bf16``. Where it has ``adder`` and
            ``restorer`` too (averages of G and F over time), those are looked at instead.

        Returns
        -------
        Look
            ``clipped_before`` and ``clipped_after``: mean clipped share of y and of F(y), 0..1.
            ``identity``: mean |F(x) - x| on the scale of 0..1. ``psnr_input`` and ``psnr_pairs``,
            the same for ``ssim`` and ``edges``: of true pairs before and after F, where there are
            any, on centred squares of the scale of training.
        """
        g, f = (_network(model, *names) for names in (("adder", "G"), ("restorer", "F")))
        with (
            evaluating(g, f),
            torch.autocast(self.x.device.type, torch.bfloat16, enabled=bool(model.bf16)),
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
        return Look(draw_grid([self.x, fake_y, back_x, self.y, fake_x, back_y]), values)

    def _compare(self, name: str, squares: Tensor) -> dict[str, float]:
        """Means of the measures of pictures against the references; empty without pairs."""
        found: list[Quality] = [
            measure_quality(picture, reference)
            for picture, reference in zip(to_pictures(squares), self.references, strict=True)
        ]
        return {
            f"{measure}_{name}": float(np.mean([getattr(each, measure) for each in found]))
            for measure in (MEASURES if found else ())
        }

    def save(self, run: Path, epoch: int, look: Look) -> None:
        """Write the grid as ``samples/epoch_NNN.png`` of a run."""
        folder = run / "samples"
        refuse_links(folder, "where sample grids go")
        with writing_in(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / f"epoch_{epoch:03d}.png", look.grid)


def in_batches(network: Network, pictures: Tensor) -> Tensor:
    """A network's answer to pictures (N, 3, H, W), few at a time: fp32 of the same shape."""
    count = max(1, BATCH_PIXELS // (pictures.shape[2] * pictures.shape[3]))
    parts = [network(part).float() for part in pictures.split(count) if len(part)]
    return torch.cat(parts) if parts else pictures


def draw_grid(rows: Sequence[Tensor]) -> Image:
    """Rows of pictures (N, 3, H, W) in [-1, 1] under each other: RGB uint8, 2 pixels between."""
    grid = torchvision.utils.make_grid(torch.cat(list(rows)), nrow=len(rows[0]))
    return np.asarray(to_pictures(grid[None])[0], dtype=np.uint8)


@contextmanager
def evaluating(*networks: nn.Module) -> Iterator[None]:
    """Networks in evaluation mode; every part of them goes back to the mode that it had."""
    before = [(part, part.training) for network in networks for part in network.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def _network(model: Any, name: str, instead: str) -> nn.Module:
    network = getattr(model, name, None)
    return getattr(model, instead) if network is None else network


def _clipped(squares: Tensor) -> float:
    """Mean clipped share of pictures (N, 3, H, W) in [-1, 1]."""
    pictures: NDArray[np.uint8] = to_pictures(squares)
    return float(np.mean([clipped_mask(picture).mean() for picture in pictures]))


def _first_squares(options: TrainOptions, folder: str, instead: str) -> Tensor:
    try:
        paths = find_frames(options.data, folder)
    except UserError:
        paths = find_frames(options.data, instead)
    apart = paths[:: max(1, len(paths) // options.samples)][: options.samples]
    return _read_squares(apart, options)


def _read_squares(paths: Sequence[Path], options: TrainOptions) -> Tensor:
    """Centred squares of the scale of training: (N, 3, side, side) in [-1, 1]."""
    side = options.load_size or options.size
    frames = load_frames(paths, side, options.load_size)
    return to_range(torch.stack([_middle(frame, side) for frame in frames]))


def _middle(frame: Image, size: int) -> Tensor:
    top, left = (frame.shape[0] - size) // 2, (frame.shape[1] - size) // 2
    return torch.from_numpy(frame[top : top + size, left : left + size].copy()).permute(2, 0, 1)

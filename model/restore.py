"""A checkpoint and a picture of any size -> the restored picture.

The whole picture goes through F at once; nothing is resized. There is no threshold: which
regions are over-exposed is the network's affair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dataset.errors import UserError
from dataset.images import Image, read_image, write_png
from model.data import to_pictures, to_range
from model.devices import pick_device
from model.exchange import open_restorer
from model.networks import STRIDE
from model.options import RestoreOptions

SMALLEST = 16  # pixels: the generator's reflection padding and instance norm need a few


@dataclass(frozen=True)
class Restored:
    """One picture that was restored."""

    source: Path
    target: Path
    width: int  # pixels
    height: int  # pixels


def restore_files(inputs: Sequence[Path], options: RestoreOptions) -> Iterator[Restored]:
    """Restore picture files one by one, yielding each when it is written.

    Raises
    ------
    UserError
        No input or no run; an output that exists or would replace an input; a broken picture.
        All outputs are checked before the first picture is restored.
    """
    targets = [output_path(source, options.out, len(inputs) > 1) for source in inputs]
    check_outputs(inputs, targets, options.overwrite)
    device = pick_device(options.device)
    network = open_restorer(options.runs, options.run, device)
    for source, target in zip(inputs, targets, strict=True):
        image = read_image(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_png(target, restore(network, image))
        yield Restored(source, target, image.shape[1], image.shape[0])


def restore(network: nn.Module, image: Image) -> Image:
    """Run F on one picture.

    Parameters
    ----------
    network : nn.Module
        F: (1, 3, H, W) in [-1, 1] -> the same, H and W multiples of 4.
    image : (H, W, 3) uint8
        RGB, any size.

    Returns
    -------
    (H, W, 3) uint8
        The restored picture.
    """
    height, width = image.shape[:2]
    padded = pad_to_stride(image)
    device = next(network.parameters()).device
    with torch.inference_mode():
        picture = to_range(torch.from_numpy(padded).to(device).permute(2, 0, 1)[None])
        restored = to_pictures(network(picture))[0]
    return np.ascontiguousarray(restored[:height, :width])


def pad_to_stride(image: Image) -> NDArray[np.uint8]:
    """Mirror a picture beyond its lower right until both sides are multiples of 4, 16 at least."""
    bottom, right = (max(SMALLEST, -(-side // STRIDE) * STRIDE) - side for side in image.shape[:2])
    return np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="reflect")


def output_path(source: Path, out: Path | None, several: bool) -> Path:
    """Where the restored picture goes: beside its input, to a file, or into a folder."""
    name = f"{source.stem}_restored.png"
    if out is None:
        return source.with_name(name)
    if several or out.is_dir() or not out.suffix:
        return out / name
    return out


def check_outputs(inputs: Sequence[Path], targets: Sequence[Path], overwrite: bool) -> None:
    """Refuse what would lose a file; ``UserError`` says which."""
    sources = {path.resolve() for path in inputs}
    for source, target in zip(inputs, targets, strict=True):
        if not source.is_file():
            raise UserError(f"No such picture: {source}.")
        if target.resolve() in sources:
            raise UserError(f"{target} is an input and is never replaced. Choose another -o.")
        if target.exists() and not overwrite:
            raise UserError(
                f"{target} exists. Say --overwrite to replace it, or choose another -o."
            )
        if target.suffix.lower() != ".png":
            raise UserError(f"{target}: restored pictures are written as PNG. Name it .png.")
    if len(set(targets)) < len(targets):
        raise UserError(
            "Two inputs of the same name would be written to one file. Restore them one by one."
        )

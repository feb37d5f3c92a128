"""Frames that show one place under two lights, as a light sweep records them, without a reference.

What both of them keep tells by how much their gains differ, part by part, for real light: sun and
sky differ there as no gain that is made up does. No networks, no optimizer, no files.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from model import formation
from model.synthetic import DARK

BETA = 0.05  # of log k: larger differences count linearly; something may have moved
LEAST = 1e-6  # of a part: less of it says nothing


def gain_difference(
    frames: Tensor, others: Tensor, rows: int, columns: int
) -> tuple[Tensor, Tensor]:
    """By how much log k is larger in the others, of each channel of each part.

    Parameters
    ----------
    frames, others : Tensor
        The same places, (B, 3, H, W), encoded, 0..1.
    rows, columns : int
        Parts that a picture is divided into.

    Returns
    -------
    tuple of Tensor
        The difference, of linear light, and its weight: the share of the part that is clipped in
        neither and not dark. (B, 3, rows, columns) each.
    """
    kept = (1 - formation.is_clipped(frames)) * (1 - formation.is_clipped(others))
    before, after, share = (
        functional.adaptive_avg_pool2d(each, (rows, columns))
        for each in (formation.to_light(frames) * kept, formation.to_light(others) * kept, kept)
    )
    dark = DARK * share + LEAST
    weights = share * (torch.minimum(before, after) > dark)
    return ((after + dark) / (before + dark)).log(), weights


def sweep_loss(proposals: Tensor, others: Tensor, frames: Tensor, other_frames: Tensor) -> Tensor:
    """How far the gains of two lights are from differing as their light does.

    Parameters
    ----------
    proposals, others : Tensor
        Of the parts of each frame, (B, C, h, w), log k of the channels first.
    frames, other_frames : Tensor
        As of `gain_difference`.

    Returns
    -------
    Tensor
        Scalar; 0 where nothing can be told.
    """
    wanted, weights = gain_difference(frames, other_frames, *proposals.shape[2:])
    found = others[:, :3] - proposals[:, :3]
    away = functional.smooth_l1_loss(found, wanted, beta=BETA, reduction="none")
    return (away * weights).sum() / (weights.sum() + LEAST)

"""True pairs of pictures as what `--preset physical` learns from, to know the price of having none.

A pair takes the place of a frame of X that was exposed on the way (``synthetic``): its content is
known, and its gains follow from what did not clip. No networks, no optimizer, no files.
"""

from __future__ import annotations

from torch import Tensor

from model import formation
from model.losses import picture_distance
from model.physical_networks import LARGEST, enlarge
from model.synthetic import Exposed, thin

DARKEST = 1e-3  # of white: sums of less tell no gain


def true_pairs(references: Tensor, over_exposed: Tensor, linear: bool) -> Exposed:
    """True pairs, (B, 3, H, W) in [0, 1] each, in the form of frames that were exposed.

    Their log k is one number a picture, (B, 1, 1, 1): what did not clip, over what it should be.
    """
    kept = 1 - formation.is_clipped(over_exposed)
    light = [formation.to_light(each) if linear else each for each in (references, over_exposed)]
    before, after = ((each * kept).mean((1, 2, 3), keepdim=True) + DARKEST for each in light)
    gains = (after / before).log().clamp(0, LARGEST)
    return Exposed(references, over_exposed, over_exposed, gains)


def known_loss(pairs: Exposed, gains: Tensor, linear: bool) -> Tensor:
    """How far the pictures are from their references under these gains, where nothing clipped.

    Parameters
    ----------
    pairs : Exposed
        True pairs.
    gains : Tensor
        log k as F applies it: of the pictures, or of their parts.
    linear : bool
        Whether gains act on linear light.

    Returns
    -------
    Tensor
        Scalar; see ``picture_distance``.
    """
    exposed = pairs.exposed
    found = formation.unexpose(exposed, enlarge(gains, *exposed.shape[2:]), linear)
    return picture_distance((found - pairs.wanted) * (1 - formation.is_clipped(exposed)))


def thinned(pairs: Exposed) -> Exposed:
    """Every second pixel; see ``synthetic.thin``."""
    return Exposed(thin(pairs.wanted), thin(pairs.lit), thin(pairs.exposed), pairs.gains)

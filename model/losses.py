"""The losses of equations (1) to (4), their optional variants, and one of colours. Pure functions.

L_GAN(G, D_Y, X, Y) = E_y[log D_Y(y)] + E_x[log(1 - D_Y(G(x)))]          (2), and (3) for F and D_X
L_cycle(G, F)       = E_x[|F(G(x)) - x|_1] + E_y[|G(F(y)) - y|_1]        (4)
L                   = L_GAN(G, ...) + L_GAN(F, ...) + lambda L_cycle     (1)

Discriminators maximize (2) and (3), generators minimize (1). D is the sigmoid of the logits that a
discriminator network gives. No network and no optimizer here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SLICES = 16  # directions along which colours are compared


def discriminator_loss(real: Tensor, fake: Tensor, kind: str = "log") -> Tensor:
    """What a discriminator minimizes.

    Parameters
    ----------
    real, fake : Tensor
        Logits of any shape, on true and on generated pictures.
    kind : str
        "log": -E[log D(real)] - E[log(1 - D(fake))], the negative of equations (2) and (3).
        "least-squares": (E[(z(real) - 1)^2] + E[z(fake)^2]) / 2 of the logits z [1]_.

    Returns
    -------
    Tensor
        Scalar, fp32, at least 0. For a guessing D: 2 log 2, or 1/4 at best with squares.

    References
    ----------
    .. [1] Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017, equation 2.
    """
    real, fake = real.float(), fake.float()
    if kind == "least-squares":
        return ((real - 1).square().mean() + fake.square().mean()) / 2
    # -log sigmoid(z) = softplus(-z) and -log(1 - sigmoid(z)) = softplus(z), without overflow.
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def generator_loss(fake: Tensor, kind: str = "log", minimax: bool = False) -> Tensor:
    """What a generator minimizes of equations (2) and (3).

    Parameters
    ----------
    fake : Tensor
        Logits of D on generated pictures, of any shape.
    kind : str
        "log" or "least-squares": E[(z(fake) - 1)^2], as CycleGAN's reference code has it.
    minimax : bool
        True: E[log(1 - D(fake))], the literal equation. False: -E[log D(fake)], which has the
        same fixed points and does not vanish while D is confident [1]_.

    Returns
    -------
    Tensor
        Scalar, fp32.

    References
    ----------
    .. [1] Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, section 3.
    """
    fake = fake.float()
    if kind == "least-squares":
        return (fake - 1).square().mean()
    return -functional.softplus(fake).mean() if minimax else functional.softplus(-fake).mean()


def cycle_loss(picture: Tensor, back: Tensor) -> Tensor:
    """One half of equation (4): the mean absolute difference of a picture and its cycle."""
    return functional.l1_loss(back.float(), picture.float())


def accuracy(real: Tensor, fake: Tensor, kind: str = "log") -> Tensor:
    """Share of patches that a discriminator classifies correctly, 0..1. No gradient.

    The threshold is half-way between the loss's two targets: 0, or 1/2 with squares.
    """
    threshold = 0.5 if kind == "least-squares" else 0.0
    right = torch.cat(
        ((real.detach() > threshold).flatten(), (fake.detach() <= threshold).flatten())
    )
    return right.float().mean()


def picture_distance(away: Tensor) -> Tensor:
    """Of differences of pictures, (B, C, H, W): the mean of their RMS, plus the mean absolute."""
    return (away.square().mean((1, 2, 3)) + 1e-6).sqrt().mean() + away.abs().mean()


def colour_distance(found: Tensor, wanted: Tensor, random: torch.Generator) -> Tensor:
    """How differently two sets of pictures are coloured, whatever they show: no pairs are needed.

    Parameters
    ----------
    found, wanted : Tensor
        (B, 3, H, W) and (B', 3, H', W') in [0, 1], at most as many pixels as there are wanted ones.
    random : torch.Generator
        On the CPU; draws the directions.

    Returns
    -------
    Tensor
        Scalar: the sliced Wasserstein distance between the two sets of colours [1]_, the mean
        distance of sorted values along 16 random directions.

    References
    ----------
    .. [1] Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures", J. Mathematical
       Imaging and Vision 51, 2015.
    """
    own, others = (each.movedim(1, -1).reshape(-1, 3) for each in (found, wanted))
    slices = functional.normalize(torch.randn(3, SLICES, generator=random), dim=0).to(own.device)
    ranks = torch.linspace(0, len(others) - 1, len(own)).round().long()
    ours, theirs = (own @ slices).sort(0).values, (others @ slices).sort(0).values
    return (ours - theirs[ranks.to(own.device)]).abs().mean()

"""The networks of `--preset physical`: they find only what a clipped picture leaves unknown.

F finds the gain k and, for the clipped channels alone, their content; everything else comes from
the input by the inverse of ``formation``. G is the formation itself. Both take and give pictures as
CycleGAN's generators do, (B, 3, H, W) in [-1, 1]. No loss, no optimizer, no file.

References
----------
Y. Hu, B. Wang, S. Lin, "FC4: Fully Convolutional Color Constancy with Confidence-weighted Pooling",
CVPR 2017 (each place says what it thinks, and how sure it is).
T. J. Mitchell, J. J. Beauchamp, "Bayesian Variable Selection in Linear Regression", J. American
Statistical Association 83, 1988 (a spike and a slab: an effect is none, or anything).
O. Ronneberger, P. Fischer, T. Brox, "U-Net", MICCAI 2015.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from model import formation
from model.belief import DEVIATION, LARGEST, STRAY
from model.networks import GeneratorPair
from model.options import NetworkOptions
from model.small_size import CHANNELS, THUMBNAIL, small_size

EDGES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 0.99, 0.997)
FIRST_SHARE = 0.25  # of the way from the bound to white, that an untrained content network draws
FIRST_GROWN = 2.0  # logit: how far it believes that rims are where light grew until it clipped
FIRST_GAIN = 0.5  # log k that an untrained head proposes
WIDTHS = (2, 4, 6, 10, 12)  # channels of the content network at each scale, for every 4 filters
INPUTS = CHANNELS + 3 + 1 + 3  # of it: small copy, what is known, its gain, where rims are near
OUTPUTS = 6  # of each channel: its content, and whether it goes on from the rim
DEPTH = len(WIDTHS) - 1  # times that it halves its input, after the first
ALMOST = 0.85  # encoded: what is brighter than that, and not clipped, nearly is
NEAR = 4.0  # multiple of what surrounds a straight rim: half of it is not clipped, some nearly
COARSE = 4  # pixels of the small copy at once
REACH = 2  # of those: a rim is felt up to twice as far
FIRST_ERROR = 0.2  # of log k, until it is measured
LEVEL_PLANE = CHANNELS + 3  # place of the gain among INPUTS
UNSHUFFLED = 2 * 2  # pixels of the small copy that the content network takes as one
GAMMA = 2.2  # log k of linear light is about so many times that of encoded values


def small_copy(picture: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """A picture, area-averaged, beside what is clipped in it: clipping comes before averaging.

    Parameters
    ----------
    picture : Tensor
        (B, 3, H, W), encoded, 0..1, any size.
    size : (h, w), optional
        Of the copy; `small_size` if left out.

    Returns
    -------
    Tensor
        (B, 9, h, w): mean of each channel, share of it that is clipped, and the mean over all
        pixels of what is not clipped, all 0..1.
    """
    clipped = formation.is_clipped(picture)
    planes = torch.cat((picture, clipped, picture * (1 - clipped)), 1)
    return functional.adaptive_avg_pool2d(planes, size or small_size(*picture.shape[2:]))


class ExposureHead(nn.Module):
    """The gain of a picture, and of its parts: (B, 9, h, w), a thumbnail -> (B, 3, h / 8, w / 8).

    Every neighbourhood proposes log k of each channel and says how sure it is (a fourth channel);
    `overall` is their weighted mean. What the whole picture holds (its histogram, the shares that
    are clipped) goes to all of them. No norm: absolute brightness is what tells the gain.
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        f = filters
        self.local = nn.Sequential(
            *_conv(CHANNELS, f, 2), *_conv(f, f), *_conv(f, 2 * f, 2), *_conv(2 * f, 2 * f),
            *_conv(2 * f, 3 * f, 2), *_conv(3 * f, 3 * f),
        )  # fmt: skip
        self.whole = nn.Sequential(
            nn.Linear(3 * len(EDGES) + 6 + 6 * f, 64), _activation(), nn.Linear(64, 3 * f)
        )
        self.proposal = nn.Sequential(
            nn.Conv2d(3 * f, 3 * f, 1), _activation(), nn.Conv2d(3 * f, 4, 1)
        )

    def forward(self, thumbnail: Tensor) -> Tensor:
        features = self.local(thumbnail)
        pooled = features.mean((2, 3)), features.amax((2, 3))
        whole = self.whole(torch.cat((*pooled, self._statistics(thumbnail)), 1))
        features = functional.leaky_relu(features + whole[:, :, None, None], 0.1)
        return self.proposal(features).float()

    def _statistics(self, thumbnail: Tensor) -> Tensor:
        """Cumulative histograms of the three channels, and their clipped shares."""
        values = thumbnail[:, :3].flatten(2)
        below = torch.cat([(values < edge).to(values.dtype).mean(2) for edge in EDGES], 1)
        clipped = thumbnail[:, 3:6].mean((2, 3))
        return torch.cat((below, clipped, clipped.sqrt()), 1)


def overall(proposals: Tensor) -> Tensor:
    """log k of the whole picture, (B,), by a head's proposals: each counts by how sure it is."""
    gain, sureness = proposals[:, :3].mean(1).flatten(1), proposals[:, 3].flatten(1)
    return (gain * sureness.softmax(1)).sum(1)


def how_likely_exposed(light: Tensor) -> Tensor:
    """How likely pictures are over-exposed at all, by log k as it was found: (B,) -> (B,) in 0..1.

    Before looking, half of them are. In those any log k is as likely, up to 1; in the others F
    finds 0, give or take `STRAY`.
    """
    spike = torch.exp(-0.5 * (light / STRAY).square()) / (STRAY * math.sqrt(2 * math.pi))
    return 1 / (1 + spike)


class ContentNetwork(nn.Module):
    """What clipped channels show: a U-Net without norms, (B, C, h, w) -> (B, 6, h, w)."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        widths = [filters * share // 4 for share in WIDTHS]
        self.first = nn.Sequential(
            *_conv(UNSHUFFLED * inputs, widths[0]), *_conv(widths[0], widths[0])
        )
        self.down = nn.ModuleList(
            nn.Sequential(*_conv(widths[n], widths[n + 1], 2), *_conv(widths[n + 1], widths[n + 1]))
            for n in range(DEPTH)
        )
        self.whole = nn.Linear(widths[-1], widths[-1])
        self.up = nn.ModuleList(
            nn.Sequential(
                *_conv(widths[n] + widths[n + 1], widths[n]), *_conv(widths[n], widths[n])
            )
            for n in range(DEPTH)
        )
        self.last = nn.Conv2d(widths[0], UNSHUFFLED * OUTPUTS, 3, padding=1)

    def forward(self, planes: Tensor) -> Tensor:
        features = self.first(functional.pixel_unshuffle(planes, 2))
        kept = []
        for down in self.down:
            kept.append(features)
            features = down(features)
        features = features + self.whole(features.mean((2, 3)))[:, :, None, None]
        for up, skip in zip(reversed(self.up), reversed(kept), strict=True):
            larger = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = up(torch.cat((larger, skip), 1))
        return functional.pixel_shuffle(self.last(features), 2)


class PhysicalRestorer(nn.Module):
    """F: the inverse of the formation, with a gain that is found and content that is drawn.

    Parameters
    ----------
    filters : int
        Channels of the first layers.
    linear : bool
        Whether gains act on linear light; see ``formation``.

    Attributes
    ----------
    gain_error : Tensor
        (): how far off `overall` is in scenes that were not learned from, the root mean square.
    """

    def __init__(self, filters: int = 32, linear: bool = True) -> None:
        super().__init__()
        self.linear = linear
        self.gain_error: Tensor
        self.register_buffer("gain_error", torch.tensor(FIRST_ERROR))
        self.head = ExposureHead(filters)
        self.content = ContentNetwork(INPUTS, filters)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> the same, fp32; any size."""
        values = (picture.float() + 1) / 2
        small = small_copy(values)
        gains = self.find_gains(small)
        return 2 * self.compose(values, gains, self.draw(small, gains)) - 1

    def find_gains(self, small: Tensor) -> Tensor:
        """log k by the small copy; see `believed_gains`."""
        proposals = self.propose(small)
        return self.believed_gains(proposals, overall(proposals))

    def propose(self, small: Tensor) -> Tensor:
        """What the head makes of the small copy, (B, 4, h, w)."""
        return self.head(functional.avg_pool2d(small, THUMBNAIL))

    def believed_gains(self, proposals: Tensor, light: Tensor) -> Tensor:
        """`as_gains`, and none in pictures that are not over-exposed: they stay as they are."""
        likely = how_likely_exposed(light)[:, None, None, None]
        return self.as_gains(proposals, light) * likely

    def as_gains(self, proposals: Tensor, light: Tensor | None = None) -> Tensor:
        """The gains that a head's proposals mean: one, or those of parts.

        A brightness filter treats all of a picture alike; light does not.

        Parameters
        ----------
        proposals : Tensor
            (B, 4, h, w), as of `ExposureHead`.
        light : Tensor, optional
            (B,), log k of the whole pictures where others know it better; `overall` if left out.

        Returns
        -------
        Tensor
            log k, from 0: (B, 3, h, w) of the parts, or (B, 1, 1, 1) if gains are of encoded
            values.
        """
        own = overall(proposals)[:, None, None, None]
        found = own if light is None else light[:, None, None, None]
        if self.linear:
            found = found + DEVIATION * (proposals[:, :3] - own)
        return found.clamp(0.0, LARGEST)  # of one type, or it cannot be exported

    def draw(self, small: Tensor, gains: Tensor) -> Tensor:
        """The content of clipped channels on the small copy, (B, 3, h, w), from the bound to 1.

        Light that grew until it clipped has only just done so at the rim: content is the bound
        there and goes on from it, unless the network sees that something else begins. Without that,
        a smooth sky has bands of colours where one channel after the other clips.
        """
        gains = enlarge(gains, small.shape[2], small.shape[3])
        known = formation.unexpose(small[:, :3], gains, self.linear)
        level = gains.mean(1, keepdim=True).expand(-1, 1, *small.shape[2:])
        near = near_rims(small)
        drawn, grown = self.content(torch.cat((small, known, level, near), 1)).float().chunk(2, 1)
        least = formation.unexpose(torch.ones_like(gains), gains, self.linear)
        share = drawn + FIRST_SHARE
        # Passed straight through in the backward pass: at the bound, where much content is, a clamp
        # or a sigmoid has no gradient, and would stay there.
        share = share + (share.clamp(0, 1) - share).detach()
        return least + (1 - least) * share * (1 - near * (grown + FIRST_GROWN).sigmoid())

    @torch.no_grad()
    def turn_into(self, linear: bool) -> None:
        """Let gains act on linear light, or on encoded values: what was found means as much."""
        if linear == self.linear:
            return
        factor = GAMMA if linear else 1 / GAMMA
        proposal, first = self.head.proposal[-1], self.content.first[0]
        assert isinstance(proposal, nn.Conv2d)
        assert isinstance(first, nn.Conv2d)
        assert proposal.bias is not None
        proposal.weight[:3] *= factor
        proposal.bias[:3] *= factor
        first.weight[:, LEVEL_PLANE * UNSHUFFLED : (LEVEL_PLANE + 1) * UNSHUFFLED] /= factor
        self.gain_error *= factor
        self.linear = linear

    def compose(self, values: Tensor, gains: Tensor, content: Tensor) -> Tensor:
        """A picture restored by its gains and its content: (B, 3, H, W) in [0, 1]."""
        height, width = values.shape[2:]
        known = formation.unexpose(values, enlarge(gains, height, width), self.linear)
        filled = torch.maximum(enlarge(content, height, width), known)
        return torch.lerp(known, filled, formation.is_clipped(values)).clamp(0, 1)


def near_rims(small: Tensor) -> Tensor:
    """How near the rims are at which light grew until it clipped: (B, 9, h, w) -> (B, 3, h, w).

    1 at a rim, falling to 0 within an eighth of the shorter side; 0 at the edge of what is bright
    beside something dark.
    """
    kept = 1 - small[:, 3:6]
    level = small[:, 6:9] / kept.clamp(min=1e-3)
    near = kept * ((level - ALMOST) / (1 - ALMOST)).clamp(0, 1)
    near = functional.avg_pool2d(near, COARSE)
    for _ in range(2):
        near = functional.avg_pool2d(near, 2 * REACH + 1, 1, REACH, count_include_pad=False)
    return enlarge((NEAR * near).clamp(max=1), small.shape[2], small.shape[3])


def enlarge(planes: Tensor, height: int, width: int) -> Tensor:
    """Bilinear; a single number for a whole picture stays one."""
    if planes.shape[2:] == (1, 1):
        return planes
    return functional.interpolate(
        planes, size=(height, width), mode="bilinear", align_corners=False
    )


class ExposureSimulator(nn.Module):
    """G: the formation with a gain of the run's range; the typical one.

    Attributes
    ----------
    gains : Tensor
        (2,): the typical and the largest log k that over-exposed frames have.
    """

    def __init__(self, linear: bool = True) -> None:
        super().__init__()
        self.linear = linear
        self.gains: Tensor
        self.register_buffer("gains", torch.tensor([0.5, 1.0]))

    def forward(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> the same, fp32."""
        values = (picture.float() + 1) / 2
        return 2 * formation.clip(formation.expose(values, self.gains[0], self.linear)) - 1


class PhysicalNetworks(GeneratorPair):
    """G and F of a training; parameters and attributes are those of ``CycleGANNetworks``."""

    G: ExposureSimulator
    F: PhysicalRestorer

    def __init__(
        self,
        options: NetworkOptions,
        seed: int | None,
        ema_decay: float,
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        pair = ExposureSimulator(options.linear), build_restorer(options)
        if seed is not None:
            initialize(pair[1], torch.Generator().manual_seed(seed))
        super().__init__(pair, ema_decay, device, memory_format)


def build_restorer(options: NetworkOptions) -> PhysicalRestorer:
    """F of this size and kind."""
    return PhysicalRestorer(options.generator_filters, options.linear)


def initialize(network: PhysicalRestorer, random: torch.Generator) -> None:
    """Kaiming's normal weights, without biases; the last layers start small, near no opinion."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, 0.1, nonlinearity="leaky_relu", generator=random)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
    proposal = network.head.proposal[-1]
    assert isinstance(proposal, nn.Conv2d)
    assert proposal.bias is not None
    for last in (proposal, network.content.last):
        last.weight.data.mul_(0.1)
    proposal.bias.data[:3] = FIRST_GAIN


def _conv(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1), _activation()


def _activation() -> nn.Module:
    return nn.LeakyReLU(0.1, inplace=True)

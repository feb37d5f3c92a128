"""Runs a generator on a picture of any size in bands of rows, with the result of a single pass.

Instance norm needs the mean and variance of whole feature maps. So each normed layer first runs
over all bands to measure them. Only the features at a quarter of the picture's height and width are
kept; layers at higher resolution are recomputed for each band that needs them, which costs about a
tenth more time. Memory therefore hardly depends on the number of channels of the first layer.

No files here. ``networks`` defines what is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import Generator, ResidualBlock, correct

HEAD_LAYERS = 10  # layers before the residual blocks
# Of the picture, per band: a band also computes rows above and below it, which are discarded.
LEAST_ROWS = 24

Report = Callable[[float], None]  # called with the share that is done, 0..1


class Rows(Protocol):
    """A feature map whose rows are computed on demand."""

    height: int

    def rows(self, first: int, end: int) -> Tensor:
        """Rows ``first`` to ``end`` (exclusive): (1, C, end - first, W)."""
        ...


@dataclass(frozen=True)
class Budget:
    """How much memory a picture may take."""

    band_pixels: int  # pixels of the picture per band; at least all of them: a single pass
    kept_bytes: int  # of kept features; stored in half precision if fp32 takes more


class FeatureBuffer:
    """Features in memory, in the precision they were allocated with."""

    def __init__(self, values: Tensor) -> None:
        self.values, self.height = values, values.shape[2]

    def rows(self, first: int, end: int) -> Tensor:
        return self.values[:, :, first:end].float()

    def write(self, first: int, rows: Tensor) -> None:
        self.values[:, :, first : first + rows.shape[2]] = rows


class Mirrored:
    """Reflection padding."""

    def __init__(self, source: Rows, padding: int) -> None:
        self.source, self.padding = source, padding
        self.height = source.height + 2 * padding

    def rows(self, first: int, end: int) -> Tensor:
        height, padding = self.source.height, self.padding
        wanted = torch.arange(first - padding, end - padding).abs()
        wanted = torch.where(wanted < height, wanted, 2 * (height - 1) - wanted)
        start = int(wanted.min())
        found = self.source.rows(start, int(wanted.max()) + 1)
        found = found.index_select(2, (wanted - start).to(found.device))
        return functional.pad(found, (padding, padding, 0, 0), mode="reflect")


class Convolved:
    """A convolution with its own zero padding and stride."""

    def __init__(self, source: Rows, layer: nn.Conv2d) -> None:
        self.source, self.layer = source, layer
        self.kernel, self.stride = layer.kernel_size[0], layer.stride[0]
        self.padding = int(layer.padding[0])
        self.height = (source.height + 2 * self.padding - self.kernel) // self.stride + 1

    def rows(self, first: int, end: int) -> Tensor:
        start = first * self.stride - self.padding
        stop = (end - 1) * self.stride - self.padding + self.kernel
        found = self.source.rows(max(0, start), min(stop, self.source.height))
        above, below = max(0, -start), max(0, stop - self.source.height)
        found = functional.pad(found, (self.padding, self.padding, above, below))
        return functional.conv2d(found, self.layer.weight, self.layer.bias, self.stride)


class Transposed:
    """A transposed convolution that doubles height and width: kernel 3, stride 2, padding 1."""

    def __init__(self, source: Rows, layer: nn.ConvTranspose2d) -> None:
        self.source, self.layer, self.height = source, layer, 2 * source.height

    def rows(self, first: int, end: int) -> Tensor:
        # Row i of the input reaches rows 2i - 1, 2i and 2i + 1 of the output.
        start, stop = first // 2, min(end // 2 + 1, self.source.height)
        found = functional.conv_transpose2d(
            self.source.rows(start, stop), self.layer.weight, self.layer.bias,
            stride=2, padding=(0, 1), output_padding=(0, 1),
        )  # fmt: skip
        skipped = first - (2 * start - 1)
        return found[:, :, skipped : skipped + end - first]


class Doubled:
    """Nearest-neighbour upsampling by 2."""

    def __init__(self, source: Rows) -> None:
        self.source, self.height = source, 2 * source.height

    def rows(self, first: int, end: int) -> Tensor:
        start = first // 2
        found = functional.interpolate(self.source.rows(start, (end + 1) // 2), scale_factor=2)
        return found[:, :, first - 2 * start : end - 2 * start]


class Normed:
    """Instance norm with the statistics of the whole feature map, then an optional ReLU."""

    def __init__(self, source: Rows, moments: Moments, relu: bool = True) -> None:
        self.source, self.height, self.relu = source, source.height, relu
        self.mean, self.scale = moments.mean_and_scale()

    def rows(self, first: int, end: int) -> Tensor:
        found = (self.source.rows(first, end) - self.mean).mul_(self.scale)
        return found.relu_() if self.relu else found


class Moments:
    """Mean and variance per channel, accumulated band by band.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", Stanford, 1979 (merging two parts).
    """

    EPS = 1e-5  # of nn.InstanceNorm2d

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def add(self, rows: Tensor) -> None:
        variance, mean = torch.var_mean(rows, (2, 3), correction=0, keepdim=True)
        count = rows.shape[2] * rows.shape[3]
        mean, squares = mean.double(), variance.double() * count
        if self.count:
            apart = mean - self.mean
            both = self.count + count
            squares = self.squares + squares + apart**2 * (self.count * count / both)
            mean = self.mean + apart * (count / both)
        self.count, self.mean, self.squares = self.count + count, mean, squares

    def mean_and_scale(self) -> tuple[Tensor, Tensor]:
        """(1, C, 1, 1) each, fp32: (x - mean) * scale has mean 0 and variance 1."""
        scale = (self.squares / self.count + self.EPS).rsqrt()
        return self.mean.float(), scale.float()


class BandedGenerator:
    """A generator that processes its picture in bands of rows.

    Parameters
    ----------
    network : Generator
        Its weights are used in place.
    budget : Budget
        Limits the memory.
    on_progress : callable, optional
        Called with the share that is done.
    """

    def __init__(self, network: Generator, budget: Budget, on_progress: Report | None = None):
        self.network, self.budget = network, budget
        self.report = on_progress or (lambda share: None)

    def __call__(self, picture: Tensor, write: Callable[[int, Tensor], None]) -> None:
        """Run the network on (1, 3, H, W) in [-1, 1]; H and W are multiples of 4, at least 16.

        Parameters
        ----------
        picture : Tensor
        write : callable
            Called with the first row of a band and its pixels, (1, 3, rows, W) in [-1, 1], from
            top to bottom. It may overwrite those rows of ``picture``.
        """
        if picture.shape[2] * picture.shape[3] <= self.budget.band_pixels:
            write(0, self.network(picture))
            self.report(1.0)
            return
        layers = list(self.network.model)
        blocks = [layer for layer in layers if isinstance(layer, ResidualBlock)]
        self.height, self.width = picture.shape[2:]
        self.passes, self.done = 6 + 2 * len(blocks), 0
        features = self._halve(FeatureBuffer(picture), layers[:HEAD_LAYERS])
        for block in blocks:
            self._refine(features, block)
        self._double(features, layers[HEAD_LAYERS + len(blocks) :], picture, write)

    def _halve(self, picture: Rows, layers: list[nn.Module]) -> FeatureBuffer:
        """The layers before the residual blocks; returns their output."""
        first = Convolved(Mirrored(picture, 3), _conv(layers[1]))
        second = Convolved(Normed(first, self._measure(first)), _conv(layers[4]))
        third = Convolved(Normed(second, self._measure(second)), _conv(layers[7]))
        raw, moments = self._keep(third)
        self._over(Normed(raw, moments), raw, None)
        return raw

    def _refine(self, features: FeatureBuffer, block: ResidualBlock) -> None:
        """One residual block, in place."""
        layers = list(block.conv_block)
        between, moments = self._keep(Convolved(Mirrored(features, 1), _conv(layers[1])))
        second = Convolved(Mirrored(Normed(between, moments), 1), _conv(layers[5]))
        moments = Moments()
        self._over(second, between, moments)
        self._tick()
        change = Normed(between, moments, relu=False)
        for start, end in self._bands(features.height):
            features.write(start, features.rows(start, end) + change.rows(start, end))

    def _double(
        self, features: FeatureBuffer, layers: list[nn.Module], picture: Tensor,
        write: Callable[[int, Tensor], None],
    ) -> None:  # fmt: skip
        """The layers after the residual blocks, and the correction of a residual generator."""
        first = _doubled(features, layers[0])
        second = _doubled(Normed(first, self._measure(first)), layers[3])
        last = Convolved(Mirrored(Normed(second, self._measure(second)), 3), _conv(layers[7]))
        for start, end in self._bands(last.height):
            drawn = last.rows(start, end)
            if self.network.residual:
                write(start, correct(picture[:, :, start:end], drawn))
            else:
                write(start, drawn.tanh_())
        self._tick()

    def _measure(self, source: Rows) -> Moments:
        moments = Moments()
        for first, end in self._bands(source.height):
            moments.add(source.rows(first, end))
        self._tick()
        return moments

    def _keep(self, source: Rows) -> tuple[FeatureBuffer, Moments]:
        """All rows of a source, computed and kept, and their moments."""
        kept, moments = None, Moments()
        for first, end in self._bands(source.height):
            rows = source.rows(first, end)
            moments.add(rows)
            kept = kept or self._allocate(rows, source.height)
            kept.write(first, rows)
        self._tick()
        assert kept is not None
        return kept, moments

    def _over(self, source: Rows, kept: FeatureBuffer, moments: Moments | None) -> None:
        """Overwrite the features that a source reads with its rows, one band behind the reading."""
        waiting: tuple[int, Tensor] | None = None
        for first, end in self._bands(source.height):
            rows = source.rows(first, end)
            if moments is not None:
                moments.add(rows)
            if waiting is not None:
                kept.write(*waiting)
            waiting = first, rows
        assert waiting is not None
        kept.write(*waiting)

    def _allocate(self, rows: Tensor, height: int) -> FeatureBuffer:
        _, channels, _, width = rows.shape
        both = 2 * 4 * channels * height * width  # the features, and those inside a residual block
        kind = torch.float32 if both <= self.budget.kept_bytes else torch.float16
        shape = (1, channels, height, width)
        return FeatureBuffer(torch.empty(shape, dtype=kind, device=rows.device))

    def _bands(self, height: int) -> Iterator[tuple[int, int]]:
        """(first, end) of the bands of a layer of this height; together they cover all rows."""
        whole = -(-self.height * self.width // self.budget.band_pixels)
        count = max(1, min(whole, self.height // LEAST_ROWS, height // 4))
        for number in range(count):
            yield number * height // count, (number + 1) * height // count

    def _tick(self) -> None:
        self.done += 1
        self.report(min(1.0, self.done / self.passes))


def _conv(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)
    return layer


def _doubled(source: Rows, layer: nn.Module) -> Rows:
    """Doubles height and width: a transposed convolution, or upsampling and a convolution."""
    if isinstance(layer, nn.ConvTranspose2d):
        return Transposed(source, layer)
    assert isinstance(layer, nn.Sequential)
    return Convolved(Mirrored(Doubled(source), 1), _conv(layer[2]))

"""How light clips: numbers worked out by hand, and the inverse where nothing is lost."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor

from model.formation import clip, dither, expose, is_clipped, to_encoded, to_light, unexpose

TWICE = torch.tensor(math.log(2))
ROUNDING = 0.5 / 255


def plane(*values: float) -> Tensor:
    """(1, 1, 1, N)"""
    return torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, -1)


def close(found: Tensor, *wanted: float) -> None:
    torch.testing.assert_close(found, plane(*wanted), atol=5e-6, rtol=0)


def test_srgb_has_the_values_of_its_standard() -> None:
    # 0.02 / 12.92; ((0.5 + 0.055) / 1.055)^2.4; and on along the same curve: (1.255 / 1.055)^2.4
    close(to_light(plane(0, 0.02, 0.5, 1, 1.2)), 0, 0.001547988, 0.21404114, 1, 1.5168376)
    # 12.92 * 0.001; 1.055 * 0.5^(1/2.4) - 0.055; 1.055 * 2^(1/2.4) - 0.055
    close(to_encoded(plane(0, 0.001, 0.5, 1, 2)), 0, 0.01292, 0.7353570, 1, 1.3532560)
    close(to_light(plane(-0.3)), 0)
    close(to_encoded(plane(-0.3)), 0)


def test_a_gain_of_linear_light() -> None:
    # 0.02 stays on the straight part: 0.02 * 1.5. 0.5 is 0.21404 of light, twice that is 0.42808,
    # and 1.055 * 0.42808^(1/2.4) - 0.055 = 0.68584. Of 0.8 it is 0.855 * 2^(1/2.4) - 0.055.
    close(expose(plane(0.02), torch.tensor(1.5).log(), linear=True), 0.03)
    close(expose(plane(0, 0.5, 0.8), TWICE, linear=True), 0, 0.6858367, 1.0862881)


def test_a_gain_of_encoded_values() -> None:
    close(expose(plane(0, 0.3, 0.7), TWICE, linear=False), 0, 0.6, 1.4)


def test_a_veil_is_added_behind_the_gain() -> None:
    # 0.5 is 0.21404 of light; + 0.1 = 0.31404, which is encoded 0.59613. Black becomes 0.34919.
    close(expose(plane(0.5, 0), torch.tensor(0.0), linear=True, veil=0.1), 0.5961250, 0.3491902)
    close(expose(plane(0.3), TWICE, linear=False, veil=plane(0.05)), 0.65)
    close(unexpose(plane(0.65, 0.04), TWICE, linear=False, veil=0.05), 0.3, 0)
    close(unexpose(plane(0.2), TWICE, linear=True, veil=0.1), 0)  # 0.03310 of light: all veil


@pytest.mark.parametrize(("linear", "bound"), [(True, 0.7353570), (False, 0.5)])
def test_a_clipped_channel_has_a_lower_bound(linear: bool, bound: float) -> None:
    close(unexpose(plane(1), TWICE, linear), bound)
    wanted = plane(0.1, 0.6, 0.8, 0.95)
    displayed = clip(expose(wanted, TWICE, linear))
    clipped = is_clipped(displayed).bool()
    assert clipped[..., -1].all()
    assert bool((wanted[clipped] >= unexpose(displayed, TWICE, linear)[clipped] - ROUNDING).all())


@given(
    some.lists(some.floats(0, 1, width=32), min_size=1, max_size=8),
    some.floats(0, 3),
    some.booleans(),
    some.floats(0, 0.2),
)
def test_what_is_not_clipped_comes_back(
    values: list[float], log_gain: float, linear: bool, veil: float
) -> None:
    picture, gain = plane(*values).double(), torch.tensor(log_gain).double()
    displayed = expose(picture, gain, linear, veil)
    torch.testing.assert_close(
        unexpose(displayed, gain, linear, veil), picture, atol=2e-6, rtol=0
    )  # the two parts of sRGB meet to 1e-7 of light


@pytest.mark.parametrize("linear", [True, False])
def test_after_8_bits_it_comes_back_to_rounding(linear: bool) -> None:
    wanted = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    displayed = clip(expose(wanted, TWICE, linear))
    known = is_clipped(displayed) == 0
    away = (unexpose(displayed, TWICE, linear) - wanted).abs()[known]
    assert 0 < away.max() <= ROUNDING + 1e-6


def test_a_display_keeps_whole_levels() -> None:
    wanted = (0, 0, 51 / 255, 51 / 255, 254 / 255, 1, 1)
    close(clip(plane(-0.2, 0.4 / 255, 0.2, 51.4 / 255, 254.4 / 255, 254.6 / 255, 3)), *wanted)
    close(is_clipped(plane(0, 254 / 255, 254.4 / 255, 1, 1.7)), 0, 0, 0, 1, 1)


def test_a_dithered_picture_leaves_no_comb() -> None:
    levels = torch.arange(120).repeat_interleave(200).reshape(1, 1, 120, 200) / 255
    combed = (clip(expose(levels, TWICE, linear=False)) * 255).round().unique()
    assert combed.tolist() == list(range(0, 240, 2))  # every second level is never used
    filled = dither(levels, torch.Generator().manual_seed(0))
    seen = (clip(expose(filled, TWICE, linear=False)) * 255).round().unique()
    assert set(range(240)) <= set(seen.tolist())
    assert float((filled - levels).abs().max()) <= ROUNDING + 1e-6
    assert float((filled - levels).mean()) == pytest.approx(0, abs=1e-5)
    again = dither(levels, torch.Generator().manual_seed(0))
    assert torch.equal(filled, again)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("way", [expose, unexpose])
def test_gradients_are_those_of_the_function(linear: bool, way: Callable[..., Tensor]) -> None:
    picture = torch.tensor([0.02, 0.3, 0.9], dtype=torch.float64, requires_grad=True)
    gain = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    veil = torch.tensor(0.001, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, g, v: way(x, g, linear, v), (picture, gain, veil))


def test_the_gradient_of_a_gain_of_encoded_values_is_the_value() -> None:
    gain = torch.tensor(math.log(3), requires_grad=True)
    expose(plane(0.2), gain, linear=False).sum().backward()
    assert float(gain.grad) == pytest.approx(0.6)


def test_black_and_white_have_finite_gradients() -> None:
    picture = plane(0, 1).requires_grad_()
    gain = torch.tensor(1.0, requires_grad=True)
    unexpose(expose(picture, gain, linear=True), gain, linear=True).sum().backward()
    assert bool(torch.isfinite(picture.grad).all())
    assert bool(torch.isfinite(gain.grad))

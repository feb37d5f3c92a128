"""HDR pictures are read into light: worked-out numbers, primaries, what is odd, what is damaged."""

from __future__ import annotations

import numpy as np
import pytest

from dataset.errors import UserError
from dataset.pictures.hdr import WHITE_NITS, decode_hdr, is_hdr
from dataset.pictures.light import (
    BT709,
    BT2020,
    P3,
    PRIMARIES,
    in_gamut,
    rgb_to_xyz,
    srgb_to_linear,
    to_rec709,
)
from tests.helpers.made_hdr import HDR_PICTURES, HLG, PQ, SDR_PICTURES, hdr_png


def test_matrices_are_those_that_standards_print() -> None:
    bt2087 = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    assert np.allclose(to_rec709(PRIMARIES[BT2020]), bt2087, atol=1e-4)
    assert np.allclose(rgb_to_xyz(PRIMARIES[BT709])[1], [0.2126, 0.7152, 0.0722], atol=1e-4)
    p3 = [[1.2249, -0.2249, 0.0], [-0.0420, 1.0420, 0.0], [-0.0197, -0.0786, 1.0983]]
    assert np.allclose(to_rec709(PRIMARIES[P3]), p3, atol=2e-4)


def test_what_is_in_the_gamut_stays_and_what_is_not_keeps_its_luminance() -> None:
    light = np.array([[[0.5, 0.2, 0.1], [1.5, -0.2, 0.3], [-1, -1, -1]]], np.float32)
    found = in_gamut(light)
    assert found.min() >= 0
    assert np.array_equal(found[0, 0], light[0, 0])
    weights = rgb_to_xyz(PRIMARIES[BT709])[1]
    assert np.isclose(found[0, 1] @ weights, light[0, 1] @ weights)
    assert not found[0, 2].any()


def test_the_curve_of_srgb() -> None:
    assert np.allclose(srgb_to_linear(np.array([0, 0.5, 1, -0.5])), [0, 0.21404, 1, -0.21404])


@pytest.mark.parametrize("data", SDR_PICTURES.values(), ids=SDR_PICTURES)
def test_sdr_is_not_read_as_hdr(data: bytes) -> None:
    assert not is_hdr(data)
    with pytest.raises(UserError, match="is not HDR"):
        decode_hdr(data, "a.png")


@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize(("curve", "name"), [(PQ, "PQ"), (HLG, "HLG")])
def test_png(deep: bool, curve: int, name: str) -> None:
    found = decode_hdr(hdr_png(curve, deep), "a.png")
    assert (found.kind, found.white_nits, found.size) == (f"PNG ({name})", WHITE_NITS, (36, 24))


@pytest.mark.parametrize("data", [each for each, _ in HDR_PICTURES.values()], ids=HDR_PICTURES)
def test_all_that_is_hdr_is_read_or_refused_in_words(data: bytes) -> None:
    assert is_hdr(data)
    try:
        light = decode_hdr(data, "a.png").light
    except UserError as error:
        light = np.zeros(1)
        text = str(error)
        if not text.startswith("a.png "):
            raise
    assert np.isfinite(light).all()

"""Light in nits comes out right on an SDR screen; hues stay; nothing leaves the gamut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.pictures.light import WHITE_NITS, pq_to_nits
from dataset.pictures.pixels import to_image
from dataset.pictures.tone import (
    TONES,
    bt2390,
    display_exposure,
    encoded,
    hable,
    in_srgb,
    pq_of,
    reinhard,
    scene_exposure,
    toned,
)

PEAK = [1000.0, 1000.0, 1000.0]
CURVES = sorted(set(TONES) - {"clip"})


def shown(nits: list[list[float]], tone: str = "bt2390") -> list[list[int]]:
    """8-bit levels of colours in nits, beside a grey of 1000 nits, which is the peak."""
    light = np.array([[*nits, PEAK]], np.float32) / np.float32(WHITE_NITS)
    levels: list[list[int]] = to_image(toned(light, tone, WHITE_NITS))[0, :-1].tolist()
    return levels


def hue(light: np.ndarray) -> float:
    """Degrees, by Oklab as its author wrote it down."""
    red, green, blue = (float(each) for each in light)
    l = np.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)  # noqa: E741
    m = np.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    s = np.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    a = 1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s
    b = 0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s
    return float(np.degrees(np.arctan2(b, a)))


@pytest.mark.parametrize(
    ("nits", "level"),
    [(0, 0), (1, 15), (10, 63), (50, 136), (100, 186), (203, 229), (400, 250), (1000, 255)],
)
def test_a_grey_ramp_in_nits_comes_out_right_by_bt2390(nits: float, level: int) -> None:
    assert shown([[nits] * 3]) == [[level] * 3]


@pytest.mark.parametrize(("nits", "level"), [(10, 63), (100, 186), (203, 255), (1000, 255)])
def test_without_a_curve_light_is_cut_off_at_white(nits: float, level: int) -> None:
    assert shown([[nits] * 3], "clip") == [[level] * 3]


@pytest.mark.parametrize(
    ("nits", "levels"),
    [
        ([100, 0, 0], [186, 0, 0]),
        ([0, 100, 0], [0, 186, 0]),
        ([0, 0, 100], [0, 0, 186]),
        ([203, 0, 0], [255, 0, 0]),
        ([0, 203, 0], [0, 245, 0]),  # of green's luminance, 145 nits, the curve leaves 133
        ([0, 0, 203], [0, 0, 255]),
        ([1000, 0, 0], [255, 195, 185]),
        ([0, 1000, 0], [154, 255, 146]),
        ([0, 0, 1000], [121, 164, 255]),
    ],
)
def test_primaries_in_nits_come_out_right_by_bt2390(nits: list[float], levels: list[int]) -> None:
    assert shown([nits]) == [levels]


@pytest.mark.parametrize("tone", CURVES)
@pytest.mark.parametrize(
    "light",
    [(6, 0, 0), (5, 2, 0.25), (0.5, 4, 0.5), (0.4, 1.2, 6), (5, 1, 3), (1.6605, -0.1246, -0.0182)],
)
def test_highlights_keep_their_hue(light: tuple[float, float, float], tone: str) -> None:
    picture = np.array([[light, (0.2, 0.2, 0.2)]], np.float32)
    code = toned(picture, tone)[0, 0].astype(float)
    linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    assert 0 <= linear.min() <= linear.max() <= 1
    assert abs((hue(linear) - hue(picture[0, 0]) + 180) % 360 - 180) < 0.5


def test_a_blown_orange_turns_yellow_only_without_a_curve() -> None:
    orange = [[1000.0, 400.0, 50.0]]
    assert shown(orange, "clip") == [[255, 255, 136]]
    (red, green, blue) = shown(orange)[0]
    assert red > green + 25 > blue + 50


def test_light_that_an_sdr_screen_can_show_is_not_touched() -> None:
    light = np.random.default_rng(0).random((40, 50, 3), np.float32) * np.float32(0.99)
    assert np.array_equal(toned(light, "bt2390", 203.0), encoded(light))


def test_more_light_than_white_stays_apart() -> None:
    levels = np.array(shown([[nits] * 3 for nits in (203, 300, 400, 600, 1000)]))[:, 0]
    assert np.all(np.diff(levels) > 0)
    assert set(np.array(shown([[203.0] * 3, [600.0] * 3], "clip")).ravel()) == {255}


@given(st.floats(0.01, 50), st.floats(80, 500))
def test_curves_rise_and_end_at_white(peak: float, white: float) -> None:
    seen = np.linspace(0, peak, 400, dtype=np.float32)
    for curve in (bt2390, reinhard, hable):
        out = curve(seen, peak, white)
        assert np.all(np.diff(out) >= -1e-5)
        assert curve is hable or out[-1] <= 1 + 1e-3
    if 1 < peak < 10_000 / white:
        assert bt2390(seen, peak, white)[-1] == pytest.approx(1, abs=2e-3)
        assert reinhard(seen, peak, white)[-1] == pytest.approx(1, abs=1e-3)


def test_published_points_of_the_curves() -> None:
    assert pq_of(np.array([0.0, 100.0, 203.0, 1000.0, 10_000.0])) == pytest.approx(
        [0, 0.508078, 0.580689, 0.751827, 1], abs=1e-6
    )
    assert pq_to_nits(pq_of(np.array([0.5, 203.0, 4000.0]))) == pytest.approx([0.5, 203, 4000])
    assert reinhard(np.ones(1, np.float32), 4.0, 203.0)[0] == pytest.approx(0.53125)
    assert hable(np.array([5.6], np.float32), 9.0, 203.0)[0] == pytest.approx(1)


def test_a_scene_is_exposed_by_its_log_average() -> None:
    grey = np.full((4, 4, 3), 7.0, np.float32)
    assert scene_exposure(grey) * 7 == pytest.approx(0.18)
    scene = np.exp(np.random.default_rng(1).normal(0, 1, (60, 60, 1))).astype(np.float32)
    scene = np.repeat(scene, 3, 2)
    once = scene_exposure(scene)
    assert once == pytest.approx(0.18, rel=0.2)
    assert scene_exposure(1000 * scene) * 1000 == pytest.approx(once, rel=1e-4)
    bordered = np.concatenate([scene, np.zeros((30, 60, 3), np.float32)])  # black is no scene
    assert scene_exposure(bordered) == pytest.approx(once, rel=0.05)


def test_a_night_stays_darker_than_a_day() -> None:
    spread = np.linspace(0, 1, 10_000, dtype=np.float32)
    night = np.repeat(2 ** (10 * spread[None, :, None] ** 4), 3, 2)  # mostly dark, some lamps
    day = np.repeat(2 ** (10 * (1 - spread[None, :, None] ** 4)), 3, 2)
    keys = [
        scene_exposure(each) * np.exp(np.log(each.astype(float)).mean()) for each in (night, day)
    ]
    assert keys[0] < 0.12 < 0.3 < keys[1]


@pytest.mark.parametrize("tone", sorted(TONES))
@pytest.mark.parametrize(
    "light",
    [np.zeros((1, 1, 3)), np.full((2, 3, 3), 6e4), np.full((1, 2, 3), -3.0), np.eye(3)[None] * 1e9],
    ids=["black", "very bright", "negative", "brighter than any"],
)
def test_any_light_becomes_a_picture(light: np.ndarray, tone: str) -> None:
    for white in (None, 80.0, 203.0):
        picture = toned(light.astype(np.float32), tone, white)
        assert picture.dtype == np.float32
        assert picture.shape == light.shape
        assert np.isfinite(picture).all()
        assert 0 <= picture.min() <= picture.max() <= 1
    assert scene_exposure(light.astype(np.float32)) > 0


def test_bands_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    light = np.random.default_rng(2).random((30, 40, 3), np.float32) * 5
    whole = toned(light, "bt2390", 203.0)
    monkeypatch.setattr("dataset.pictures.tone.BAND", 7)
    assert np.allclose(
        toned(light, "bt2390", 203.0), whole, atol=1e-3
    )  # a halving may go either way


def test_what_is_in_the_gamut_stays() -> None:
    light = np.random.default_rng(3).random((500, 3), np.float32)
    assert np.array_equal(in_srgb(light), light)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([0.5] * 10, 1.0),  # never brightened
        ([0.5] * 19 + [30.0], 1.0),  # a highlight
        ([0.5] * 5 + [1.6] * 5, 1 / 1.6),  # white was chosen brighter
        ([0.5] * 5 + [20.0] * 5, 203 / 480),  # than in Windows it cannot be
    ],
)
def test_where_much_is_beyond_white_it_is_taken_for_white(
    levels: list[float], expected: float
) -> None:
    light = np.repeat(np.array(levels, np.float32)[:, None, None], 3, axis=2)
    assert display_exposure(light, 203.0) == pytest.approx(expected)
    light[..., :2] = 0  # a channel counts as all three
    assert display_exposure(light, 203.0) == pytest.approx(expected)

"""Photographs made from panoramas: what a camera sees, and how it is exposed.

The panoramas are made here; no OpenEXR file is read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.model import photographs
from benchmarks.model.photographs import Light, Plan, View
from dataset.errors import UserError
from dataset.layout.pairs import read_pairs
from dataset.pictures.images import read_image
from model.gain import measure_gain

HEIGHT = 180  # pixels of a panorama: one for each degree
WIDTH = 2 * HEIGHT


def marked(column: int, row: int) -> Light:
    """A dark panorama with one bright pixel."""
    panorama = np.full((HEIGHT, WIDTH, 3), 0.01, np.float32)
    panorama[row, column] = 1
    return panorama


def scene(seed: int) -> Light:
    """Coarse patches of very different brightness, as a room with windows has."""
    random = np.random.default_rng(seed)
    patches = np.exp(random.normal(0, 1, (HEIGHT // 10, WIDTH // 10, 3)))
    return np.kron(patches, np.ones((10, 10, 1))).astype(np.float32)


def brightest(light: Light) -> tuple[int, int]:
    row, column = np.unravel_index(light[..., 0].argmax(), light.shape[:2])
    return int(row), int(column)


# A pixel's centre is half a degree on: column 180 is at yaw 0.5, row 89 at pitch 0.5.
@pytest.mark.parametrize(
    ("column", "row", "yaw", "pitch"),
    [
        (180, 89, 0.5, 0.5),
        (270, 89, 90.5, 0.5),
        (90, 69, -89.5, 20.5),
        (180, 109, 0.5, -19.5),
        (0, 89, -179.5, 0.5),
        (359, 89, 179.5, 0.5),
    ],
)
@pytest.mark.parametrize("roll", [0, 3])
def test_a_views_centre_shows_the_pixel_at_its_yaw_and_pitch(
    column: int, row: int, yaw: float, pitch: float, roll: float
) -> None:
    view = View(yaw, pitch, roll, field=40)
    found = photographs.render(marked(column, row), view, 65)
    assert brightest(found) == (32, 32)
    assert found[32, 32, 0] > 0.6  # 0.62 degrees of a bilinear tent, 1 at its middle


def test_right_is_right_and_up_is_up() -> None:
    """10 degrees off are tan 10 / tan 20 of the half side: 31 of 64 pixels."""
    right = photographs.render(marked(190, 89), View(0.5, 0.5, field=40), 129)
    above = photographs.render(marked(180, 79), View(0.5, 0.5, field=40), 129)
    assert brightest(right) == (64, 64 + 31)
    assert brightest(above) == (64 - 31, 64)


def test_a_roll_turns_the_picture_clockwise() -> None:
    """What is 31 pixels to the right of the centre sinks by 31 sin 3, 1.6 pixels."""
    found = photographs.render(marked(190, 89), View(0.5, 0.5, roll=3, field=40), 129)
    assert brightest(found) == (66, 64 + 31)


def test_the_field_of_view_reaches_from_edge_to_edge() -> None:
    columns, rows = photographs.places(View(0, 0, field=60), 1001, HEIGHT)
    assert rows[0, 500] == pytest.approx(HEIGHT / 2 - 30 - 0.5, abs=0.05)
    assert rows[-1, 500] == pytest.approx(HEIGHT / 2 + 30 - 0.5, abs=0.05)
    assert columns[500, -1] == pytest.approx(WIDTH / 2 + 30 - 0.5, abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_a_constant_panorama_gives_a_constant_view(seed: int) -> None:
    view = photographs.draw_view(np.random.default_rng(seed))
    panorama = np.broadcast_to(np.float32([0.25, 1, 30]), (HEIGHT, WIDTH, 3))
    found = photographs.render(np.ascontiguousarray(panorama), view, 32)
    np.testing.assert_allclose(found, np.broadcast_to(panorama[0, 0], found.shape), rtol=1e-5)


def test_the_seam_does_not_show() -> None:
    """A panorama that is smooth all around is so across its edge, too."""
    around = np.sin(np.radians(np.arange(WIDTH) + 0.5)).astype(np.float32) + 2
    panorama = np.ascontiguousarray(np.broadcast_to(around[None, :, None], (HEIGHT, WIDTH, 3)))
    found = photographs.render(panorama, View(180, 0, field=40), 64)[32, :, 0]
    steps = np.diff(found)
    assert steps.max() < 0 or steps.min() > 0
    assert np.abs(np.diff(steps)).max() < 0.002


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_a_small_sun_keeps_its_power_wherever_it_falls(size: int) -> None:
    """Its mean over the view, in whatever part of a pixel it is, is that of large views."""
    yaws = np.linspace(0, 5, 11)
    sums = [
        photographs.render(marked(180, 89) - np.float32(0.01), View(yaw, 0, field=60), size).mean()
        for yaw in yaws
    ]
    fine = photographs.render(marked(180, 89) - np.float32(0.01), View(0, 0, field=60), 512).mean()
    np.testing.assert_allclose(sums, fine, rtol=0.05)


def test_the_99th_percentile_is_exposed_to_nine_tenths_of_white() -> None:
    light = photographs.expose(scene(0))
    assert np.percentile(light.max(axis=2), 99) == pytest.approx(0.9, rel=1e-4)
    brighter = photographs.expose(scene(0), 0.25)
    np.testing.assert_allclose(brighter, light * 2**0.25, rtol=1e-5)


def test_a_black_view_stays_black() -> None:
    assert not photographs.expose(np.zeros((4, 4, 3), np.float32)).any()


def test_light_is_clipped_encoded_and_rounded() -> None:
    """IEC 61966-2-1: 0.9 -> 0.9547, 0.3185 -> 0.6, 0.002 -> 0.02584, of 255."""
    light = np.float32([[[0.9, 0.3185, 0.002], [1, 1.5, 3e4], [0, 0, 0]]])
    assert photographs.develop(light).tolist() == [[[243, 153, 7], [255, 255, 255], [0, 0, 0]]]


def test_a_pair_clips_as_said_and_differs_by_its_gain() -> None:
    plan = Plan(size=64)
    for seed in range(6):
        shot = photographs.draw_shot(scene(seed), np.random.default_rng(seed), plan)
        assert photographs.clipped_share(shot.reference) <= 0.02
        assert 0.03 <= photographs.clipped_share(shot.over_exposed) <= 0.95
        assert (shot.over_exposed >= shot.reference).all()
        # Encoded, k of 1.5 to 8 is about k ** (1 / 2.4); more in the curve's straight toe.
        assert 1.1 < measure_gain(shot.over_exposed, shot.reference) < 3


def test_a_veil_brightens_what_was_black() -> None:
    dark = photographs.draw_shot(scene(0), np.random.default_rng(0), Plan(size=32))
    veiled = photographs.draw_shot(scene(0), np.random.default_rng(0), Plan(size=32, veil=0.05))
    assert veiled.over_exposed.min() >= 63  # 0.05 encoded is 0.2474, 63 of 255
    assert dark.over_exposed.min() < veiled.over_exposed.min()
    np.testing.assert_array_equal(dark.reference, veiled.reference)


def test_a_panorama_without_contrast_is_no_endless_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(photographs, "MOST_DRAWS", 3)
    flat = {"flat": np.ones((HEIGHT, WIDTH, 3), np.float32)}
    with pytest.raises(UserError, match="flat: None of 3 views"):
        list(photographs.take(flat, 1, Plan(size=16), stream=0))


def test_each_half_is_judged_by_once() -> None:
    panoramas = {name: scene(seed) for seed, name in enumerate("abcde")}
    for judge, expected in (("even", "ace"), ("odd", "bd")):
        judged, learned = photographs.halves(panoramas, judge)
        assert "".join(judged) == expected
        assert sorted([*judged, *learned]) == list(panoramas)


def test_a_data_set_has_pairs_with_their_gains_and_training_frames_of_other_views(
    tmp_path: Path,
) -> None:
    data, plan = tmp_path / "data", Plan(train=4, test=3, size=32)
    judged, learned = photographs.halves({each: scene(ord(each)) for each in "abcd"}, "even")
    assert len(list(photographs.make_photographs(data, judged, learned, plan))) == 2
    pairs = read_pairs(data / "pairs.csv")
    assert [pair.reference.name for pair in pairs] == [
        f"0000{n}_{p}.png" for n, p in enumerate("aca")
    ]
    for pair in pairs:
        over_exposed, reference = read_image(pair.over_exposed), read_image(pair.reference)
        assert pair.gain == pytest.approx(measure_gain(over_exposed, reference), abs=1e-4)
    same, other = (next(photographs.take(learned, 1, plan, stream)) for stream in (1, 2))
    assert not np.array_equal(same[1].reference, other[1].reference)
    x, y = (sorted((data / each).iterdir()) for each in ("trainA", "trainB"))
    assert [path.name[6] for path in x] == [path.name[6] for path in y] == list("bdbd")
    with pytest.raises(UserError, match="there already"):
        list(photographs.make_photographs(data, judged, learned, plan))


def test_the_same_seed_makes_the_same_pictures() -> None:
    panoramas = {"a": scene(0)}
    first, again, other = (
        [
            shot.over_exposed
            for _, shot in photographs.take(panoramas, 2, Plan(size=16, seed=seed), 0)
        ]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_without_panoramas_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="blender-data"):
        photographs.find_panoramas([tmp_path])

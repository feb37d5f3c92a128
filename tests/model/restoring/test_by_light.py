"""HDR files are restored by their own light: right levels, no network, all else as for others."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command_line import run_cli
from helpers.made_greys import RAMP, greys, pq_png, radiance
from helpers.made_hdr import GAIN_MAPS, HDR_PICTURES
from helpers.made_pictures import scene
from helpers.restorers import decode, serving
from PIL import Image as Pillow
from PIL import ImageCms

import model.restoring.restore
from dataset.errors import UserError
from dataset.pictures.dynamic_range import HighDynamicRange, has_gain_map, hdr_curve
from dataset.pictures.images import read_image, write_png
from dataset.pictures.picture import read_picture
from dataset.pictures.tone import TONES
from model.options import TONE_NAMES, RestoreOptions
from model.restoring.baselines import gamma
from model.restoring.restore import Outcome, restore_files
from model.restoring.uploads import ServeLimits

DARK = [0] * 13  # nits of further stripes, so that less than a tenth is beyond white
ORIENTATION, ARTIST = 274, 315


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    path = tmp_path / "shot.png"
    path.write_bytes(pq_png(greys(*RAMP, *DARK)))
    return path


@pytest.fixture
def no_method(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("a network was asked for")

    monkeypatch.setattr(model.restoring.restore, "open_method", opened)


def restore(*paths: Path, **settings: Any) -> list[Outcome]:
    return list(restore_files(paths, RestoreOptions(**settings)))


def levels(path: Path) -> list[int]:
    """Of the stripes of `greys`, on 8 bits."""
    row = read_picture(path).pixels[5, 2::4][: len(RAMP)]
    assert np.ptp(row, axis=1).max() <= 1 / 255
    return np.rint(row[:, 1] * 255).astype(int).tolist()


@pytest.mark.usefixtures("no_method")
def test_light_in_nits_comes_out_right_without_a_network(shot: Path) -> None:
    (done,) = restore(shot)
    assert done.by_light
    assert levels(shot.with_name("shot_restored.png")) == list(RAMP.values())
    assert "HDR, PNG (PQ): by its own light, without a network" in str(done)
    assert "(white 203 nits, brightest 1,000, bt2390)" in str(done)
    data = done.target.read_bytes()
    assert not hdr_curve(data)
    assert b"cICP" not in data


@pytest.mark.usefixtures("no_method")
def test_where_much_is_beyond_white_the_picture_is_darkened(tmp_path: Path) -> None:
    """As where the white of Windows was made brighter than that of the standard."""
    bright = tmp_path / "desktop.png"
    bright.write_bytes(pq_png(greys(*[each * 480 / 203 for each in (0, 20, 60, 100, 203, 203)])))
    usual = tmp_path / "usual.png"
    usual.write_bytes(pq_png(greys(0, 20, 60, 100, 203, 203)))
    done = restore(bright, usual)
    assert "(-1.2 stops, white 203 nits, brightest 480, bt2390)" in str(done[0])
    assert "(white 203 nits, brightest 203, bt2390)" in str(done[1])
    seen = [read_image(each.target).astype(int) for each in done]
    assert np.abs(seen[0] - seen[1]).max() <= 1
    assert seen[0].max() == 255
    (same,) = restore(bright, exposure=math.log2(480 / 203), tone="clip", overwrite=True)
    assert read_image(same.target)[5, 2::4, 0].tolist() == [0, 133, 218, 255, 255, 255]


@pytest.mark.usefixtures("no_method")
def test_exposure_is_in_stops_and_a_curve_goes_by_name(shot: Path) -> None:
    restore(shot, out=shot.with_name("brighter.png"), exposure=1.0, tone="clip")
    assert levels(shot.with_name("brighter.png"))[3:6] == [RAMP[100], 253, 255]
    (done,) = restore(shot, out=shot.with_name("filmic.png"), tone="hable")
    assert levels(done.target) == [0, 12, 54, 114, 149, 186, 219, 252]
    assert "hable)" in str(done)


@pytest.mark.usefixtures("no_method")
def test_a_scene_is_exposed_by_its_log_average(tmp_path: Path) -> None:
    light = np.full((40, 40, 3), 0.01, np.float32)
    light[:, 30:] = [0.3, 0.15, 0.02]  # an orange lamp
    for name, factor in (("dark.hdr", 1), ("bright.hdr", 512)):  # 9 stops
        (tmp_path / name).write_bytes(radiance(light * factor))
    done = restore(tmp_path / "dark.hdr", tmp_path / "bright.hdr", out=tmp_path / "out")
    assert [each.target.name for each in done] == ["dark_restored.png", "bright_restored.png"]
    dark, bright = (read_image(each.target).astype(int) for each in done)
    assert np.abs(dark - bright).max() <= 1
    red, green, blue = dark[20, 35]
    assert 255 >= red > green + 40 > blue + 80
    assert all("Radiance HDR" in str(each) and "reinhard)" in str(each) for each in done)
    stops = [float(str(each).split(" stops")[0].split("(")[-1]) for each in done]
    assert stops[0] - stops[1] == pytest.approx(9, abs=0.2)


def test_names_of_curves_are_those_that_there_are() -> None:
    assert ("auto", *TONES) == TONE_NAMES


@pytest.mark.usefixtures("no_method")
def test_it_is_turned_upright_and_keeps_what_it_says(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[ORIENTATION], exif[ARTIST] = 6, "somebody"
    nits = greys(100, *[0] * 8, 1000, height=20, width=6)
    path = tmp_path / "a.png"
    path.write_bytes(pq_png(nits, exif.tobytes().removeprefix(b"Exif\0\0")))
    (done,) = restore(path)
    assert done.size == (20, 60)
    with Pillow.open(done.target) as found:
        assert found.size == (20, 60)
        assert found.getexif()[ARTIST] == "somebody"
        assert found.getexif().get(ORIENTATION, 1) == 1
    assert read_image(done.target)[[5, 55], 5, 0].tolist() == [RAMP[100], 255]


@pytest.mark.usefixtures("no_method")
@pytest.mark.parametrize(
    ("name", "ext", "result", "depth"),
    [
        ("a.png", "auto", "a_restored.png", 16),
        ("a.png", "jpg", "a_restored.jpg", 8),
        ("a.hdr", "auto", "a_restored.png", 8),
        ("a.hdr", "tiff", "a_restored.tiff", 16),
    ],
)
def test_depth(tmp_path: Path, name: str, ext: str, result: str, depth: int) -> None:
    nits = greys(10, 1000, width=16)
    (tmp_path / name).write_bytes(pq_png(nits) if name == "a.png" else radiance(nits))
    (done,) = restore(tmp_path / name, ext=ext)
    assert done.target.name == result
    assert read_picture(done.target).depth == depth


@pytest.mark.usefixtures("no_method")
def test_grey_stays_grey(tmp_path: Path) -> None:
    (tmp_path / "a.tiff").write_bytes(HDR_PICTURES["tiff, half floats"][0])
    (done,) = restore(tmp_path / "a.tiff")
    with Pillow.open(done.target) as found:
        assert found.getbands() == ("I",)  # 16 bits of grey, by Pillow's names


def test_in_a_folder_each_file_goes_its_own_way(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", scene())
    (tmp_path / "b.png").write_bytes(pq_png(greys(*RAMP, *DARK)))
    (tmp_path / "c.hdr").write_bytes(radiance(greys(1, 2, 3, 4)))
    (tmp_path / "d.hdr").write_bytes(radiance(greys(1, 2, 3, 4))[:-100])
    (tmp_path / "e.txt").write_bytes(b"none")
    done = restore(tmp_path, method="gamma")
    assert [each.by_light for each in done] == [False, True, True, False]
    assert [bool(each.fault) for each in done] == [False, False, False, True]
    assert "d.hdr cannot be decoded" in done[3].fault
    assert np.array_equal(
        read_image(tmp_path / "a_restored.png"),
        np.rint(gamma(scene() / np.float32(255)) * 255).astype(np.uint8),
    )
    assert levels(tmp_path / "b_restored.png") == list(RAMP.values())
    assert "by its own light" not in str(done[0])
    assert "--method gamma not used" in str(done[1])
    again = restore(tmp_path, method="gamma", resume=True)  # results are no inputs
    assert [each.source.name for each in again] == ["d.hdr"]
    with pytest.raises(UserError, match="--overwrite"):
        restore(tmp_path, method="gamma")
    assert len(restore(tmp_path, method="gamma", overwrite=True)) == 4


def test_a_shot_that_windows_saved_twice_has_two_results(tmp_path: Path) -> None:
    (tmp_path / "shot.hdr").write_bytes(radiance(greys(1, 2, 3, 4)))
    write_png(tmp_path / "shot.png", scene())
    done = restore(tmp_path, method="gamma", compare=True)
    names = [each.target.name for each in done]
    assert names == ["shot.hdr_restored.png", "shot_restored.png"]
    assert [each.by_light for each in done] == [True, False]
    assert restore(tmp_path, method="gamma", resume=True) == []
    assert len(restore(tmp_path, method="gamma", overwrite=True)) == 2


@pytest.mark.usefixtures("no_method")
def test_it_is_compared_with_its_light_cut_off_at_white(shot: Path) -> None:
    (done,) = restore(shot, compare=True)
    assert "compared in shot_restored_compared.png" in str(done)
    seen = read_image(shot.with_name("shot_restored_compared.png"))[-6, :, 0].tolist()
    left, right = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert {RAMP[100], 255} <= set(left)
    assert not {229, 250} & set(left)
    assert {RAMP[100], 229, 250} <= set(right)


@pytest.mark.usefixtures("no_method")
def test_strength_and_keep_start_from_light_cut_off_at_white(shot: Path) -> None:
    for strength, expected in ((0.0, 255), (0.5, 242), (1.0, 229)):
        (done,) = restore(shot, strength=strength, overwrite=True)
        assert levels(done.target)[5] == expected
    (done,) = restore(shot, keep="unclipped", overwrite=True)
    assert levels(done.target)[:5] == list(RAMP.values())[:5]


@pytest.mark.usefixtures("no_method")
def test_options_that_do_nothing_to_it_are_told(shot: Path) -> None:
    (done,) = restore(shot, run="mine", together=True)
    assert "--run mine, --together not used" in str(done)


def test_its_options_are_refused_where_there_is_no_hdr(tmp_path: Path, shot: Path) -> None:
    write_png(tmp_path / "a.png", scene())
    for settings in ({"exposure": -1.0}, {"tone": "hable"}):
        with pytest.raises(UserError, match="belong to HDR files, and there is none"):
            restore(tmp_path / "a.png", method="gamma", **settings)
    for settings in ({"exposure": np.nan}, {"strength": np.nan}):
        with pytest.raises(UserError, match="not a finite number"):
            restore(shot, **settings)


def test_no_line_tells_of_a_network_that_is_not_asked(
    shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shot.parent)
    told = run_cli("restore", shot.name)
    assert "built-in network" not in told
    assert "shot.png -> shot_restored.png" in told


def test_a_map_that_cannot_be_applied_leaves_the_sdr_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(GAIN_MAPS["Ultra HDR"])
    (done,) = restore(tmp_path / "a.jpg", method="gamma")
    assert not done.by_light
    assert "its gain map, which makes it HDR, left out" in str(done)


@pytest.mark.usefixtures("no_method")
def test_a_gain_map_is_applied_and_compared_with_the_sdr_picture(tmp_path: Path) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    light = np.ones((64, 96, 4), np.float16)
    light[:, :48, :3], light[:, 48:, :3] = 0.25, [4, 2, 0.5]
    path = tmp_path / "a.jpg"
    path.write_bytes(imagecodecs.ultrahdr_encode(light))
    (done,) = restore(path, compare=True)
    assert "HDR, JPEG with a gain map: by its own light" in str(done)
    assert not has_gain_map(done.target.read_bytes())
    red, green, blue = read_image(done.target)[32, 80].astype(int)
    assert red > green + 20 > blue + 40
    with Pillow.open(path) as own:  # of Display P3
        profile = ImageCms.ImageCmsProfile(io.BytesIO(own.info["icc_profile"]))
        shown = ImageCms.profileToProfile(own, profile, ImageCms.createProfile("sRGB"))
    seen = read_image(tmp_path / "a_restored_compared.png")[-32, 80].astype(int)
    assert np.abs(seen - shown.getpixel((80, 32))).max() <= 2
    with serving() as guest:
        sent = guest.restore(path.read_bytes(), "a.jpg")
        assert (sent.kinds["before"], sent.parts["before"]) == ("image/jpeg", b"")


def test_the_page_restores_hdr_and_shows_what_was_cut_off() -> None:
    with serving() as guest:
        found = guest.restore(radiance(greys(0.01, 0.02, 0.04, 2, 6)), "shot.hdr")
        assert (found.state, found.result_name) == ("done", "shot_restored.png")
        assert (found.kinds["before"], found.kinds["result"]) == ("image/png", "image/png")
        before, after = (decode(found.parts[each])[5, 2::4, 0] for each in ("before", "result"))
        assert before[-1] == before[-2] == 255 > after[-2]
        assert np.all(np.diff(after.astype(int)) > 0)
        assert "by its own light" in found.facts["notes"][0]
        none = guest.restore(radiance(greys(0.01, 0.02, 0.04, 2, 6)), "shot.hdr", "&strength=0")
        assert np.array_equal(decode(none.parts["result"])[5, 2::4, 0], before)
        assert guest.restore(radiance(greys(1, 2)), "cut.hdr").state == "done"
        assert guest.restore(radiance(greys(1, 2))[:-30], "cut.hdr").state == "failed"
        assert ".jxr" in guest.ask("/facts")[1].decode()
    with serving(limits=ServeLimits(pixels=100)) as guest:
        for data in (radiance(greys(1, 2)), pq_png(greys(1, 2))):
            assert "over the 100 that" in guest.restore(data, "a.png").message.replace(
                "0.0001 million", "100"
            )


def test_sdr_readers_still_refuse_it_and_name_the_way(shot: Path) -> None:
    with pytest.raises(HighDynamicRange, match="`cli restore` makes SDR pictures of it"):
        read_picture(shot)
    (done,) = restore(shot, compare=True, reference=shot)
    assert "shot.png is an HDR picture (PQ): `cli restore` makes SDR pictures of it" in done.fault

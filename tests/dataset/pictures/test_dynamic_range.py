"""HDR is never taken for SDR, by any command; a gain map that is left out is told of."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from dataset.errors import BrokenPictures, UserError
from dataset.labelling.hud_mask import read_mask
from dataset.labelling.labels import label_captures
from dataset.labelling.statistics import why_unfit
from dataset.layout.readers import left_out_beside
from dataset.options import LabelOptions
from dataset.pictures.dynamic_range import HighDynamicRange, has_gain_map, hdr_curve
from dataset.pictures.encoding import write_picture
from dataset.pictures.images import read_image, write_png
from dataset.pictures.picture import decode_picture, read_picture
from dataset.pictures.video_decoding import describe
from dataset.sessions.finding import find_importable
from dataset.sessions.imports import import_files
from model.evaluation.paired import unchanged
from model.evaluation.unpaired import evaluate_unpaired
from model.options import RestoreOptions
from model.restoring.restore import restore_files
from model.restoring.uploads import ServeLimits, Upload, check_upload
from model.training.frame_cache import load_frames
from tests.helpers.made_hdr import GAIN_MAPS, HDR_PICTURES, HLG, PQ, SDR_PICTURES, hdr_png
from tests.helpers.made_pictures import saved, scene
from tests.helpers.made_videos import film

WORDS = (
    r"is an HDR picture \({}\): `cli restore` makes SDR pictures of it, `cli expose` frames of "
    r"many exposures\. Its levels "
)


@pytest.mark.parametrize(("data", "curve"), HDR_PICTURES.values(), ids=HDR_PICTURES)
def test_every_way_of_saying_hdr_is_understood(tmp_path: Path, data: bytes, curve: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    for reader in (read_image, read_picture):
        with pytest.raises(HighDynamicRange, match=WORDS.format(curve)) as caught:
            reader(tmp_path / "a.png")
        assert caught.value.exit_code == 1


@pytest.mark.parametrize("data", SDR_PICTURES.values(), ids=SDR_PICTURES)
def test_sdr_is_taken(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    assert read_image(tmp_path / "a.png").shape == (24, 36, 3)
    assert read_picture(tmp_path / "a.png").notes == ()


@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
@pytest.mark.parametrize("curve", [PQ, HLG])
def test_no_command_takes_an_hdr_picture_for_sdr(tmp_path: Path, curve: int, deep: bool) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    write_png(shots / "a.png", scene())
    hdr = shots / "hdr.png"
    hdr.write_bytes(hdr_png(curve, deep))
    words = "`cli restore` makes SDR pictures of it"
    imported = import_files([shots], tmp_path / "captures", session="s")  # import
    assert (imported.sessions[0].frames, len(imported.skipped)) == (1, 1)
    assert words in imported.skipped[0]
    frame = tmp_path / "captures/s/frames/000000.png"  # label
    frame.unlink()  # it is a link to the picture that was imported
    shutil.copy(hdr, frame)
    labelled = label_captures(LabelOptions(source=tmp_path / "captures"))
    assert (labelled.counts["drop"], labelled.reasons) == (1, {"HDR": 1})
    assert "1 HDR). HDR: `cli restore` makes SDR pictures of it, `cli expose` frames" in str(
        labelled
    )
    (done,) = restore_files([hdr], RestoreOptions(method="cielab"))  # restore: by its light
    assert done.by_light
    assert not hdr_curve(done.target.read_bytes())
    done.target.unlink()
    with pytest.raises(HighDynamicRange, match=words):  # the page
        check_upload(Upload("hdr.png", hdr.read_bytes()), ServeLimits())
    found = evaluate_unpaired([shots / "a.png", hdr], [], {"none": unchanged})  # evaluate
    assert len(found.over_exposed["none"]) == 1
    assert words in found.skipped[0]
    with pytest.raises(BrokenPictures, match=words):  # train
        load_frames([shots / "a.png", hdr], 8, 0)
    with pytest.raises(UserError, match=words):  # a HUD mask
        read_mask(hdr)


def test_hdr_files_that_are_left_out_are_told_the_way(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", scene())
    (tmp_path / "b.gif").write_bytes(b"GIF89a")
    way = "HDR: `cli restore` makes SDR pictures of it, `cli expose` frames of many exposures."
    assert way not in left_out_beside([tmp_path / "a.png"])[0]
    (tmp_path / "c.exr").write_bytes(HDR_PICTURES["exr"][0])
    assert left_out_beside([tmp_path / "a.png"])[0].endswith(way)
    assert find_importable([tmp_path], tmp_path / "captures").notes == [
        f"left out: 1 GIF, 1 OpenEXR. Convert pictures to PNG, videos to MP4. {way}"
    ]
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=way):
        find_importable([tmp_path], tmp_path / "captures")


def test_a_frame_that_is_hdr_is_unfit() -> None:
    assert why_unfit(hdr_png()) == "HDR"


@pytest.mark.parametrize("curve", [PQ, HLG])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".ts", ".avi", ".flv", ".m4v"])
def test_hdr_recordings_are_refused_in_every_container(
    tmp_path: Path, suffix: str, curve: int
) -> None:
    path = film(tmp_path / f"a{suffix}", curve=curve, codec="libx264")
    with pytest.raises(HighDynamicRange, match="is an HDR recording"):
        describe(path)
    with pytest.raises(UserError, match="is an HDR recording"):
        import_files([path], tmp_path / "captures")
    (done,) = restore_files([path], RestoreOptions(method="cielab"))
    assert "is an HDR recording" in done.fault


@pytest.mark.parametrize(("box", "is_hdr"), [(b"RESI", True), (b"SPEC", True), (b"jumb", False)])
def test_the_hdr_part_of_a_jpeg_xt_is_left_out_and_told_of(
    tmp_path: Path, box: bytes, is_hdr: bool
) -> None:
    plain = saved(scene(), "JPEG")
    content = b"JP\0\1\0\0\0\1" + struct.pack(">I4s", 16, box) + bytes(8)
    data = plain[:2] + struct.pack(">BBH", 0xFF, 0xEB, len(content) + 2) + content + plain[2:]
    note = "its HDR part (JPEG XT) left out: the SDR picture was restored"
    assert (note in decode_picture(data, "a.jpg").notes) == is_hdr
    (tmp_path / "a.jpg").write_bytes(data)
    told = import_files([tmp_path / "a.jpg"], tmp_path / "captures").notes
    assert any("HDR part of a JPEG XT" in each for each in told) == is_hdr


@pytest.mark.parametrize("data", GAIN_MAPS.values(), ids=GAIN_MAPS)
def test_a_gain_map_is_left_out_and_told_of(tmp_path: Path, data: bytes) -> None:
    assert has_gain_map(data)
    picture = decode_picture(data, "a.jpg")
    assert picture.notes == (
        "its gain map, which makes it HDR, left out: the SDR picture was restored",
    )
    (tmp_path / "a.jpg").write_bytes(data)
    imported = import_files([tmp_path / "a.jpg"], tmp_path / "captures")
    assert imported.notes == ("1 of 1 pictures: a gain map (HDR) left out, the SDR picture taken",)


def test_a_restored_picture_does_not_claim_a_gain_map(tmp_path: Path) -> None:
    picture = decode_picture(GAIN_MAPS["Ultra HDR"], "a.jpg")
    write_picture(tmp_path / "b.jpg", picture)
    data = (tmp_path / "b.jpg").read_bytes()
    assert not has_gain_map(data)
    assert b"hdrgm" not in data
    assert b"GainMap" not in data
    assert b'tiff:Orientation="1"' in data


def test_pictures_without_a_gain_map_are_not_said_to_have_one() -> None:
    assert not any(has_gain_map(data) for data in SDR_PICTURES.values())


def test_levels_are_as_stored_where_a_profile_is_sdr(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(SDR_PICTURES["sRGB in cICP"])
    assert np.array_equal(read_image(tmp_path / "a.png"), scene())

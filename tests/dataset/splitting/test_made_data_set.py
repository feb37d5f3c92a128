"""The data set on disk as others read it, its leak report, and what is dropped as a repeat."""

from __future__ import annotations

import csv
import gc
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.data_sets import all_bytes, record
from helpers.made_sessions import frame, make_session, make_sweep
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.errors import UserError
from dataset.layout.readers import LAYOUTS
from dataset.options import SplitOptions
from dataset.pictures.images import read_image
from dataset.sessions.columns import read_columns
from dataset.sessions.manifest import read_frames
from dataset.splitting.leaks import nearest_hashes
from dataset.splitting.near_hashes import near_pairs
from dataset.splitting.split import plan_captures, split_captures

pytestmark = pytest.mark.slow

COUNTS = (12, 11, 5, 4)
SCENE = 0x0F1E2D3C4B5A6978  # 32 of 64 bits set


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    make_sweep(tmp_path / "captures", "sweep", 20, [0, 0.5])
    return tmp_path / "captures"


def split(captures: Path, **values: Any) -> Path:
    """Make a data set beside the captures and return its folder."""
    plain = SplitOptions(captures, captures.parent / "data", COUNTS)
    split_captures(replace(plain, **values))
    return captures.parent / "data"


def test_torchvision_reads_the_image_folder(captures: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    data = split(captures, layout="imagefolder")
    for side, counts in (("train", [12, 11]), ("test", [5, 4])):
        found = datasets.ImageFolder(data / side)
        assert found.classes == ["X", "Y"]
        assert np.bincount(found.targets).tolist() == counts
        image, target = found[0]
        assert (image.size, target) == ((20, 20), 0)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves metadata.csv open
def test_hugging_face_reads_the_image_folder(
    captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    data = split(captures, layout="imagefolder")
    datasets.disable_progress_bars()
    cache = captures.parent / "cache"
    found = datasets.load_dataset("imagefolder", data_dir=str(data), cache_dir=str(cache))
    assert {side: len(found[side]) for side in found} == {"train": 23, "test": 9}
    assert set(found["test"].column_names) == {"image", "label", "session", "frame", "group"}
    for row in found["test"]:
        brightest = np.asarray(row["image"]).max()
        assert row["label"] == {90: "X", 255: "Y"}[int(brightest)]
    del found, row
    gc.collect()


def test_the_cyclegan_folders_hold_pictures_and_nothing_else(captures: Path) -> None:
    # junyanz/pytorch-CycleGAN-and-pix2pix, data/image_folder.py: every picture under
    # dataroot/phase + "A", sorted; the domains are drawn from independently.
    data = split(captures)
    found = [sorted((data / each).iterdir()) for each in ("trainA", "trainB", "testA", "testB")]
    assert tuple(map(len, found)) == COUNTS
    assert {each.suffix for folder in found for each in folder} == {".png"}


@pytest.mark.parametrize("layout", ["cyclegan", "imagefolder"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within mlcroissant's own packages
def test_croissant_metadata_is_valid_and_leads_to_the_files(captures: Path, layout: str) -> None:
    croissant = pytest.importorskip("mlcroissant")
    data = split(captures, layout=layout)
    found = croissant.Dataset(jsonld=data / "croissant.json")
    assert not found.metadata.ctx.issues.errors
    for folder, count in zip(LAYOUTS[layout], COUNTS, strict=True):
        name = folder.replace("/", "-")
        rows = list(found.records(name))
        assert len(rows) == count
        assert {row[f"{name}/file"].decode() for row in rows} == {
            each.name for each in (data / folder).glob("*.png")
        }
        assert rows[0][f"{name}/image"].size == (20, 20)


@pytest.mark.parametrize("layout", ["cyclegan", "imagefolder"])
def test_origins_lead_to_the_recorded_files(captures: Path, layout: str) -> None:
    data = split(captures, layout=layout)
    found = record(data)
    for each in found["files"]:
        original = data / found["sessions"][each["session"]] / each["file"]
        assert original.read_bytes() == (data / each["path"]).read_bytes()


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=4, max_size=12),
    st.integers(0, 9),
    st.sampled_from(["cyclegan", "imagefolder"]),
)
@settings(deadline=None, max_examples=12)
def test_a_split_is_a_partition_and_the_same_again(
    scenes: list[tuple[int, int]], seed: int, layout: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        captures = Path(folder) / "captures"
        shares = [(n, share) for n, (x, y) in enumerate(scenes) for share in [0] * x + [0.5] * y]
        frames = [frame(at, at, viewpoint=f"v{scene}") for at, (scene, _) in enumerate(shares)]
        make_session(captures, "made", frames, [share for _, share in shares])
        data = split(captures, fit=True, seed=seed, layout=layout, counts=(9, 9, 3, 3))
        found, first = record(data), all_bytes(data)
        origins = [each["file"] for each in found["files"]]
        assert len(set(origins)) == len(origins) == sum(found["counts"].values())
        for name, count in found["counts"].items():
            assert len(list((data / name).glob("*.png"))) == count
        sides = {(each["group"], each["path"].startswith("test")) for each in found["files"]}
        assert len({group for group, _ in sides}) == len(sides)
        split(captures, fit=True, seed=seed, layout=layout, counts=(9, 9, 3, 3))
        assert all_bytes(data) == first


def test_one_session_as_the_source_has_origins_too(captures: Path) -> None:
    data = split(captures / "sweep")
    assert data == captures / "data"
    assert (data / record(data)["sessions"]["sweep"] / "frames.jsonl").is_file()


def test_metadata_names_the_files_of_its_side(captures: Path) -> None:
    data = split(captures, layout="imagefolder")
    for side in ("train", "test"):
        with (data / side / "metadata.csv").open(encoding="utf-8", newline="") as table:
            names = {row["file_name"] for row in csv.DictReader(table)}
        there = {each.relative_to(data / side).as_posix() for each in (data / side).rglob("*.png")}
        assert names == there


def test_another_layout_replaces_the_first_and_leaves_what_is_foreign(captures: Path) -> None:
    data = split(captures)
    first = all_bytes(data)
    mine = data / "testB" / "mine.txt"
    mine.write_text("mine")
    split(captures, layout="imagefolder")
    assert not (data / "trainA").exists()
    assert [each.name for each in (data / "testB").iterdir()] == ["mine.txt"]
    mine.unlink()
    split(captures)
    assert not (data / "train").exists()
    assert all_bytes(data) == first


def test_what_somebody_changed_in_a_data_set_is_kept_and_named(captures: Path) -> None:
    data = split(captures, layout="imagefolder")
    names = ["pairs.csv", "README.md", "train/metadata.csv"]
    for name in names:
        path = data / name
        path.write_bytes(path.read_bytes().replace(b",", b";") + b"mine\n")
    mine = [(data / name).read_bytes() for name in names]
    options = SplitOptions(captures, data, COUNTS, layout="imagefolder")
    summary = split_captures(options)
    kept = ["pairs.edited.csv", "README.edited.md", "train/metadata.edited.csv"]
    assert [(data / name).read_bytes() for name in kept] == mine
    assert set(summary.edited) == {data / name for name in kept}
    assert f"Changed by hand since it was written, and kept: {data}" in str(summary)
    assert b"mine" not in (data / "pairs.csv").read_bytes()
    (data / "pairs.csv").write_bytes(b"again")
    assert split_captures(options).edited == (data / "pairs.edited-2.csv",)
    assert split_captures(options).edited == ()


def test_a_picture_of_somebody_in_the_report_is_in_the_way(captures: Path) -> None:
    data = split(captures)
    found = record(data)
    found["extras"] = []
    (data / "split.json").write_text(json.dumps(found), encoding="utf-8")
    theirs = (data / "report/leaks.png").read_bytes()
    with pytest.raises(UserError, match=r"leaks\.png is in the way"):
        split(captures)
    assert (data / "report/leaks.png").read_bytes() == theirs


def test_the_report_is_in_the_card_and_can_be_seen(captures: Path) -> None:
    data = split(captures)
    card = (data / "README.md").read_text(encoding="utf-8")
    for name in ("leaks.png", "clipped.png", "sheet_X.png", "sheet_Y.png"):
        assert f"(report/{name})" in card
        assert read_image(data / "report" / name).std() > 0
    assert "differing bits" in card


def test_a_plan_writes_nothing(captures: Path) -> None:
    split_captures(SplitOptions(captures, captures.parent / "data", COUNTS))  # labels them
    before = all_bytes(captures)
    planned = plan_captures(SplitOptions(captures, captures.parent / "other", COUNTS))
    assert planned.summary(copied=0).counts == COUNTS
    assert all_bytes(captures) == before
    assert not (captures.parent / "other").exists()


def test_leaks_are_those_that_a_full_comparison_finds(captures: Path) -> None:
    make_session(
        captures,
        "flight",
        [frame(at, at / 2, scene="flight") for at in range(600)],
        [0.5 * (at // 40 % 2) for at in range(600)],
    )
    data = split(captures, counts=(150, 150, 60, 60))
    found = record(data)
    facts = {
        (name, each.file): each
        for name in ("sweep", "flight")
        for each in read_frames(captures / name)
    }
    sides: dict[bool, list[Any]] = {True: [], False: []}
    for each in found["files"]:
        sides[each["path"].startswith("test")].append(
            (each["session"], facts[each["session"], each["file"]])
        )
    bits = [
        min((int(t.phash, 16) ^ int(other.phash, 16)).bit_count() for _, other in sides[False])
        for _, t in sides[True]
    ]
    times = [
        gap
        for name, t in sides[True]
        if name == "flight"
        and (
            gap := min(
                abs(t.monotonic_ns - other.monotonic_ns) / 1e9
                for session, other in sides[False]
                if session == name
            )
        )
    ]
    leaks = found["leaks"]
    assert leaks["closest_s"] == leaks["time_s"]["min"] == min(times)
    assert leaks["time_s"]["median"] == np.median(times)
    assert leaks["time_s"]["nearer_than"]["10"] == sum(each < 10 for each in times)
    assert leaks["hash_bits"]["frames"] == 120
    assert leaks["hash_bits"]["min"] == min(bits) == leaks["worst"][0]["bits"]
    assert leaks["hash_bits"]["median"] == np.median(bits)


def test_what_looks_alike_is_used_once_in_a_domain(tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    make_sweep(captures, "a", 12, [0, 0.5])
    # b's first X, c's first X and c's first Y look alike: a repeat in the domain is dropped,
    # across domains they only group.
    looks = {0: SCENE ^ 1, 1: SCENE ^ 2}
    for name, changed in (("b", {0: SCENE}), ("c", looks)):
        frames = [frame(at, at, scene=name, viewpoint=f"{at // 2}") for at in range(24)]
        frames = [
            replace(each, phash=f"{changed[at]:016x}") if at in changed else each
            for at, each in enumerate(frames)
        ]
        make_session(captures, name, frames, [0, 0.5] * 12)
    options = SplitOptions(captures, tmp_path / "data", COUNTS)
    dropped = plan_captures(options)
    assert dropped.left_out["like a frame of another session"] == 1
    assert len(dropped.table) == 71
    kept = plan_captures(replace(options, duplicates="keep"))
    assert "like a frame of another session" not in kept.left_out
    assert [kept.table.session(at) for at in kept.table.repeats.nonzero()[0]] == ["c"]
    groups = {
        (kept.table.session(at), kept.table.file[at]): int(kept.pool.group[at])
        for at in range(len(kept.table))
    }
    first, second = "frames/000000.png", "frames/000001.png"
    assert groups["b", first] == groups["c", first] == groups["c", second]


def test_columns_say_what_the_manifest_says(captures: Path) -> None:
    frames = [frame(9 - at, at, viewpoint="v" if at % 2 else None) for at in range(10)]
    frames[3] = replace(frames[3], light="Reference sun", sha256=None, phash="f")
    session = make_session(captures, "mixed", frames, [0] * 10)
    columns = read_columns(session)
    expected = sorted(read_frames(session), key=lambda each: each.index)
    assert columns.index.tolist() == [each.index for each in expected]
    assert columns.file == [each.file for each in expected]
    assert columns.time_ns.tolist() == [each.monotonic_ns for each in expected]
    assert (columns.viewpoint >= 0).tolist() == [each.viewpoint == "v" for each in expected]
    assert columns.reference.nonzero()[0].tolist() == [6]
    assert columns.sha256[6] == b""
    assert columns.phash.tolist() == [int(each.phash or "0", 16) for each in expected]


def test_a_line_that_was_cut_off_is_passed_over_and_a_damaged_one_named(captures: Path) -> None:
    manifest = captures / "sweep" / "frames.jsonl"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole + b'{"index": 40, "fi')
    assert len(read_columns(captures / "sweep").file) == 40
    lines = whole.splitlines(keepends=True)
    for bad in (b"{broken\n", b"{},{}\n", b"[1]\n", b'{"index": 1}\n'):
        manifest.write_bytes(b"".join([*lines[:4], bad, *lines[4:]]))
        with pytest.raises(UserError, match="line 5 is damaged"):
            read_columns(captures / "sweep")


hashes = st.lists(st.integers(0, 255).map(lambda value: SCENE ^ value), max_size=40, unique=True)


@given(hashes, st.integers(0, 2))
def test_near_pairs_are_those_that_a_full_comparison_finds(values: list[int], bits: int) -> None:
    known = sorted(values)
    found = {
        (one, two)
        for low, high in near_pairs(np.array(known, np.uint64), bits)
        for one, two in zip(low.tolist(), high.tolist(), strict=True)
    }
    assert found == {
        (one, two)
        for two in range(len(known))
        for one in range(two)
        if (known[one] ^ known[two]).bit_count() <= bits
    }


@given(hashes, hashes.filter(bool))
def test_the_nearest_hash_is_nearest(test: list[int], train: list[int]) -> None:
    bits, place = nearest_hashes(np.array(test, np.uint64), np.array(train, np.uint64))
    for value, apart, at in zip(test, bits.tolist(), place.tolist(), strict=True):
        assert apart == (value ^ train[at]).bit_count()
        assert apart == min((value ^ other).bit_count() for other in train)

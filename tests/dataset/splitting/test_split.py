"""From labelled sessions to trainA, trainB, testA and testB."""

from __future__ import annotations

import csv
import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.data_sets import all_bytes, record
from helpers.made_sessions import frame, make_session, make_sweep, picture
from helpers.members import Member, columns_of
from hypothesis import given, settings
from hypothesis import strategies as st

import cli
from dataset.errors import UserError
from dataset.labelling.labels import label_captures, read_labels, write_labels
from dataset.layout import folders as layout
from dataset.layout.folders import check_split_folder
from dataset.layout.pairs import read_pairs
from dataset.options import LabelOptions, SplitOptions
from dataset.pictures.images import read_image, resize_area
from dataset.pictures.png import encode_png
from dataset.sessions.imports import import_files
from dataset.sessions.manifest import Frame
from dataset.splitting.groups import Neighbours
from dataset.splitting.plan import Pool, plan_largest, plan_split
from dataset.splitting.sheets import contact_sheet
from dataset.splitting.split import split_captures

FOLDERS = ("trainA", "trainB", "testA", "testB")


def options(tmp_path: Path, **values: Any) -> SplitOptions:
    return replace(SplitOptions(tmp_path / "captures", tmp_path / "data"), **values)


def held(data: Path) -> tuple[int, ...]:
    return tuple(len(list((data / folder).iterdir())) for folder in FOLDERS)


def make_recordings(captures: Path, sessions: int, seconds: int, fps: int) -> None:
    """Flights without viewpoints in which the light goes up and down every 40 s."""
    for number in range(sessions):
        frames = [frame(at, at / fps, scene=f"{number}") for at in range(seconds * fps)]
        light = [0.5 if each.monotonic_ns // 20_000_000_000 % 2 else 0.0 for each in frames]
        make_session(captures, f"flight {number}", frames, light)


def assert_no_leak(data: Path) -> None:
    found = record(data)
    sides: dict[int, set[str]] = {}
    for each in found["files"]:
        sides.setdefault(each["group"], set()).add(each["path"][:4])
    assert all(len(each) == 1 for each in sides.values())
    assert found["leaks"]["groups_on_both_sides"] == 0
    assert found["leaks"]["identical_files_on_both_sides"] == 0


@pytest.mark.slow
def test_exactly_the_papers_counts(tmp_path: Path) -> None:
    # Table 1 needs 5,076 X and 4,300 Y. Ten flights of 600 s at 1 frame/s give 3,000 of each,
    # a sweep of 500 viewpoints with 6 X and 4 Y gives 3,000 and 2,000: 6,000 and 5,000.
    captures = tmp_path / "captures"
    make_recordings(captures, sessions=10, seconds=600, fps=1)
    make_sweep(captures, "sweep", 500, [0, 0, 0, 0, 0, 0, 0.3, 0.4, 0.5, 0.6])
    summary = split_captures(options(tmp_path))
    assert held(tmp_path / "data") == summary.counts == (3864, 3520, 1212, 780)
    assert_no_leak(tmp_path / "data")
    assert summary.closest_s is not None
    assert summary.closest_s >= 2
    card = (tmp_path / "data/README.md").read_text(encoding="utf-8")
    assert "| Training | 3,864 | 3,520 |\n| Testing  | 1,212 |   780 |" in card
    assert summary.table1 in str(summary)
    assert summary.table1 in card


def test_a_is_x_and_b_is_y(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 10, [0, 0.5])
    split_captures(options(tmp_path, counts=(6, 6, 3, 3)))
    for folder, brightest in zip(FOLDERS, (90, 255, 90, 255), strict=True):
        for path in (tmp_path / "data" / folder).iterdir():
            assert read_image(path).max() == brightest


def test_every_file_has_an_origin(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 10, [0, 0.5])
    split_captures(options(tmp_path, counts=(6, 6, 3, 3)))
    data = tmp_path / "data"
    origins = {each["path"]: each for each in record(data)["files"]}
    assert set(origins) == {name for name in all_bytes(data) if name.startswith("t")}
    for path, origin in origins.items():
        original = tmp_path / "captures" / origin["session"] / origin["file"]
        assert (data / path).read_bytes() == original.read_bytes()
        assert origin["label"] == {"A": "X", "B": "Y"}[path.split("/")[0][-1]]
        assert origin["source"] == "clipping"


@pytest.mark.slow
def test_frames_around_a_cut_are_left_out(tmp_path: Path) -> None:
    make_recordings(tmp_path / "captures", sessions=1, seconds=400, fps=4)
    summary = split_captures(options(tmp_path, fit=True, guard_s=3))
    times: dict[str, list[int]] = {"train": [], "test": []}
    for each in record(tmp_path / "data")["files"]:
        index = int(each["file"][-10:-4])
        times[each["path"].split("/")[0][:-1]].append(index)
    gaps = np.abs(np.subtract.outer(times["train"], times["test"])) / 4  # 4 frames/s
    assert gaps.min() >= 3
    assert summary.closest_s == gaps.min()
    assert summary.left_out["too near to the test"] > 0


def test_fit_keeps_the_papers_proportions(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 60, [0, 0.5])
    summary = split_captures(options(tmp_path, fit=True))
    # 60 X: 46 + 14 at 46/3864 of Table 1, which is 46.0, 41.9, 14.4, 9.3
    assert summary.counts == held(tmp_path / "data") == (46, 41, 14, 9)
    assert_no_leak(tmp_path / "data")
    assert "Fewer than was asked for" in (tmp_path / "data/README.md").read_text(encoding="utf-8")


def test_fit_makes_nothing_larger_than_asked_for(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 30, [0, 0.5])
    assert split_captures(options(tmp_path, fit=True, counts=(4, 3, 2, 1))).counts == (4, 3, 2, 1)


def test_fit_divides_a_short_recording_too(tmp_path: Path) -> None:
    # 20 s, one stretch of 10 s light and one dark by turns every two seconds: halved to 5 s.
    frames = [frame(at, at / 5) for at in range(60)]
    light = [0.5 * (at // 5 % 2) for at in range(60)]
    make_session(tmp_path / "captures", "short", frames, light)
    summary = split_captures(options(tmp_path, fit=True))
    assert min(summary.counts) >= 1
    assert summary.closest_s is None or summary.closest_s >= 2
    assert_no_leak(tmp_path / "data")


def test_too_few_frames_say_what_is_missing_and_how_to_go_on(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 60, [0, 0.5])
    with pytest.raises(UserError) as caught:
        split_captures(options(tmp_path, counts=(100, 40, 20, 10)))
    text = str(caught.value)
    assert "60 X and 60 Y" in text
    assert "Missing: 60 X." in text  # 100 + 20 wanted; 40 + 10 Y are there
    assert "--fit" in text
    assert "--counts TRAIN_X,TRAIN_Y,TEST_X,TEST_Y" in text
    assert not (tmp_path / "data").exists()


def test_enough_frames_in_too_few_groups_say_so(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 2, [0] * 10 + [0.5] * 10)
    with pytest.raises(UserError, match="There are enough, but only in 2 groups with X"):
        split_captures(options(tmp_path, counts=(15, 15, 5, 5)))


def test_one_group_cannot_be_divided(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 1, [0, 0, 0.5, 0.5])
    with pytest.raises(UserError, match="cannot be kept apart"):
        split_captures(options(tmp_path, fit=True))


def import_alike(tmp_path: Path, name: str) -> SplitOptions:
    """Twelve pictures of X and twelve of Y, whose files have one time."""
    random = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "shots" / name.format(number)
        path.parent.mkdir(exist_ok=True)
        shape = (8, 8, 3) if number % 2 else (8, 9, 3)
        image = resize_area(random.integers(0, 200, shape, np.uint8), (96, 64 + number % 2))
        image[: 20 if number % 4 < 2 else 0] = 255
        path.write_bytes(encode_png(image))
        os.utime(path, (1.7e9, 1.7e9))
    import_files([tmp_path / "shots"], tmp_path / "captures", session="shots")
    return options(tmp_path, fit=True, phash_bits=-1)


def test_pictures_of_one_time_are_divided_as_the_message_says(tmp_path: Path) -> None:
    asked = import_alike(tmp_path, "shot {}.png")
    with pytest.raises(UserError, match=r"in only 1 groups .* 24 are imported .*--burst-frames "):
        split_captures(asked)
    done = split_captures(replace(asked, burst_frames=3))
    assert done.groups > 4
    assert "frames of several sizes: " in str(done)
    assert "of 96x64" in done.sizes
    assert "of 96x65" in done.sizes


def test_pictures_whose_names_say_when_are_divided_by_that(tmp_path: Path) -> None:
    done = split_captures(import_alike(tmp_path, "202401311234{:02}_1.png"))
    assert done.groups >= 3  # of 24 s, in stretches of at most 10 s
    assert done.closest_s is not None
    assert done.closest_s >= 2


def test_an_empty_domain_is_named(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 9, [0])
    with pytest.raises(UserError, match=r"9 X and 0 Y.*with Y frames"):
        split_captures(options(tmp_path, fit=True))


def test_a_second_run_gives_the_same_bytes(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 30, [0, 0, 0.5])
    split_captures(options(tmp_path, fit=True))
    before = all_bytes(tmp_path / "data")
    split_captures(options(tmp_path, fit=True))
    assert all_bytes(tmp_path / "data") == before
    split_captures(options(tmp_path, fit=True, seed=1))
    assert set(all_bytes(tmp_path / "data")) != set(before)
    split_captures(options(tmp_path, fit=True))
    assert all_bytes(tmp_path / "data") == before


def test_a_second_run_leaves_files_of_others_alone(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 30, [0, 0, 0.5])
    split_captures(options(tmp_path, fit=True))
    theirs = tmp_path / "data/trainA/mine.png"
    theirs.write_bytes(b"mine")
    split_captures(options(tmp_path, fit=True, seed=3))
    assert theirs.read_bytes() == b"mine"


def test_a_run_that_was_stopped_is_cleared_up_by_the_next(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 30, [0, 0, 0.5])

    def stop(done: int, total: int) -> None:
        if total < 90 and done == 5:  # 90 frames are labelled; fewer are linked
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        split_captures(options(tmp_path, fit=True), stop)
    assert record(tmp_path / "data")["complete"] is False
    summary = split_captures(options(tmp_path, fit=True, seed=4))
    assert held(tmp_path / "data") == summary.counts
    assert record(tmp_path / "data")["complete"] is True


def test_frames_that_training_has_decoded_are_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / "data" / ".cache").mkdir(parents=True)
    check_split_folder(tmp_path / "data")
    (tmp_path / "data" / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="did not write"):
        check_split_folder(tmp_path / "data")


@pytest.mark.parametrize("name", ["holiday.jpg", "split.json"])
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, name: str) -> None:
    make_sweep(tmp_path / "captures", "sweep", 30, [0, 0.5])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match="did not write"):
        split_captures(options(tmp_path, fit=True))
    assert all_bytes(tmp_path / "data") == {name: b"{}"}


def test_a_forged_split_json_removes_nothing_outside(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 30, [0, 0.5])
    (tmp_path / "precious.png").write_bytes(b"1")
    paths = ["../precious.png", "trainA/../../precious.png", str(tmp_path / "precious.png")]
    (tmp_path / "data").mkdir()
    forged = {"tool": "unclip", "files": [{"path": each} for each in paths]}
    (tmp_path / "data/split.json").write_text(json.dumps(forged), encoding="utf-8")
    with pytest.raises(UserError, match="did not write"):
        split_captures(options(tmp_path, fit=True))
    assert (tmp_path / "precious.png").exists()


@pytest.mark.parametrize("link", ["hard", "reflink", "symlink", "copy"])
def test_ways_of_placing_a_file(tmp_path: Path, link: str) -> None:
    if link == "symlink" and os.name == "nt":
        pytest.skip("Windows makes symbolic links in developer mode only")
    make_sweep(tmp_path / "captures", "sweep", 9, [0, 0.5])
    summary = split_captures(options(tmp_path, fit=True, link=link))
    placed = next((tmp_path / "data/trainA").iterdir())
    assert placed.is_symlink() == (link == "symlink")
    assert (placed.stat().st_nlink > 1) == (link in ("hard", "symlink"))
    everything = sum(summary.counts)
    allowed = {"copy": {everything}, "reflink": {0, everything}}  # by the file system
    assert summary.copied in allowed.get(link, {0})
    assert ("--link reflink cannot be done here" in str(summary)) == (
        link == "reflink" and summary.copied > 0
    )


def test_hard_links_become_copies_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link_across_devices(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    make_sweep(tmp_path / "captures", "sweep", 9, [0, 0.5])
    monkeypatch.setattr(os, "link", link_across_devices)
    summary = split_captures(options(tmp_path, fit=True))
    assert summary.copied == sum(summary.counts)


def test_pairs_show_the_reference_or_else_the_brightest_x(tmp_path: Path) -> None:
    frames: list[Frame] = []
    light: list[float] = []
    for scene in range(20):
        for state, share in (("dim", 0.0), ("reference", 0.0), ("sun", 0.5), ("sun", 0.6)):
            at = len(frames)
            text = state if scene % 2 else "odd"
            frames.append(frame(at, at, viewpoint=f"v{scene}", light=text))
            light.append(share)
    make_session(tmp_path / "captures", "sweep", frames, light)
    label_captures(LabelOptions(tmp_path / "captures"))
    rows = read_labels(tmp_path / "captures")
    rows = [replace(row, p99=100) if at % 4 == 0 else row for at, row in enumerate(rows)]
    write_labels(tmp_path / "captures", rows)  # the dim frame is the brighter one of its scene
    summary = split_captures(options(tmp_path, counts=(10, 10, 6, 6)))
    with (tmp_path / "data/pairs.csv").open(encoding="utf-8", newline="") as table:
        pairs = list(csv.DictReader(table))
    assert len(pairs) == summary.pairs == 6
    for pair in pairs:
        over, clear = (int(pair[each][-10:-4]) for each in ("over_exposed", "reference"))
        assert pair["over_exposed"].startswith("testB/")
        assert pair["reference"].startswith("testA/")
        assert over // 4 == clear // 4
        assert clear % 4 == (1 if over // 4 % 2 else 0)


def test_thinning_prefers_pairs_of_many_viewpoints(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 12, [0, 0, 0, 0.5, 0.5, 0.5])
    summary = split_captures(options(tmp_path, counts=(9, 9, 7, 5)))
    # 5 Y out of the three viewpoints (9 Y) that cover 7 X: each is in, all five are paired
    assert summary.pairs == 5
    pairs = (tmp_path / "data/pairs.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert len({pair.split(",")[1] for pair in pairs}) == 3


def test_names_are_plain_ascii_and_unique(tmp_path: Path) -> None:
    for name in ("비행 1", "비행 2", "F-15 (1)", "f_15_1"):
        make_sweep(tmp_path / "captures", name, 3, [0, 0.5])
    split_captures(options(tmp_path, fit=True, counts=(8, 8, 4, 4)))
    origins = {each["session"]: each["path"] for each in record(tmp_path / "data")["files"]}
    assert set(origins) == {"비행 1", "비행 2", "F-15 (1)", "f_15_1"}
    prefixes = {path.split("/")[1].split("_")[0].lower() for path in origins.values()}
    assert prefixes == {"1", "2", "f-15-1", "f-15-1-2"}


def test_a_picture_imported_twice_is_used_once(tmp_path: Path) -> None:
    for name in ("first", "second"):
        frames = [frame(at, at, viewpoint=f"{at // 2}") for at in range(20)]
        make_session(tmp_path / "captures", name, frames, [0, 0.5] * 10)
    summary = split_captures(options(tmp_path, fit=True))
    assert summary.left_out["repeated in another place"] == 20
    assert_no_leak(tmp_path / "data")


def test_frames_recorded_after_labelling_are_labelled_by_the_split(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "first", 9, [0, 0.5])
    label_captures(LabelOptions(tmp_path / "captures", limit=240))
    make_sweep(tmp_path / "captures", "second", 9, [0, 0.5])
    split_captures(options(tmp_path, fit=True))
    assert {row.method for row in read_labels(tmp_path / "captures")} == {"max_rgb>=240"}
    assert {each["session"] for each in record(tmp_path / "data")["files"]} == {"first", "second"}


def test_a_file_that_has_gone_is_left_out(tmp_path: Path) -> None:
    session = make_sweep(tmp_path / "captures", "sweep", 9, [0, 0.5])
    label_captures(LabelOptions(tmp_path / "captures"))
    (session / "frames/000000.png").unlink()
    summary = split_captures(options(tmp_path, fit=True))
    assert summary.left_out["file missing or broken"] == 1


def test_a_set_to_judge_by_only_has_its_pairs_and_no_training_frame(tmp_path: Path) -> None:
    make_sweep(tmp_path / "captures", "sweep", 4, [0, 0.5])
    label_captures(LabelOptions(tmp_path / "captures"))
    command = ["split", "--source", str(tmp_path / "captures"), "--out", str(tmp_path / "data")]
    result = CliRunner().invoke(cli.main, [*command, "--counts", "0,0,4,4"])
    assert result.exit_code == 0, result.output
    assert "4 true pairs" in result.output
    assert len(read_pairs(tmp_path / "data/pairs.csv")) == 4
    assert not list((tmp_path / "data/trainA").iterdir())


@pytest.mark.parametrize("counts", [(1, 2, 3), (1, 2, 3, -4), (0, 0, 0, 0)])
def test_senseless_counts_are_refused(tmp_path: Path, counts: Any) -> None:
    with pytest.raises(UserError, match="four numbers"):
        split_captures(options(tmp_path, counts=counts))


def make_pool(groups: list[tuple[int, int]]) -> Pool:
    """Groups of this many X and Y, each a viewpoint."""
    domain, group = [], []
    for number, (x, y) in enumerate(groups):
        domain += [0] * x + [1] * y
        group += [number] * (x + y)
    members = [Member("s", at, at, f"v{number}") for at, number in enumerate(group)]
    return Pool(
        np.array(domain), np.array(group), Neighbours(columns_of(members)), np.full(len(group), -1)
    )


sizes = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(any), min_size=1, max_size=30
)
wants = st.tuples(*[st.integers(0, 40)] * 4).filter(any)


@pytest.mark.slow
@given(sizes, wants, st.integers(0, 99))
@settings(deadline=None)
def test_a_plan_is_a_partition_with_exact_counts(
    groups: list[tuple[int, int]], counts: tuple[int, int, int, int], seed: int
) -> None:
    pool, seeded = make_pool(groups), SplitOptions(seed=seed)
    for plan in (plan_split(pool, counts, seeded), plan_largest(pool, counts, seeded)):
        if plan is None:
            continue
        assert not set(plan.train) & set(plan.test)
        assert not set(pool.group[plan.train]) & set(pool.group[plan.test])
        for side, (x, y) in ((plan.train, plan.counts[:2]), (plan.test, plan.counts[2:])):
            assert np.bincount(pool.domain[side], minlength=2).tolist() == [x, y]
        assert all(have <= want for have, want in zip(plan.counts, counts, strict=True))
    assert plan_split(pool, counts, seeded) == plan_split(pool, counts, seeded)


@given(st.integers(1, 300))
@settings(deadline=None)
def test_single_frames_are_all_used_when_the_counts_ask_for_all(frames: int) -> None:
    pool = make_pool([(1, 0), (0, 1)] * frames)
    counts = (frames - frames // 4, frames - frames // 5, frames // 4, frames // 5)
    assert plan_split(pool, counts, SplitOptions()).complete


@given(st.dictionaries(st.sampled_from(["trainA/a.png", "testB/b.png", "x"]), st.just(0)))
def test_only_pictures_in_the_four_folders_are_ever_removed(names: dict[str, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = {"tool": "unclip", "files": [{"path": each} for each in names]}
        (Path(folder) / "split.json").write_text(json.dumps(journal), encoding="utf-8")
        assert layout._listed(Path(folder)) == set(names) - {"x"}


def test_a_contact_sheet_keeps_the_shape_of_each_picture() -> None:
    sheet = contact_sheet([picture(1, size=20), picture(1, 40)[:20]], columns=2, cell=(10, 10))
    assert sheet.shape == (10, 20, 3)
    assert (sheet[:, :10] == 255).all()
    # 40 x 20 in a square cell: 10 x 5, between black bars of 2 and 3 rows
    assert (sheet[:, 15, 0] == 255).tolist() == [False] * 2 + [True] * 5 + [False] * 3

"""What is said of test frames that look like training, and what `--phash-bits` does about it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.made_sessions import SECOND, frame, make_session
from helpers.members import Member, columns_of
from hypothesis import given
from hypothesis import strategies as st

import cli
from dataset.errors import UserError
from dataset.options import SplitOptions
from dataset.splitting.groups import group_frames
from dataset.splitting.near_hashes import near_pairs
from dataset.splitting.split import split_captures

COUNTS = (12, 12, 4, 4)
TWINS = 6  # scenes seen under two lights, hours apart
BITS = 5  # in which their hashes differ


def make_twins(captures: Path) -> Path:
    """Screenshots without viewpoints: an X and a Y of each scene, in two sessions.

    Six of the scenes hash 5 bits apart under their two lights, the others like strangers.
    """
    for name, share in (("dusk", 0.0), ("noon", 0.5)):
        frames = [frame(at, 60 * at, scene=name) for at in range(20)]
        for at in range(TWINS):
            scene = int(frame(at, 0, scene="twin").phash or "", 16)
            lit = scene ^ ((1 << BITS) - 1) << at if name == "noon" else scene
            frames[at] = replace(frames[at], phash=f"{lit:016x}")
        make_session(captures, name, frames, [share] * 20)
    return captures


def sides_of_twins(data: Path) -> list[set[str]]:
    """For each of the scenes the sides that its frames lie on."""
    sides: list[set[str]] = [set() for _ in range(TWINS)]
    for each in json.loads((data / "split.json").read_text(encoding="utf-8"))["files"]:
        index = int(each["file"][-10:-4])
        if index < TWINS:
            sides[index].add(each["path"].split("/")[0][:-1])
    return sides


def test_scenes_on_both_sides_are_counted_and_the_way_out_is_named(tmp_path: Path) -> None:
    captures, data = make_twins(tmp_path / "captures"), tmp_path / "data"
    summary = split_captures(SplitOptions(captures, data, COUNTS, seed=3))
    apart = sum(len(each) == 2 for each in sides_of_twins(data))
    assert apart > 0
    assert summary.near == apart
    looks = json.loads((data / "split.json").read_text(encoding="utf-8"))["leaks"]["hash_bits"]
    assert (looks["near_bits"], looks["near"], looks["near_x_beside_y"]) == (8, apart, apart)
    words = f"{apart} of 8 test frames have a training frame within 8 of 64 bits"
    for text in (str(summary), (data / "README.md").read_text(encoding="utf-8")):
        assert words in text
        assert f"{apart} of them X beside Y" in text
        assert "--phash-bits N" in text


def test_phash_bits_keep_a_scene_on_one_side(tmp_path: Path) -> None:
    captures, data = make_twins(tmp_path / "captures"), tmp_path / "data"
    arguments = ["split", "--source", str(captures), "--out", str(data), "--seed", "3"]
    arguments += ["--counts", ",".join(map(str, COUNTS))]
    done = CliRunner().invoke(cli.main, [*arguments, "--phash-bits", str(BITS)])
    assert done.exit_code == 0, done.output
    assert all(len(each) <= 1 for each in sides_of_twins(data))
    assert "--phash-bits" not in done.output
    assert "--phash-bits" not in (data / "README.md").read_text(encoding="utf-8")
    options = json.loads((data / "split.json").read_text(encoding="utf-8"))["options"]
    assert options["phash_bits"] == BITS


def test_guard_and_gap_can_be_set(tmp_path: Path) -> None:
    captures, data = make_twins(tmp_path / "captures"), tmp_path / "data"
    arguments = ["split", "--source", str(captures), "--out", str(data), "--fit"]
    done = CliRunner().invoke(cli.main, [*arguments, "--guard", "3", "--burst-gap", "61"])
    assert done.exit_code == 0, done.output
    options = json.loads((data / "split.json").read_text(encoding="utf-8"))["options"]
    assert (options["guard_s"], options["burst_gap_s"]) == (3, 61)


def test_bits_that_join_everything_are_blamed(tmp_path: Path) -> None:
    captures = make_twins(tmp_path / "captures")
    with pytest.raises(UserError, match="smaller --phash-bits"):
        split_captures(SplitOptions(captures, tmp_path / "data", COUNTS, phash_bits=64))


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30, unique=True), st.integers(0, 63), st.data())
def test_near_pairs_of_many_bits_are_found_once(far: list[int], bit: int, data: Any) -> None:
    bits = data.draw(st.integers(2, 16))
    known = sorted({*far, *(each ^ (1 << bit) ^ 3 for each in far[:10])})
    found = [
        (one, two)
        for low, high in near_pairs(np.array(known, np.uint64), bits)
        for one, two in zip(low.tolist(), high.tolist(), strict=True)
    ]
    assert sorted(found) == [
        (one, two)
        for one in range(len(known))
        for two in range(one + 1, len(known))
        if (known[one] ^ known[two]).bit_count() <= bits
    ]


@pytest.mark.slow
def test_many_bits_of_many_frames_take_seconds() -> None:
    random = np.random.default_rng(0)
    clouds = np.repeat(random.integers(0, 2**63, 20, np.uint64), 300)
    for _ in range(3):  # 300 of each scene, up to 6 bits from each other
        clouds ^= np.uint64(1) << random.integers(0, 64, len(clouds)).astype(np.uint64)
    members = [
        Member(f"s{at % 3}", at, at * 60 * SECOND, phash=f"{each:016x}")
        for at, each in enumerate(clouds.tolist())
    ]
    groups = group_frames(columns_of(members), SplitOptions(phash_bits=8))
    assert len(set(groups.tolist())) == 20

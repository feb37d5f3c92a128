"""From HDR shots to a network and its measures, by the commands that a user types."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import run_cli
from helpers.made_shots import make_shots
from helpers.tiny_physical import SMALL_PHYSICAL

from dataset.labelling.labels import read_labels
from dataset.layout.pairs import read_pairs
from dataset.pictures.images import read_image

pytestmark = pytest.mark.slow


def test_hdr_shots_become_a_trained_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_shots(tmp_path / "shots", 16)
    assert "64 frames of 16 shots" in run_cli("expose", "shots", "--steps", "4")
    run_cli("label")
    labels = {label.label for label in read_labels("captures")}
    assert {"X", "Y"} <= labels
    said = run_cli("split", "--counts", "6,8,4,4", "--phash-bits", "-1")
    assert "4 true pairs in the test" in said
    for pair in read_pairs(Path("data/pairs.csv")):
        over, reference = read_image(pair.over_exposed), read_image(pair.reference)
        assert over.shape == reference.shape == (48, 48, 3)
        assert (over.max(axis=2) >= 250).mean() >= 0.05
        assert (reference.max(axis=2) >= 250).mean() <= 0.005
        assert (over.astype(int) - reference).min() >= 0  # only its light is more
    run_cli("train", *SMALL_PHYSICAL, "--steps", "2", "--run", "hdr", "--init", "none")
    said = run_cli("evaluate", "--run", "hdr", "--methods", "network,gamma", "--device", "cpu")
    assert said.startswith("4 pairs")

"""Files that an earlier version made are read by this one, by its commands alone.

`fixtures/make.py` makes such files; `fixtures/README.md` says which version made which.
"""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from cli import main
from dataset.pictures.images import read_image

pytestmark = pytest.mark.slow

ARCHIVES = sorted((Path(__file__).parent / "fixtures").glob("made_by_*.tar.xz"))
CPU = ("--device", "cpu")


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name.split(".")[0])
def unpacked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(request.param) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:
            archive.extractall(folder)
    return folder


@pytest.fixture
def old(unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old files, which is the working folder."""
    folder = tmp_path / "old"
    shutil.copytree(unpacked, folder)
    monkeypatch.chdir(folder)
    return folder


def cli(*words: str) -> str:
    """Run a command that must succeed; what it printed."""
    done = CliRunner().invoke(main, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def cli_json(*words: str) -> Any:
    done = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def labels() -> list[dict[str, str]]:
    """The table; of labels given in a review without the column that says so again."""
    with open("captures/labels.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row | {"threshold": ""} if row["source"] == "review" else row for row in rows]


def pictures(data: str) -> dict[str, bytes]:
    """Those of a data set, by their path in it."""
    found = [path for path in Path(data).rglob("*.png") if path.parent.name != "report"]
    return {path.relative_to(data).as_posix(): path.read_bytes() for path in found}


def repair() -> None:
    cli("capture", "repair", "captures/cut")


def test_there_is_an_archive() -> None:
    assert ARCHIVES


def test_a_video_that_was_cut_off_becomes_frames(old: Path) -> None:
    found = cli_json("capture", "repair", "captures/cut")
    assert found["frames"] >= 6
    assert len(list(Path("captures/cut/frames").iterdir())) == found["frames"]
    assert not Path("captures/cut/spool").exists()
    assert "nothing to repair" in cli("capture", "repair", "captures/cut")


@pytest.mark.parametrize("session", ["sweep", "told", "imported"])
def test_whole_sessions_need_no_repair(old: Path, session: str) -> None:
    assert "nothing to repair" in cli("capture", "repair", f"captures/{session}")


def test_labels_stay_when_frames_are_labelled_again(old: Path) -> None:
    before = labels()
    Path("captures/cut").rename("cut")
    cli("label")
    assert labels() == before
    Path("captures/labels.csv").unlink()  # what was said by hand stands in the review's journal
    Path("captures/statistics.csv").unlink()
    cli("label")
    assert labels() == before


def test_labels_by_hand_outlast_other_thresholds_and_new_sessions(old: Path) -> None:
    by_hand = [row for row in labels() if row["source"] in ("review", "key")]
    assert {row["source"] for row in by_hand} == {"review", "key"}
    repair()
    cli("label", "--y-fraction", "0.7")
    after = labels()
    assert [row for row in by_hand if row not in after] == []
    assert Counter(row["session"] for row in after)["cut"] >= 6


def test_what_a_player_took_back_is_still_taken_back(old: Path) -> None:
    first = next(row for row in labels() if row["session"] == "told")
    line = json.loads(Path("captures/told/frames.jsonl").read_text("utf-8").splitlines()[0])
    assert (line["label"], first["source"]) == ("X", "clipping")
    repair()
    cli("label")
    assert next(row for row in labels() if row["session"] == "told") == first


def test_a_split_of_the_same_sessions_is_the_same(old: Path) -> None:
    Path("captures/cut").rename("cut")
    counts = cli_json("split", "--counts", "7,7,3,3", "--fit", "--out", "again")["counts"]
    assert counts == [*json.loads(Path("data/split.json").read_text("utf-8"))["counts"].values()]
    assert pictures("again") == pictures("data")
    assert Path("again/pairs.csv").read_bytes() == Path("data/pairs.csv").read_bytes()


@pytest.mark.parametrize("data", ["data", "folders"])
def test_an_old_data_set_is_replaced_by_a_new_one(old: Path, data: str) -> None:
    layout = "imagefolder" if data == "data" else "cyclegan"
    repair()
    cli("split", "--counts", "7,7,3,3", "--fit", "--layout", layout, "--out", data)
    assert Path(data, "trainA").exists() == (layout == "cyclegan")
    assert Path(data, "train").exists() == (layout == "imagefolder")


@pytest.mark.parametrize("weights", ["tiny", "F.safetensors"])
@pytest.mark.parametrize("detail", ["native", "carried"])
def test_old_weights_restore_as_they_did(old: Path, weights: str, detail: str) -> None:
    cli("restore", "photo.png", "--run", weights, *CPU, "--detail", detail, "-o", "new.png")
    check_pixels(Path("new.png"), Path(f"expected_{detail}.png"))


def test_an_old_file_in_cyclegans_format_restores_as_it_did(old: Path) -> None:
    weights = "runs/tiny/checkpoints/latest_ema_net_G_B.pth"
    cli("restore", "photo.png", "--run", weights, *CPU, "--detail", "native", "-o", "new.png")
    check_pixels(Path("new.png"), Path("expected_native.png"))


@pytest.mark.parametrize("detail", ["native", "carried"])
def test_an_old_onnx_file_restores_as_the_network_did(old: Path, detail: str) -> None:
    pytest.importorskip("onnxruntime")
    cli("restore", "photo.png", "--onnx", "F.onnx", "--detail", detail, "-o", "new.png")
    check_pixels(Path("new.png"), Path(f"expected_{detail}.png"))


def check_pixels(new: Path, expected: Path) -> None:
    difference = np.abs(read_image(new).astype(int) - read_image(expected))
    assert difference.max() <= 1


def test_an_old_run_goes_on(old: Path) -> None:
    said = cli("train", "--run", "tiny", "--resume", "--steps", "6")
    assert "resuming" in said
    assert "6 steps" in said
    lines = Path("runs/tiny/log.jsonl").read_text("utf-8").splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert (steps[0], steps[-1]) == (3, 6)


def test_a_new_run_starts_from_the_networks_of_an_old_one(old: Path) -> None:
    cli("train", "--init", "runs/tiny/checkpoints", "--run", "new", "--preset", "cpu", "--steps",
        "1", "--batch-size", "2", "--size", "32", "--load-size", "40", "--filters", "2", "--blocks",
        "1", "--discriminator-filters", "2", *CPU)  # fmt: skip
    assert Path("runs/new/checkpoints/latest_net_G_B.pth").exists()


def test_an_evaluation_of_old_pairs_finds_what_it_found(old: Path) -> None:
    before = numbers(json.loads(Path("verdict/evaluation.json").read_text("utf-8"))["methods"])
    words = ("--methods", "network,cielab", *CPU, "--out", "verdict", "--swept", "1")
    found = numbers(cli_json("evaluate", *words)["methods"])  # over the page of that version
    assert found.keys() >= before.keys()
    assert {key: found[key] for key in before} == pytest.approx(before, rel=0.01, abs=0.01)


def numbers(values: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """All numbers of nested objects, by their names; times are left out."""
    found: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and "seconds" not in key:
            found[prefix + key] = value
    return found


def test_figures_of_an_old_run_are_drawn_over_the_old_page(old: Path) -> None:
    cli("figures", "--run", "tiny", *CPU)
    assert Path("runs/tiny/figures/index.html").stat().st_size > 100_000


def test_an_old_run_is_exported_with_the_same_weights(old: Path) -> None:
    cli("export", "--run", "tiny", "-o", "new.safetensors")
    new, before = (Path(name).read_bytes() for name in ("new.safetensors", "F.safetensors"))
    assert new[-10_000:] == before[-10_000:]


@pytest.mark.parametrize("flag", ["--develop", "--no-develop"])
def test_old_flags_of_a_recording_are_known(old: Path, flag: str) -> None:
    assert "<f9>" in cli("capture", flag, "--list-keys")

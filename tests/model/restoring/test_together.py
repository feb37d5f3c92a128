"""--together: gains of a session found with all its pictures in view, the same in any order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.made_videos import film
from helpers.tiny_physical import make_scenes, over_expose, restorer, scene, tiny_physical

from dataset.errors import UserError
from dataset.pictures.images import read_image, write_png
from dataset.pictures.pixels import Pixels, to_pixels
from model.evaluation.evaluate import evaluate_run
from model.options import EvaluateOptions, RestoreOptions
from model.physical_networks import PhysicalRestorer
from model.restoring.methods import open_method
from model.restoring.physical import small_copy_restorer
from model.restoring.restore import restore_files
from model.restoring.small_copy import SmallCopyRestorer
from model.restoring.video import some_frames
from model.training.train import train


def unsure(error: float = 1.0) -> PhysicalRestorer:
    """F whose gains depend on the picture, and are known to be far off."""
    network = restorer(0.7)
    network.head.proposal[-1].weight.data.normal_(
        0, 0.3, generator=torch.Generator().manual_seed(1)
    )
    network.gain_error.fill_(error)
    return network


def session(count: int = 5) -> list[Pixels]:
    return [to_pixels(over_expose(scene(n, 60, 90), 1.5 + 0.5 * n)) for n in range(count)]


def gains(restore: SmallCopyRestorer, pictures: list[Pixels]) -> np.ndarray:
    """Mean brightness before, divided by that after: about the gain."""
    return np.array([each.mean() / restore(each).mean() for each in pictures])


def test_gains_found_together_are_more_alike() -> None:
    pictures = session()
    alone, together = small_copy_restorer(unsure()), small_copy_restorer(unsure())
    together.learn_light(pictures)
    before, after = gains(alone, pictures), gains(together, pictures)
    assert before.std() > 0.02
    assert after.std() < 0.7 * before.std()


def test_one_picture_alone_is_restored_as_ever() -> None:
    [picture] = session(1)
    restore = small_copy_restorer(unsure())
    wanted = restore(picture)
    restore.learn_light([picture])
    np.testing.assert_allclose(restore(picture), wanted, atol=1e-5)
    restore.learn_light([])
    np.testing.assert_array_equal(restore(picture), wanted)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("together")
    make_scenes(root)
    train(tiny_physical(root))
    return root


def options(run: Path, out: Path, **more: object) -> RestoreOptions:
    return RestoreOptions(runs=run / "runs", run="tiny", device="cpu", out=out, **more)  # type: ignore[arg-type]


def restored(run: Path, out: Path, inputs: list[Path], **more: object) -> dict[str, bytes]:
    outcomes = list(restore_files(inputs, options(run, out, **more)))
    assert not [each.fault for each in outcomes if each.fault]
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_a_folder_is_the_same_in_any_order_and_after_an_interruption(
    run: Path, tmp_path: Path
) -> None:
    inputs = sorted((run / "data" / "testB").iterdir())
    whole = restored(run, tmp_path / "whole", inputs, together=True)
    assert restored(run, tmp_path / "back", inputs[::-1], together=True) == whole
    part = tmp_path / "part"
    part.mkdir()
    for name in list(whole)[:3]:
        (part / name).write_bytes(whole[name])
    assert restored(run, part, inputs, together=True, skip_existing=True) == whole
    assert restored(run, tmp_path / "alone", inputs) != whole


def test_a_file_that_cannot_be_read_does_not_stop_the_others(run: Path, tmp_path: Path) -> None:
    inputs = sorted((run / "data" / "testB").iterdir())
    whole = restored(run, tmp_path / "whole", inputs, together=True)
    broken = tmp_path / "broken.png"
    broken.write_bytes(inputs[0].read_bytes()[:60])
    out = tmp_path / "out"
    outcomes = list(restore_files([*inputs, broken], options(run, out, together=True)))
    assert [each.source for each in outcomes if each.fault] == [broken]
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


def test_some_frames_of_a_video_stand_for_it(run: Path, tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mkv", times_ms=range(0, 1200, 100))
    some = list(some_frames(clip, 4))
    assert 2 <= len(some) <= 6  # how many frames there are is an estimate
    assert some[0].shape == (64, 96, 3)
    [outcome] = restore_files([clip], options(run, tmp_path / "out.mkv", together=True))
    assert (outcome.fault, outcome.frames) == ("", 12)


def test_evaluate_restores_pairs_together(run: Path) -> None:
    found = {}
    for together in (False, True):
        report = evaluate_run(
            EvaluateOptions(
                data=run / "data", runs=run / "runs", run="tiny", device="cpu", out=None,
                methods=("network", "gamma"), together=together,
            )
        )  # fmt: skip
        assert report.paired is not None
        found[together] = report.paired.mean("network", "psnr"), report.paired.mean("gamma", "psnr")
    assert found[True][0] != found[False][0]
    assert found[True][1] == found[False][1]


def test_only_a_physical_network_can(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--together belongs to a network of preset physical"):
        open_method(options(run, tmp_path, together=True, method="cielab"), session=none)


def test_without_pictures_there_is_no_session(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--together belongs to files"):
        open_method(options(run, tmp_path, together=True))


def none() -> Iterator[Pixels]:
    yield from ()


def test_the_light_of_a_picture_is_that_of_its_session(run: Path, tmp_path: Path) -> None:
    picture = to_pixels(read_image(run / "data" / "testB" / "000.png"))
    write_png(tmp_path / "one.png", (picture * 255).round().astype(np.uint8))
    pictures = session(4)
    restore = open_method(options(run, tmp_path, together=True), session=lambda: iter(pictures))
    alone = open_method(options(run, tmp_path))
    assert (restore(picture) != alone(picture)).any()

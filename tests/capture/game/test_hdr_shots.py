"""HDR shots of the embedded game: its own light, which our formation model develops as it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.command_line import run_cli
from numpy.typing import NDArray

from capture.game import post_shaders
from capture.game.options import Light
from capture.game.pairs import HdrRenderer, Renderer
from capture.game.shaders import VERSION
from capture.game.viewpoints import over_exposed_light, reference_light
from dataset.pictures.hdr_writing import encode_exr, encode_jpeg_xr
from model import formation
from model.metrics import colour_difference

pytestmark = pytest.mark.slow

SIZE = (160, 96)
UNSMOOTHED = (
    VERSION
    + """
in vec2 uv;
out vec4 colour;
uniform sampler2D picture;
void main() { colour = texture(picture, uv); }
"""
)


def developed(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What `model.formation` makes of light: clipped by channel, sRGB, 8 bits."""
    encoded = formation.clip(formation.to_encoded(torch.from_numpy(light.astype(np.float64))))
    return (encoded * formation.LEVELS).round().numpy().astype(np.uint8)


def rendered(number: int, light: Light) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The HDR shot and the game's own picture."""
    with HdrRenderer(SIZE) as hdr:
        shot = hdr.render(1, number, light)
    with Renderer(SIZE) as sdr:
        return shot, sdr.render(1, number, light)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("strong", [True, False], ids=["strong", "weak"])
def test_the_formation_model_develops_a_shot_as_the_game_does(
    number: int, strong: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bloom, glare and exposure are in the shot; only anti-aliasing, which follows, is not."""
    monkeypatch.setattr(post_shaders, "FXAA_FRAGMENT", UNSMOOTHED)
    light = over_exposed_light(1, number)
    light = light if strong else reference_light(light)
    shot, game = rendered(number, light)
    ours = developed(shot)
    assert shot.shape == (96, 160, 3)
    assert shot.dtype == np.float32
    assert np.isfinite(shot).all()
    off = np.abs(ours.astype(int) - game)
    assert off.max() <= 1  # a level, where one of them rounds up
    assert (off > 0).mean() < 0.05
    assert colour_difference(ours, game).max() < 1.5  # ΔE2000, of one level
    assert colour_difference(ours, game).mean() < 0.1


def test_anti_aliasing_is_all_that_a_shot_lacks() -> None:
    shot, game = rendered(0, over_exposed_light(1, 0))
    ours = developed(shot)
    near = np.abs(ours.astype(int) - game).max(axis=2) <= 1
    assert 0.5 < near.mean() < 1  # edges differ
    smooth = np.abs(np.gradient(ours.astype(float).mean(axis=2))).max(axis=0) < 1
    assert near[smooth].mean() > 0.99


@pytest.mark.parametrize(("kind", "encode"), [("exr", encode_exr), ("jxr", encode_jpeg_xr)])
def test_the_command_writes_the_light_that_is_rendered(
    kind: str, encode: Callable[..., bytes], tmp_path: Path
) -> None:
    out = tmp_path / "shots"
    words = f"game --hdr {kind} --viewpoints 2 --size 64x48 --seed 3".split()
    assert run_cli(*words, "--out", str(out)) == f"2 HDR shots: {out}\n"
    assert sorted(each.name for each in out.iterdir()) == [f"v00000.{kind}", f"v00001.{kind}"]
    with HdrRenderer((64, 48)) as hdr:
        light = hdr.render(3, 1, over_exposed_light(3, 1))
    assert (out / f"v00001.{kind}").read_bytes() == encode(light)


def test_options_of_shots_and_of_playing_do_not_mix() -> None:
    said = run_cli("game", "--viewpoints", "3", code=2)
    assert "--viewpoints is for HDR shots: add --hdr exr or --hdr jxr." in said
    said = run_cli("game", "--hdr", "exr", "--duration", "3", code=2)
    assert "--duration is for playing: leave it out." in said

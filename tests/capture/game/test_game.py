"""The embedded game: true pairs, a real window, real keys, remote control."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import mss
import numpy as np
import pytest
from helpers import ROOT
from helpers.processes import Process
from helpers.waiting import SOON_S, soon
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.game.autopilot import PICTURES_PER_VIEWPOINT, picture_of
from capture.game.client import GameProcess, environment
from capture.game.options import WEAK, GameOptions, Light
from capture.game.pairs import Renderer, render_pair
from capture.game.viewpoints import (
    AIRCRAFT,
    BIOMES,
    WEATHERS,
    over_exposed_light,
    reference_light,
    viewpoint,
)
from dataset.errors import UserError

pytestmark = pytest.mark.slow

SMALL = (128, 128)
HASH_PAIR = """
import hashlib
from capture.game.pairs import render_pair
for number in (7, 3):
    over, reference = render_pair(5, number, size=(128, 128))
print(hashlib.sha256(over.tobytes() + reference.tobytes()).hexdigest())
"""


def clipped(picture: np.ndarray) -> float:
    return float((picture.max(axis=-1) >= 250).mean())


def grab(left: int = 0, top: int = 0, size: tuple[int, int] = (256, 256)) -> np.ndarray:
    area = {"left": left, "top": top, "width": size[0], "height": size[1]}
    with mss.MSS() as screen:
        return np.array(screen.grab(area))[..., 2::-1]


@pytest.fixture(scope="module")
def renderer():
    with Renderer(SMALL) as one:
        yield one


def test_a_pair_has_the_same_bytes_in_another_process_and_after_other_pictures():
    over, reference = render_pair(5, 3, size=SMALL)
    ours = hashlib.sha256(over.tobytes() + reference.tobytes()).hexdigest()
    other = subprocess.run(
        [sys.executable, "-c", HASH_PAIR],
        cwd=ROOT,
        env=environment(None),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    assert other.stdout.strip() == ours


def test_a_pair_is_two_rgb_pictures_of_the_size_asked_for():
    over, reference = render_pair(1, 0, size=(160, 96))
    assert over.shape == reference.shape == (96, 160, 3)
    assert over.dtype == reference.dtype == np.uint8


def test_references_are_hardly_clipped_and_over_exposed_pictures_are(renderer):
    share = []
    for number in range(24):
        light = over_exposed_light(11, number)
        assert clipped(renderer.render(11, number, reference_light(light))) < 1e-3
        share.append(clipped(renderer.render(11, number, light)))
    assert np.mean(np.array(share) > 0.05) >= 0.85
    assert 0.15 < np.median(share) < 0.5


def test_references_are_well_lit(renderer):
    means = [
        renderer.render(11, n, reference_light(over_exposed_light(11, n))).mean() / 255
        for n in range(12)
    ]
    assert 0.3 < np.median(means) < 0.6
    assert min(means) > 0.15


def test_clipped_truth_is_where_the_picture_is_at_the_top_of_its_range(renderer):
    light = over_exposed_light(11, 2)
    truth = renderer.clipped_truth(11, 2, light)
    top = renderer.render(11, 2, light).max(axis=-1) >= 250
    assert truth.shape == (128, 128)
    assert truth.dtype == bool
    assert np.mean(truth == top) > 0.93


def test_more_sun_never_darkens_the_picture(renderer):
    light = over_exposed_light(11, 4)
    pictures = [renderer.render(11, 4, replace(light, strength=s)) for s in (1.0, 4.0, 16.0)]
    means = [p.mean() for p in pictures]
    assert means == sorted(means)


def test_aircraft_have_clearly_different_silhouettes():
    """Of two shapes cut from their planforms, at most 3/4 of the area is common."""
    from capture.game.aircraft import aircraft

    shapes = []
    for name in AIRCRAFT:
        mesh = aircraft(name).mesh
        flat = mesh.position[:, :2] / np.abs(mesh.position[:, :2]).max()
        pixels = ((flat + 1) * 31.5).astype(int)
        shape = np.zeros((64, 64), bool)
        for corner in np.linspace(0, 1, 4):
            mid = flat[mesh.triangles[:, 0]] * (1 - corner) + flat[mesh.triangles[:, 2]] * corner
            pixels = ((mid + 1) * 31.5).astype(int)
            shape[pixels[:, 1], pixels[:, 0]] = True
        shapes.append(shape)
    assert len(shapes) >= 4
    for k, a in enumerate(shapes):
        for b in shapes[:k]:
            assert (a & b).sum() / (a | b).sum() < 0.75


def test_the_aircraft_stays_inside_the_picture(renderer):
    """Hidden and shown, the aircraft changes no pixel on the picture's border."""
    from capture.game.engine import engine

    inside = 0
    for number in range(8):
        light = reference_light(over_exposed_light(11, number))
        with_it = renderer.render(11, number, light)
        craft = renderer.scene.crafts[viewpoint(11, number).aircraft]
        craft.hide()
        engine().render_frame()
        raw = np.frombuffer(renderer.pipeline.picture.get_ram_image_as("RGB"), np.uint8)
        without = raw.reshape(*with_it.shape)[::-1]
        craft.show()
        changed = np.abs(with_it.astype(int) - without).max(axis=-1) > 12
        assert changed.any(axis=0).sum() > 0.3 * 128 or changed.any(axis=1).sum() > 0.3 * 128
        inside += not (
            changed[0].any() or changed[-1].any() or changed[:, 0].any() or changed[:, -1].any()
        )
    assert inside >= 7


@given(st.integers(0, 2**31), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_viewpoints_follow_from_seed_and_number(seed, number):
    scene = viewpoint(seed, number)
    assert scene == viewpoint(seed, number)
    assert scene.aircraft in AIRCRAFT
    assert scene.biome in BIOMES
    assert scene.weather in WEATHERS
    light = over_exposed_light(seed, number)
    assert light.strength > WEAK
    assert 2 <= light.elevation_deg <= 88
    assert reference_light(light) == replace(light, strength=WEAK)


def test_the_autopilot_shows_both_domains_of_each_viewpoint():
    for number in range(5):
        shown = [picture_of(3, number * PICTURES_PER_VIEWPOINT + k) for k in range(2)]
        assert shown[0] == (number, reference_light(over_exposed_light(3, number)))
        assert shown[1] == (number, over_exposed_light(3, number))


def test_remote_control_answers_when_the_picture_is_in_the_window(display):
    options = GameOptions(size=(128, 128), seed=5)
    light = over_exposed_light(5, 3)
    with GameProcess(options) as game:
        answer = game.show(3, light)
        seen_over = grab(size=(128, 128))
        game.show(3, reference_light(light))
        seen_reference = grab(size=(128, 128))
    assert answer["drawn"]
    assert answer["viewpoint"] == 3
    assert Light(*answer["light"].values()) == light
    over, reference = render_pair(5, 3, size=(128, 128))
    assert np.abs(seen_over.astype(int) - over).mean() < 1
    assert np.abs(seen_reference.astype(int) - reference).mean() < 1
    assert game.process.returncode == 0


def test_a_game_that_dies_says_why(display):
    with GameProcess(GameOptions(size=(128, 128))) as game:
        game.process.kill()
        with pytest.raises(UserError, match="ended with exit status"):
            game.show(0, over_exposed_light(0, 0))


def test_a_real_key_press_moves_the_sun(display):
    if shutil.which("xdotool") is None:
        pytest.skip("needs xdotool: apt-get install xdotool")
    words = [
        sys.executable,
        "-m",
        "capture.game",
        "--size",
        "128x128",
        "--title",
        "key test",
        "--duration-s",
        "300",
    ]
    game = Process(words, cwd=ROOT, env=environment(None), stderr=subprocess.DEVNULL)
    try:
        xdotool("search", "--sync", "--name", "^key test$", "windowfocus")
        assert soon(lambda: grab(size=(128, 128)).mean() > 5), "it drew nothing"
        before = grab(size=(128, 128))
        xdotool("key", "--delay", "40", *["bracketleft"] * 12)
        soon(
            lambda: np.abs(grab(size=(128, 128)).astype(int) - before).mean() > 5,
            "the key [ did not weaken the sun",
        )
        assert grab(size=(128, 128)).mean() < before.mean()
        xdotool("key", "Escape")
        assert game.wait(timeout=SOON_S) == 0
    finally:
        game.kill()
        game.wait(SOON_S)


def xdotool(*words: str) -> None:
    subprocess.run(["xdotool", *words], check=True, timeout=SOON_S, stdout=subprocess.DEVNULL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="DISPLAY is X11's")
def test_without_a_display_the_error_says_what_to_do():
    env = {k: v for k, v in os.environ.items() if k != "DISPLAY"}
    with pytest.raises(UserError, match=r"DISPLAY is not set.*xvfb-run"):
        GameProcess(GameOptions(size=(64, 64)), env)


def test_many_viewpoints_leave_no_render_states_behind():
    from panda3d.core import RenderState

    with Renderer(size=(64, 64)) as renderer:
        for number in range(24):
            renderer.render(2, number, over_exposed_light(2, number))
        assert RenderState.get_num_states() < 200  # without collecting: some 20 more a picture

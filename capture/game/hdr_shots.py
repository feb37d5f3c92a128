"""HDR shots of the embedded game: its light before it is clipped, one file of each viewpoint.

No window is opened. In a shot are the scene, bloom, glare and the game's own exposure; 1.0 is where
the game clips. Not in it are clipping, sRGB's encoding, and the anti-aliasing after that.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from capture.game.options import GameOptions, ShotOptions
from capture.game.viewpoints import over_exposed_light
from dataset.errors import UserError
from dataset.files import write_whole
from dataset.pictures.hdr_writing import encode_exr, encode_jpeg_xr

ENCODERS = {"exr": encode_exr, "jxr": encode_jpeg_xr}


def save_shots(
    game: GameOptions,
    shots: ShotOptions,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write each viewpoint under its strong sun; returns the files.

    Parameters
    ----------
    game : GameOptions
        `size` and `seed` are used.
    shots : ShotOptions
        Its `hdr` is given.
    on_progress : callable
        Called with (done, total) shots.

    Raises
    ------
    UserError
        There is no OpenGL 3.3, or a file cannot be written.
    """
    from capture.game.pairs import HdrRenderer

    encode, files = ENCODERS[str(shots.hdr)], []
    try:
        shots.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot make {shots.out}: {error.strerror}.") from error
    with HdrRenderer(game.size) as renderer:
        for number in range(shots.viewpoints):
            light = renderer.render(game.seed, number, over_exposed_light(game.seed, number))
            files.append(shots.out / f"v{number:05d}.{shots.hdr}")
            write_whole(files[-1], encode(light))
            on_progress(number + 1, shots.viewpoints)
    return files

"""True pairs, the same picture under a strong and under a weak sun, and its light before clipping.

Rendered without a window. Needs OpenGL 3.3: a GPU's driver or Mesa (Debian: libegl1,
libgl1-mesa-dri), and no display where EGL works; else a display or ``xvfb-run``.
"""

from __future__ import annotations

import atexit
import threading
from typing import Any, TypeVar

import numpy as np

from capture.game.engine import draw_frame, engine, open_offscreen
from capture.game.options import Light
from capture.game.pipeline import Pipeline
from capture.game.scene import Scene
from capture.game.viewpoints import over_exposed_light, reference_light, viewpoint

_hosts: list[Any] = []
_Self = TypeVar("_Self", bound="_Camera")


def _host() -> Any:
    """One offscreen context per process, never closed before its end."""
    if not _hosts:
        _hosts.append(open_offscreen())
        atexit.register(engine().remove_all_windows)
    return _hosts[0]


def renderer_name() -> str:
    """What draws: the OpenGL renderer's name and version."""
    driver = _host().get_gsg()
    return f"{driver.get_driver_renderer()}, OpenGL {driver.get_driver_version()}"


class _Camera:
    """What draws viewpoints without a window."""

    hdr = False

    def __init__(self, size: tuple[int, int] = (256, 256)) -> None:
        self.thread = threading.get_ident()
        self.pipeline = Pipeline(_host(), size, offscreen=True, hdr=self.hdr)
        self.scene = Scene(self.pipeline)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the buffers back; the engine stays for the next Renderer."""
        self.pipeline.close()

    def _draw(self, seed: int, number: int, light: Light) -> np.ndarray:
        """(H, W, 4), rows from the top: R, G, B, and alpha."""
        self.scene.show(seed, viewpoint(seed, number), light)
        draw_frame()
        picture = self.pipeline.picture
        assert picture is not None
        width, height = self.pipeline.size
        kind = np.float32 if self.hdr else np.uint8
        rows = np.frombuffer(picture.get_ram_image_as("RGBA"), kind)
        return rows.reshape(height, width, 4)[::-1]


class Renderer(_Camera):
    """The game's camera without its window; one engine for many pictures.

    Use it as a context manager, in one thread.

    Parameters
    ----------
    size : (width, height)
        Of the pictures, pixels.

    Raises
    ------
    UserError
        When there is no OpenGL 3.3.
    """

    def render(self, seed: int, viewpoint: int, light: Light) -> np.ndarray:
        """The picture of a viewpoint under a light: RGB uint8 (H, W, 3)."""
        return np.ascontiguousarray(self._draw(seed, viewpoint, light)[..., :3])

    def clipped_truth(self, seed: int, viewpoint: int, light: Light) -> np.ndarray:
        """Where the picture's radiance went over the clip point in any channel: bool (H, W)."""
        return self._draw(seed, viewpoint, light)[..., 3] >= 128


class HdrRenderer(_Camera):
    """The same camera before clipping; parameters and errors are those of `Renderer`."""

    hdr = True

    def render(self, seed: int, viewpoint: int, light: Light) -> np.ndarray:
        """The exposed light of a viewpoint: RGB float32 (H, W, 3), linear, clipped from 1 on."""
        return np.ascontiguousarray(self._draw(seed, viewpoint, light)[..., :3])


def render_pair(
    seed: int, viewpoint: int, light: Light | None = None, size: tuple[int, int] = (256, 256)
) -> tuple[np.ndarray, np.ndarray]:
    """(over-exposed, reference) of one viewpoint, pixel-aligned: RGB uint8 (H, W, 3) each.

    Parameters
    ----------
    light : Light, optional
        The strong light; by default the viewpoint's own. The reference has the same sun direction
        with the weak sun, and the same exposure.
    size : (width, height)

    Notes
    -----
    The same call gives the same bytes on one machine. For many pairs use one `Renderer`.
    """
    strong = over_exposed_light(seed, viewpoint) if light is None else light
    with Renderer(size) as renderer:
        over = renderer.render(seed, viewpoint, strong)
        return over, renderer.render(seed, viewpoint, reference_light(strong))

"""True pairs: the same picture under a strong and under a weak sun, rendered without a window.

Needs OpenGL 3.3: a GPU's driver or Mesa (Debian: libegl1, libgl1-mesa-dri), and no display where
EGL works; else a display or ``xvfb-run``.
"""

from __future__ import annotations

import atexit
import threading
from typing import Any

import numpy as np

from capture.game.engine import draw_frame, engine, open_offscreen
from capture.game.options import Light
from capture.game.pipeline import Pipeline
from capture.game.scene import Scene
from capture.game.viewpoints import over_exposed_light, reference_light, viewpoint

_hosts: list[Any] = []


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


class Renderer:
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

    def __init__(self, size: tuple[int, int] = (256, 256)) -> None:
        self.thread = threading.get_ident()
        self.pipeline = Pipeline(_host(), size, offscreen=True)
        self.scene = Scene(self.pipeline)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the buffers back; the engine stays for the next Renderer."""
        self.pipeline.close()

    def _draw(self, seed: int, number: int, light: Light) -> np.ndarray:
        """(H, W, 4) uint8, rows from the top: R, G, B, and alpha 255 where light was clipped."""
        self.scene.show(seed, viewpoint(seed, number), light)
        draw_frame()
        picture = self.pipeline.picture
        assert picture is not None
        width, height = self.pipeline.size
        rows = np.frombuffer(picture.get_ram_image_as("RGBA"), np.uint8)
        return rows.reshape(height, width, 4)[::-1]

    def render(self, seed: int, viewpoint: int, light: Light) -> np.ndarray:
        """The picture of a viewpoint under a light: RGB uint8 (H, W, 3)."""
        return np.ascontiguousarray(self._draw(seed, viewpoint, light)[..., :3])

    def clipped_truth(self, seed: int, viewpoint: int, light: Light) -> np.ndarray:
        """Where the picture's radiance went over the clip point in any channel: bool (H, W)."""
        return self._draw(seed, viewpoint, light)[..., 3] >= 128


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

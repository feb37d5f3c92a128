"""A screen full of moving pictures that costs its client next to nothing: what a recorder sees.

Pictures of the embedded game are uploaded once; then the X server copies a moving part of them
into a full-screen window at a fixed rate. Started by
benchmarks/capture/recording.py.

Example: DISPLAY=:99 python benchmarks/capture/scrolling.py --rate 60 --seconds 10
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
from numpy.typing import NDArray
from Xlib import X, display

from dataset.errors import UserError

Pixels = NDArray[np.uint8]
MARGIN = (480, 200)  # pixels that the pictures are larger than the screen
STEP = (7, 3)  # pixels a frame; at an edge the motion turns back
HELD_S = 2.0  # each picture, before the next one
READY = "ready"  # printed when the first picture is on the screen


def made_picture(seed: int, width: int, height: int) -> Pixels:
    """A picture as a flying game shows it, RGB: sky with a clipped sun, noisy ground, a hull."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.stack([90 + y / 12, 130 + y / 14, 200 + y / 40], axis=-1)
    sun = np.exp(-(((x - 300 - 200 * seed) / 260) ** 2) - ((y - 250) / 260) ** 2)
    picture += 400 * sun[..., None]
    coarse = random.normal(0, 30, (height // 8, width // 8, 3)).astype(np.float32)
    ground = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    ground = ground + random.normal(0, 6, picture.shape)
    soil = np.array([95, 110, 70], np.float32)
    picture = np.where((y > 0.62 * height)[..., None], soil + ground, picture)
    cv2.ellipse(picture, (1000, 560), (420, 70), 8, 0, 360, (170, 175, 180), -1, cv2.LINE_AA)
    return np.clip(picture, 0, 255).astype(np.uint8)


def game_pictures(count: int, width: int, height: int) -> list[Pixels]:
    """Pictures of the embedded game, RGB; made ones where there is no OpenGL."""
    from capture.game.pairs import Renderer
    from capture.game.viewpoints import over_exposed_light

    try:
        with Renderer((width, height)) as game:
            return [game.render(0, each, over_exposed_light(0, each)) for each in range(count)]
    except UserError as error:
        print(f"made pictures, not the game's: {error}")
        return [made_picture(each, width, height) for each in range(count)]


class Scroller:
    """The window and its pictures, on the server.

    Parameters
    ----------
    count : int
        Of pictures.
    pictures : function
        From count, width and height to pictures.
    """

    def __init__(
        self, count: int, pictures: Callable[[int, int, int], list[Pixels]] = game_pictures
    ) -> None:
        self._display: Any = display.Display()
        screen = self._display.screen()
        self._depth = screen.root_depth
        self.size = (screen.width_in_pixels, screen.height_in_pixels)
        self._window = screen.root.create_window(
            0, 0, *self.size, 0, screen.root_depth, override_redirect=True
        )
        self._context = self._window.create_gc(graphics_exposures=False)
        width, height = (least + margin for least, margin in zip(self.size, MARGIN, strict=True))
        self._pixmaps = [
            self._upload(each, screen.root_depth) for each in pictures(count, width, height)
        ]
        self._window.map()
        self.show(0, 0.0)

    def show(self, number: int, seconds: float, strip: Pixels | None = None) -> None:
        """Frame ``number``, shown this many seconds after the first; a BGRX strip in its corner."""
        picture = self._pixmaps[int(seconds / HELD_S) % len(self._pixmaps)]
        x, y = (bounced(number * step, far) for step, far in zip(STEP, MARGIN, strict=True))
        self._window.copy_area(self._context, picture, x, y, *self.size, 0, 0)
        if strip is not None:
            height, width = strip.shape[:2]
            self._window.put_image(
                self._context, 0, 0, width, height, X.ZPixmap, self._depth, 0, strip.tobytes()
            )
        self._display.flush()

    def settle(self) -> None:
        """Wait until the server has done all of it."""
        self._display.sync()

    def _upload(self, picture: Pixels, depth: int) -> Any:
        """RGB uint8 (H, W, 3) as a pixmap, in pieces that a request may have."""
        height, width = picture.shape[:2]
        pixmap = self._window.create_pixmap(width, height, depth)
        rows = max(1, 200_000 // (4 * width))
        bgrx = np.ascontiguousarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA))
        for top in range(0, height, rows):
            piece = bgrx[top : top + rows]
            pixmap.put_image(
                self._context, 0, top, width, len(piece), X.ZPixmap, depth, 0, piece.tobytes()
            )
        return pixmap


def bounced(distance: int, far: int) -> int:
    """Where something is that runs to and fro between 0 and ``far``.

    >>> [bounced(each, 3) for each in range(8)]
    [0, 1, 2, 3, 2, 1, 0, 1]
    """
    place = distance % (2 * far)
    return min(place, 2 * far - place)


def scroll(rate: float, seconds: float, count: int) -> int:
    """Show frames at absolute deadlines until the time is up; how many were shown."""
    scroller = Scroller(count)
    scroller.settle()
    print(READY, flush=True)
    begin, number = time.monotonic(), 0
    while (now := time.monotonic() - begin) < seconds:
        number += 1
        time.sleep(max(0.0, number / rate - now))
        scroller.show(number, number / rate)
    scroller.settle()
    return number


def main() -> None:
    """Scroll, then say how many frames were shown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=60.0, help="frames a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--pictures", type=int, default=4)
    asked = parser.parse_args()
    print(scroll(asked.rate, asked.seconds, asked.pictures), "frames shown", flush=True)


if __name__ == "__main__":
    main()

"""A page that restores, for tests: a function in the network's place, and who speaks with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels
from helpers.reviews import Client
from model.restoring.methods import OnShare, Restore
from model.restoring.page_server import bind_restorer
from model.restoring.queue import ServeLimits


def darken(pixels: Pixels) -> Pixels:
    """Stands for the network; by whole numbers of 8 bits, so that results are exact."""
    return (np.rint(pixels * 255) // 2 / 255).astype(np.float32)


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(image: Any, suffix: str = ".png") -> bytes:
    """RGB, or grey, as a file."""
    bgr = image[..., ::-1] if image.ndim == 3 else image
    return cv2.imencode(suffix, np.ascontiguousarray(bgr))[1].tobytes()


def decode(data: bytes) -> Any:
    """The numbers of a file, in the order of channels that it has."""
    found: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return found[..., 2::-1] if found.ndim == 3 else found


class Gate:
    """A network that restores when it is told to, and counts how many pictures it has at once."""

    def __init__(self) -> None:
        self.open, self.seen = threading.Semaphore(0), threading.Semaphore(0)
        self.inside, self.most = 0, 0
        self.order: list[int] = []

    def __call__(self, pixels: Pixels) -> Pixels:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.order.append(pixels.shape[1])
        self.seen.release()
        assert self.open.acquire(timeout=20)
        self.inside -= 1
        return pixels


class Guest(Client):
    """Hands pictures in."""

    def __init__(self, address: str) -> None:
        super().__init__(address, "restore")

    def hand_in(self, data: bytes, name: str = "a.png", **headers: str) -> tuple[int, Any]:
        status, body, _ = self.ask(f"/pictures?name={quote(name, safe='')}", data, **headers)
        return status, json.loads(body)

    def listed(self) -> list[dict[str, Any]]:
        return list(json.loads(self.ask("/pictures")[1])["pictures"])

    def wait_for(self, id: str) -> dict[str, Any]:
        """A picture once it is done, or failed."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = next(each for each in self.listed() if each["id"] == id)
            if found["state"] in ("done", "failed"):
                return found
            time.sleep(0.01)
        raise AssertionError(f"still {found}")

    def restore(self, data: bytes, name: str = "a.png") -> dict[str, Any]:
        status, told = self.hand_in(data, name)
        assert status == 202, told
        return self.wait_for(told["id"])

    def download(self, id: str) -> bytes:
        status, body, _ = self.ask(f"/pictures/{id}/download")
        assert status == 200
        return body


@contextmanager
def serving(
    restore: Restore = darken,
    limits: ServeLimits | None = None,
    open_restorer: Callable[[OnShare], Restore] | None = None,
) -> Iterator[Guest]:
    """The page, answering in another thread."""
    with bind_restorer(open_restorer or (lambda told: restore), 0, limits) as (server, guard, _):
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Guest(guard.address)
        finally:
            server.shutdown()
            thread.join()


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

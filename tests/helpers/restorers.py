"""A page that restores, for tests: a function in the network's place, and who speaks with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels
from helpers.processes import Thread
from helpers.reviews import Client
from helpers.waiting import SOON_S
from model.restoring.methods import OnShare, Restore
from model.restoring.page_server import (
    bind_restorer,
)
from model.restoring.uploads import ServeLimits
from model.restoring.ways import WAYS


def darken(pixels: Pixels) -> Pixels:
    """Stands for the network; by whole numbers of 8 bits, so that results are exact."""
    return (np.rint(pixels * 255) // 2 / 255).astype(np.float32)


def noise(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(image: Any, suffix: str = ".png") -> bytes:
    """RGB, or grey, as a file."""
    bgr = image[..., ::-1] if image.ndim == 3 else image
    return cv2.imencode(suffix, np.ascontiguousarray(bgr))[1].tobytes()


def decode(data: bytes, channels: int = 3) -> Any:
    """The numbers of a file, its colours as RGB, or with its transparency as BGRA."""
    found: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return found[..., 2::-1] if found.ndim == channels == 3 else found


class Gate:
    """A network that restores on command, and counts how many pictures it has at once."""

    def __init__(self) -> None:
        self.open, self.seen = threading.Semaphore(0), threading.Semaphore(0)
        self.inside, self.most = 0, 0
        self.order: list[int] = []

    def __call__(self, pixels: Pixels) -> Pixels:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.order.append(pixels.shape[1])
        self.seen.release()
        assert self.open.acquire(timeout=SOON_S)
        self.inside -= 1
        return pixels


@dataclass
class Answer:
    """What a page is sent of one picture."""

    facts: dict[str, Any] = field(default_factory=dict)  # the newest of each kind
    shares: list[float] = field(default_factory=list)
    parts: dict[str, bytes] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)  # media types of the parts
    result_name: str = ""

    @property
    def state(self) -> str:
        return str(self.facts["state"])

    @property
    def message(self) -> str:
        return str(self.facts.get("message", ""))


def read_answer(body: bytes) -> Answer:
    """Lines of JSON, some of them with bytes behind them."""
    answer = Answer()
    while body:
        line, _, body = body.partition(b"\n")
        message = json.loads(line or b"{}")
        if "share" in message:
            answer.shares.append(message["share"])
        elif "part" in message:
            part, size = message["part"], message.get("bytes", 0)
            answer.kinds[part], answer.parts[part] = message["type"], body[:size]
            answer.result_name = message.get("name", answer.result_name)
            body = body[size:]
        else:
            answer.facts |= message
    return answer


class Guest(Client):
    """Hands pictures in."""

    def __init__(self, address: str) -> None:
        super().__init__(address, "restore")

    def hand_in(
        self, data: bytes, name: str = "a.png", asked: str = "", **headers: str
    ) -> tuple[int, Any]:
        """Status, and the answer as its bytes where it is one. ``asked``: ``&strength=0.5``."""
        address = f"/restore?name={quote(name, safe='')}{asked}"
        status, body, _ = self.ask(address, data, **headers)
        return status, body if status == 200 else json.loads(body)

    def restore(self, data: bytes, name: str = "a.png", asked: str = "") -> Answer:
        status, body = self.hand_in(data, name, asked)
        assert status == 200, body
        return read_answer(body)


@contextmanager
def serving(
    restore: Restore = darken,
    limits: ServeLimits | None = None,
    open_restorer: Callable[[OnShare], Restore] | None = None,
    ways: Sequence[str] = tuple(WAYS),
) -> Iterator[Guest]:
    """The page, answering in another thread."""
    opener = open_restorer or (lambda told: restore)
    with bind_restorer(opener, 0, limits, ways) as (server, guard, _):
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield Guest(guard.address)
        finally:
            server.shutdown()
            thread.join()


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

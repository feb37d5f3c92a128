"""The game's side of remote control: JSON lines on stdin, one answer per line on stdout.

Draws nothing. ``client`` is the other side.
"""

from __future__ import annotations

import json
import queue
import threading
from typing import Any, TextIO

from capture.game.options import Light
from dataset.gate import parse_json


class Remote:
    """Reads requests in a thread of its own, so that the window stays alive meanwhile."""

    END = object()
    """What `next` returns after `{"quit": true}` or the end of the input."""

    def __init__(self, source: TextIO, sink: TextIO) -> None:
        self.sink = sink
        self.requests: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, args=(source,), daemon=True).start()

    def _read(self, source: TextIO) -> None:
        for line in source:
            try:
                request = parse_json(line, dict[str, Any])
            except ValueError:
                request = {}
            if request.get("quit"):
                break
            self.requests.put(request)
        self.requests.put(self.END)

    def next(self, timeout_s: float) -> Any:
        """The next request, `END`, or None when nothing came in time."""
        try:
            return self.requests.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def answer(self, message: dict[str, Any]) -> None:
        """Send one line."""
        try:
            self.sink.write(json.dumps(message) + "\n")
            self.sink.flush()
        except (BrokenPipeError, ValueError):
            self.requests.put(self.END)

    def ready(self, title: str, size: tuple[int, int]) -> None:
        """The first line: the window shows a picture."""
        self.answer({"ready": True, "title": title, "size": list(size)})

    def drawn(self, number: int, light: Light) -> None:
        """The picture asked for is in the window."""
        angles = {"azimuth": light.azimuth_deg, "elevation": light.elevation_deg}
        self.answer(
            {
                "drawn": True,
                "viewpoint": number,
                "light": {**angles, "strength": light.strength},
            }
        )

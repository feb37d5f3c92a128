"""Pictures per second of the embedded game.

Example: python benchmarks/capture/game_fps.py --size 512 --json

Measures, at one size: the same viewpoint under a moving sun, new viewpoints, and the real window
under remote control (started under Xvfb when there is no display). Prints machine and versions.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from capture.game.client import GameProcess
from capture.game.options import GameOptions
from capture.game.viewpoints import over_exposed_light


def timed(calls: list[Callable[[], object]]) -> list[float]:
    """Seconds of each call."""
    result = []
    for call in calls:
        start = time.perf_counter()
        call()
        result.append(time.perf_counter() - start)
    return result


def offscreen(size: int, count: int) -> dict[str, object]:
    """The engine without a window."""
    import numpy
    import panda3d

    from capture.game.pairs import Renderer, renderer_name

    with Renderer((size, size)) as renderer:
        light = over_exposed_light(0, 0)
        turned = [replace(light, azimuth_deg=k * 3.0 % 360) for k in range(count)]
        renderer.render(0, 0, light)
        same = timed([lambda k=k: renderer.render(0, 0, light) for k in range(count)])  # type: ignore[misc]
        sun = timed([lambda at=at: renderer.render(0, 0, at) for at in turned])  # type: ignore[misc]
        new = timed(
            [
                lambda k=k: renderer.render(0, k, over_exposed_light(0, k))  # type: ignore[misc]
                for k in range(1, 2 * count)
            ]
        )
        return {
            "renderer": renderer_name(),
            "panda3d": panda3d.__version__,
            "numpy": numpy.__version__,
            "still_fps": 1 / statistics.median(same),
            "moving_sun_fps": 1 / statistics.median(sun),
            "new_viewpoint_ms": 1e3 * statistics.median(new),
            "new_viewpoint_max_ms": 1e3 * max(new),
        }


def virtual_screen(stack: ExitStack) -> str:
    """A display of our own, ended with the stack."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1200x24", "-nolisten", "tcp"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    stack.callback(server.wait)
    stack.callback(server.terminate)
    os.close(write)
    with os.fdopen(read) as told:
        return f":{told.readline().strip()}"


def windowed(size: int, count: int) -> dict[str, object]:
    """The real window, from a request to the answer that its picture is shown."""
    with ExitStack() as stack:
        env = dict(os.environ)
        if not env.get("DISPLAY") and sys.platform.startswith("linux"):
            if shutil.which("Xvfb") is None:
                return {"window": "no display and no Xvfb"}
            env["DISPLAY"] = virtual_screen(stack)
        game = stack.enter_context(GameProcess(GameOptions(size=(size, size)), env))
        light = over_exposed_light(0, 0)
        game.show(0, light)
        times = timed(
            [
                lambda k=k: game.show(0, replace(light, azimuth_deg=k * 3.0))  # type: ignore[misc]
                for k in range(count)
            ]
        )
        return {"window_shows_per_s": 1 / statistics.median(times)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    result: dict[str, object] = {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "size": asked.size,
    }
    result |= offscreen(asked.size, asked.count) | windowed(asked.size, asked.count)
    if asked.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:>22}  {value:.1f}" if isinstance(value, float) else f"{key:>22}  {value}")


if __name__ == "__main__":
    main()

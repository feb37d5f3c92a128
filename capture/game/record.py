"""Recording the embedded game unattended: a display, the game in its window, the recorder.

Everything is real: the window is grabbed off the screen by the same recorder that records any
other game. Only the player is replaced, by ``game.client``.
"""

from __future__ import annotations

from collections.abc import Callable

from capture.clock import now_s
from capture.game.client import GameProcess
from capture.game.options import GameOptions, Light
from capture.game.viewpoints import over_exposed_light, reference_light
from capture.options import CaptureOptions, StageOptions
from capture.recording.recorder import Recorder
from capture.screens.mss import open_screen
from capture.screens.virtual_display import any_display


def record_game(
    options: StageOptions, on_progress: Callable[[int, int], None] | None = None
) -> int:
    """Record viewpoints of the embedded game, each under the weak and under the strong sun.

    Parameters
    ----------
    options : StageOptions
        How many viewpoints, how large, how long at most.
    on_progress : callable
        Called with (done, total) frames.

    Returns
    -------
    int
        Frames recorded: two of each viewpoint.

    Raises
    ------
    UserError
        No display can be had, or the game does not start.
    """
    capture = CaptureOptions(out=options.out, session=options.session, window=options.title)
    game_options = GameOptions(options.size, options.seed, remote=True, title=options.title)
    end = now_s() + options.minutes * 60
    done = 0
    with (
        any_display(),
        GameProcess(game_options) as game,
        open_screen(capture) as screen,
        Recorder(capture, screen) as recorder,
    ):
        if screen.window is not None:
            screen.window.focus()  # above whatever the user has open: covered frames are refused
        for viewpoint in range(options.viewpoints):
            if now_s() > end and viewpoint >= options.least_viewpoints:
                break
            for name, light in lights_of(options.seed, viewpoint):
                game.show(viewpoint, light)
                recorder.snap(light=describe_light(name, light), viewpoint=f"v{viewpoint:05d}")
                done += 1
                if on_progress:
                    on_progress(done, 2 * options.viewpoints)
    return done


def lights_of(seed: int, viewpoint: int) -> list[tuple[str, Light]]:
    """The two lights of a viewpoint, by name; ``reference`` is what pairs are made with."""
    strong = over_exposed_light(seed, viewpoint)
    return [("reference", reference_light(strong)), ("over-exposed", strong)]


def describe_light(name: str, light: Light) -> str:
    """The manifest's free text on the light."""
    return (
        f"{name}; sun azimuth {light.azimuth_deg:.1f}, elevation {light.elevation_deg:.1f}, "
        f"strength {light.strength:.2f}"
    )

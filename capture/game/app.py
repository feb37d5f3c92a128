"""The game's window: keys, autopilot and remote control of one state."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from panda3d.core import (
    ButtonThrower,
    DataGraphTraverser,
    EventQueue,
    MouseAndKeyboard,
    NodePath,
)

from capture.clock import now_s, short_waits
from capture.game.autopilot import picture_of
from capture.game.engine import draw_frame, engine, open_window
from capture.game.hud import Hud
from capture.game.options import MAX_STRENGTH, MIN_STRENGTH, WEAK, GameOptions, Light
from capture.game.pipeline import Pipeline
from capture.game.remote import Remote
from capture.game.scene import Scene
from capture.game.viewpoints import AIRCRAFT, over_exposed_light, viewpoint

TURN_DEG = 3.0  # sun's step a key press
STRENGTH_STEP = 1.25
EXPOSURE_STEP_EV = 0.25
FRAME_S = 1 / 60  # no more pictures than this
REDRAW_S = 0.25  # a picture that stays is drawn again so often: windows uncover it, keys change it


class Game:
    """A window, a scene and the state that keys, autopilot or remote control change."""

    def __init__(self, options: GameOptions) -> None:
        self.options = options
        self.window = open_window(options.title, options.size)
        self.pipeline = Pipeline(self.window, options.size, offscreen=False)
        self.scene = Scene(self.pipeline)
        self.hud = Hud(self.window, options.size)
        self.hud.shown = options.hud
        self.number, self.craft = 0, None  # type: tuple[int, str | None]
        self.light = over_exposed_light(options.seed, 0)
        self.exposure_ev = 0.0
        self.paused = False
        self.running = True
        self.picture = -1  # the autopilot's
        self._listen()

    # -- input ------------------------------------------------------------------------------------

    def _listen(self) -> None:
        data = NodePath("data")
        keyboard = data.attach_new_node(MouseAndKeyboard(self.window, 0, "keyboard"))
        keyboard.attach_new_node(ButtonThrower("keys"))
        self.data = data
        self.traverser = DataGraphTraverser()
        self.keys: dict[str, Callable[[], None]] = {
            "arrow_left": lambda: self.turn(-TURN_DEG, 0),
            "arrow_right": lambda: self.turn(TURN_DEG, 0),
            "arrow_up": lambda: self.turn(0, TURN_DEG),
            "arrow_down": lambda: self.turn(0, -TURN_DEG),
            "[": lambda: self.strengthen(1 / STRENGTH_STEP),
            "]": lambda: self.strengthen(STRENGTH_STEP),
            "n": self.next_viewpoint,
            "a": self.next_aircraft,
            "-": lambda: self.expose(-EXPOSURE_STEP_EV),
            "=": lambda: self.expose(EXPOSURE_STEP_EV),
            "p": self.pause,
            "space": self.pause,
            "h": self.hud.toggle,
            "escape": self.quit,
        }

    def poll_keys(self) -> None:
        """Do what was pressed since the last call; a held key repeats."""
        self.traverser.traverse(self.data.node())
        queue = EventQueue.get_global_event_queue()
        while not queue.is_queue_empty():
            name = queue.dequeue_event().get_name()
            action = self.keys.get(name.removesuffix("-repeat"))
            if action is not None:
                action()
        if self.window.is_closed():
            self.quit()

    def turn(self, azimuth_deg: float, elevation_deg: float) -> None:
        """Move the sun over the sky."""
        elevation = min(88.0, max(2.0, self.light.elevation_deg + elevation_deg))
        azimuth = (self.light.azimuth_deg + azimuth_deg) % 360.0
        self.light = replace(self.light, azimuth_deg=azimuth, elevation_deg=elevation)

    def strengthen(self, factor: float) -> None:
        """Multiply the sun's strength; from nothing it starts again at a quarter of WEAK."""
        strength = self.light.strength * factor
        if strength < WEAK / 4:
            strength = MIN_STRENGTH if factor < 1 else WEAK / 4
        self.light = replace(self.light, strength=min(MAX_STRENGTH, strength))

    def expose(self, ev: float) -> None:
        """Change the exposure by this many stops."""
        self.exposure_ev = min(4.0, max(-4.0, self.exposure_ev + ev))

    def next_viewpoint(self) -> None:
        """Go on to the next viewpoint, with its own aircraft and light."""
        self.number, self.craft = self.number + 1, None
        self.light = over_exposed_light(self.options.seed, self.number)

    def next_aircraft(self) -> None:
        """Put the next aircraft into the same place."""
        current = viewpoint(self.options.seed, self.number, self.craft).aircraft
        self.craft = AIRCRAFT[(AIRCRAFT.index(current) + 1) % len(AIRCRAFT)]

    def pause(self) -> None:
        """Hold or release the autopilot and the propellers."""
        self.paused = not self.paused

    def quit(self) -> None:
        """Leave the loop after this picture."""
        self.running = False

    # -- output -----------------------------------------------------------------------------------

    def set_picture(self, number: int, light: Light) -> None:
        """Another viewpoint, with its own aircraft, under `light`."""
        self.number, self.craft, self.light = number, None, light

    def draw(self) -> None:
        """Draw the state and show it; returns when the window system has the picture."""
        view = viewpoint(self.options.seed, self.number, self.craft)
        self.scene.show(self.options.seed, view, self.light, self.exposure_ev)
        self.hud.update(view, self.light, self.exposure_ev, self.paused)
        draw_frame()
        engine().flip_frame()
        self.window.get_pointer(0)  # a round trip to the X server, which has drawn all before it

    def close(self) -> None:
        """Close the window."""
        self.pipeline.close()
        engine().remove_all_windows()


def _play(game: Game, options: GameOptions) -> None:
    """Keys and autopilot until somebody quits or the time is over."""
    start = now_s()
    elapsed, before, drawn = 0.0, start, -REDRAW_S
    while game.running:
        now = now_s()
        elapsed += 0.0 if game.paused else now - before
        before = now
        picture = int(elapsed / max(options.hold_s, 1e-3))
        moves = not game.paused and not options.autopilot
        if options.autopilot and picture != game.picture:
            game.picture, moves = picture, True
            game.set_picture(*picture_of(options.seed, picture))
        elif moves:
            game.scene.spin(elapsed)
        if moves or now - drawn >= REDRAW_S:
            game.draw()
            game.poll_keys()
            drawn = now
        if options.duration_s is not None and now - start >= options.duration_s:
            game.quit()
        time.sleep(max(0.0, FRAME_S - (now_s() - now)))


def _obey(game: Game, remote: Remote) -> None:
    """Remote control: one answer for each picture, after it was shown."""
    game.draw()
    game.poll_keys()
    remote.ready(game.options.title, game.options.size)
    while game.running:
        request: Any = remote.next(timeout_s=0.05)
        if request is remote.END:
            game.quit()
        elif request is not None:
            _answer(game, remote, request)
        else:
            game.draw()  # redraws what another window may have covered
        game.poll_keys()


def _answer(game: Game, remote: Remote, request: dict[str, Any]) -> None:
    try:
        number = int(request["viewpoint"])
        light = Light(*(float(request[k]) for k in ("azimuth", "elevation", "strength")))
    except (KeyError, TypeError, ValueError) as error:
        remote.answer({"drawn": False, "error": f"{type(error).__name__}: {error}"})
        return
    game.set_picture(number, light)
    game.draw()
    remote.drawn(number, light)


def run_game(options: GameOptions) -> None:
    """Open the window and play until it is closed.

    Raises
    ------
    UserError
        When no window can be opened.
    """
    remote = Remote(sys.stdin, sys.stdout) if options.remote else None
    game = Game(options)
    try:
        if remote is not None:
            _obey(game, remote)
        else:
            with short_waits():
                _play(game, options)
    finally:
        game.close()

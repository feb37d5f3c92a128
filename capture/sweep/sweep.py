"""The light sweep: each viewpoint of a game under many lights, unattended.

A driver moves the game from picture to picture; the recorder grabs and writes. Frames of one
viewpoint share its id in the manifest, so they become nearly aligned pairs of X and Y.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from capture.clock import now_s, short_waits
from capture.commands import CommandQueue
from capture.control.daemon import TOO_EARLY, asked_to_stop, running
from capture.control.global_keys import keys_are_hidden
from capture.options import CaptureOptions, SweepOptions
from capture.recording.freeze import Thumbnail, differs, frame_thumbnail
from capture.recording.loop import handle_command
from capture.recording.recorder import Recorder
from capture.recording.session import check_texts
from capture.screens.mss import open_screen
from capture.screens.source import FrameSource
from capture.screens.target import NotVisible, Window
from capture.status import LOG, Summary, while_heard
from capture.sweep.flightgear import FlightGear, NotDrawn
from capture.sweep.flightgear_scenes import choose_aircraft
from capture.sweep.key_presser import KeyPresser
from dataset.errors import UserError

LATE = 4  # times the settling time: the limit for a change, and for the picture to come to rest
PICTURE_CHECK_S = 0.05  # between two looks at the picture
RETRIES, COVERED_RETRY_S = 20, 0.25  # for a window that is covered for a moment


_T = TypeVar("_T")


class Ended(Exception):
    """Somebody asked the sweep to end; the message says who."""


class Driver(Protocol):
    """Moves the game from picture to picture."""

    def go(self, viewpoint: int) -> None:
        """Show viewpoint 0, 1, 2 and so on, ready for its first light."""

    def light(self, step: int) -> str:
        """Set the light of step 0, 1, 2 and so on, and wait until it is drawn; a text on the light.

        Raises
        ------
        NotDrawn
            The game does not show it: continue with the next viewpoint.
        """


class Presser(AbstractContextManager["Presser"], Protocol):
    """Presses the game's keys, and notices the user's, while in its context."""

    def parse(self, text: str) -> list[Any]:
        """The keys of ``]``, ``n``, ``<f5>`` or ``<ctrl>+k``; ``UserError`` for anything else."""

    def tap(self, keys: list[Any], times: int = 1) -> None:
        """Press and release keys together; ``UserError`` if the system rejects that."""

    def user_key(self) -> str | None:
        """The key that the user pressed, or None."""

    def forget(self) -> None:
        """Ignore what the user pressed until now."""


class KeyDriver:
    """Taps the keys that the game itself has for its light and its viewpoint.

    Parameters
    ----------
    options : SweepOptions
        Checked by `run_sweep`: its keys are there.
    screen : FrameSource
        Shows the game: a key press has worked when its picture changes.
    window : Window or None
        The game's window, which must have the focus; None: any window with the focus gets keys.
    presser : Presser
    check : callable
        Called between presses; raises `Ended` to end the sweep.
    """

    def __init__(
        self,
        options: SweepOptions,
        screen: FrameSource,
        window: Window | None,
        presser: Presser,
        check: Callable[[], None],
    ) -> None:
        self._options, self._screen, self._window = options, screen, window
        self._presser, self._check = presser, check
        key = str(options.key)
        self._key = presser.parse(key)
        self._next = presser.parse(options.viewpoint_key or key)
        self._back = presser.parse(options.back_key) if options.back_key else None
        self._pressed = 0  # since the viewpoint's first light
        self._changes = 0  # of the picture, by the light key, in total

    def go(self, viewpoint: int) -> None:
        if viewpoint == 0:
            return
        if self._back is not None and self._pressed:
            before = self._look()
            self._tap(self._back, self._pressed)
            self._settle(before, self._options.settle_s)
        self._pressed = 0
        before = self._look()
        self._tap(self._next, 1)
        if not self._settle(before, self._options.viewpoint_settle_s) and viewpoint == 1:
            raise _changed_nothing(str(self._options.viewpoint_key), "the next viewpoint")

    def light(self, step: int) -> str:
        if step > 0:
            before = self._look()
            self._tap(self._key, self._options.taps)
            self._pressed += self._options.taps
            self._changes += self._settle(before, self._options.settle_s)
            if step == self._options.steps - 1 and self._changes == 0:
                raise _changed_nothing(str(self._options.key), "the light")
        return f"step {step}"

    def _tap(self, keys: list[Any], times: int) -> None:
        for _ in range(times):
            self._check()
            if self._window is not None and not self._window.has_focus():
                raise Ended(f'the window "{self._window.title}" lost the keyboard')
            self._presser.tap(keys)

    def _settle(self, before: Thumbnail, least_s: float) -> bool:
        """Wait until the picture has changed and then stood still; whether it changed.

        A game with a low frame rate shows the first of several presses long before the last.
        """
        begin = still_since = now_s()
        newest, changed = before, False
        while now_s() - begin < least_s * (1 + LATE):
            self._check()
            time.sleep(PICTURE_CHECK_S)
            older, newest = newest, self._look()
            changed = changed or differs(before, newest)
            if differs(older, newest):
                still_since = now_s()
            elif changed and now_s() - still_since >= least_s:
                break
        return changed

    def _look(self) -> Thumbnail:
        return frame_thumbnail(_patiently(self._screen.grab, self._check))


def _patiently(look: Callable[[], _T], check: Callable[[], None]) -> _T:
    """What ``look`` returns, retried while the window is covered for a moment."""
    for _ in range(RETRIES):
        try:
            return look()
        except NotVisible as error:
            LOG.warning("%s", error)
            check()
            time.sleep(COVERED_RETRY_S)
    return look()


def _changed_nothing(key: str, what: str) -> UserError:
    return UserError(
        f"The key {key!r} changed nothing in the picture: is it the game's key for {what}, and is "
        "the game in front?",
        1,
    )


def run_sweep(
    capture: CaptureOptions,
    sweep: SweepOptions,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    warnings: Sequence[str] = (),
) -> Summary:
    """Record every viewpoint under every light.

    Parameters
    ----------
    capture : CaptureOptions
        What is recorded, and where to.
    sweep : SweepOptions
        How the game is moved.
    on_progress : callable
        Called with (done, total) frames.
    warnings : sequence of str
        For the log: what was found before the start.

    Raises
    ------
    UserError
        The game cannot be moved or seen; everything recorded before is whole.
    """
    _check_options(sweep)
    on_progress = while_heard(on_progress)
    with running(capture, warnings) as commands, short_waits(), ExitStack() as stack:

        def check() -> None:
            _handle_commands(recorder, commands)
            if presser is not None and (key := presser.user_key()) is not None:
                raise Ended(f"ended by the user's key {key}")

        # The driver first: if it fails, no empty session is left behind.
        screen = stack.enter_context(
            open_screen(capture, lambda: asked_to_stop(commands, "asking", TOO_EARLY))
        )
        presser = stack.enter_context(_presser()) if sweep.driver == "keys" else None
        driver: Driver
        if presser is not None:
            driver = KeyDriver(sweep, screen, screen.window, presser, check)
        else:
            driver = stack.enter_context(_connect(sweep, screen))
            driver.prepare()
        # There is time enough for PNG; a video would only have to be converted afterwards.
        recorder = stack.enter_context(Recorder(replace(capture, codec="png"), screen))
        recorder.note(sweep=asdict(sweep))
        try:
            if presser is not None:
                handle = partial(_handle_commands, recorder, commands)
                _wait_for_game(sweep.delay_s, screen.window, handle)
                presser.forget()  # keys that brought the game to the front
            _sweep(recorder, driver, sweep, check, on_progress)
            recorder.end(f"{sweep.viewpoints} viewpoints")
        except Ended as error:
            recorder.end(str(error))
        except UserError as error:
            recorder.end(str(error))
            raise
        return recorder.close()


def _presser() -> Presser:
    """What presses keys on this desktop."""
    if not keys_are_hidden():
        return KeyPresser()
    from capture.sweep.portal_presser import PortalPresser  # Linux only

    return PortalPresser()


def _check_options(options: SweepOptions) -> None:
    """Raise `UserError` for what is missing or wrong, before a screen or a folder is touched."""
    if options.steps < 1 or options.viewpoints < 1 or options.taps < 1:
        raise UserError("--steps, --viewpoints and --taps must be at least 1.")
    check_texts(options)
    if options.driver == "flightgear":
        choose_aircraft(options.aircraft, options.without)
        return
    if options.key is None:
        raise UserError("Say which key of the game moves its light: --key ']'.")
    if options.viewpoints > 1 and options.viewpoint_key is None:
        raise UserError("Say which key of the game goes to the next viewpoint: --viewpoint-key")
    if options.aircraft or options.without:
        raise UserError("--aircraft and --without are for --driver flightgear.")


def _connect(options: SweepOptions, screen: FrameSource) -> FlightGear:
    look = partial(_patiently, screen.grab, lambda: None)
    aircraft = choose_aircraft(options.aircraft, options.without)
    return FlightGear(options.host, options.port, options.steps, look, options.seed, aircraft)


def _sweep(
    recorder: Recorder,
    driver: Driver,
    options: SweepOptions,
    check: Callable[[], None],
    on_progress: Callable[[int, int], None],
) -> None:
    for viewpoint in range(options.viewpoints):
        check()
        try:
            driver.go(viewpoint)
            for step in range(options.steps):
                check()
                light = driver.light(step)
                snap = partial(recorder.snap, light=light, viewpoint=f"v{viewpoint:05d}")
                _patiently(snap, check)
                done = viewpoint * options.steps + step + 1
                on_progress(done, options.viewpoints * options.steps)
        except NotDrawn as error:
            LOG.warning("viewpoint %d left out: %s", viewpoint, error)


def _wait_for_game(delay_s: float, window: Window | None, check: Callable[[], None]) -> None:
    """Give the game the keyboard, or the user time to do so."""
    if window is not None:
        window.focus()
    end = now_s() + delay_s
    while now_s() < end and not (window is not None and window.has_focus()):
        check()
        time.sleep(PICTURE_CHECK_S)


def _handle_commands(recorder: Recorder, commands: CommandQueue) -> None:
    """Carry out all waiting commands; `Ended` if they, or a limit, ended the recording."""
    while not commands.empty():
        command = commands.get()
        if command.name not in ("start", "pause", "toggle"):
            handle_command(recorder, command)
        elif command.reply is not None:
            command.reply.set_result({"ok": False, "error": "A sweep takes its own frames."})
    recorder.step()  # checks the limits
    if recorder.reason is not None:
        raise Ended(recorder.reason)

"""Looks for what would spoil a recording before it is made, and says what to do about it.

Nothing is changed, and nothing stays on the disk. ``linux.py``, ``win32.py`` and ``darwin.py`` have
the same functions and ask what only their system knows.
"""

from __future__ import annotations

import os
import queue
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from typing import Any

from capture.control.global_keys import keys_are_hidden
from capture.control.hotkeys import Hotkeys
from capture.control.keys import chords_of, keys_of
from capture.doctor.disk import free_disk_bytes, write_speed
from capture.doctor.finding import Finding, Level, fault_of
from capture.options import CaptureOptions
from capture.recording.freeze import (
    BLACK,
    BLACK_REMEDY,
    differs,
    frame_thumbnail,
    is_black,
)
from capture.screens.mss import is_wayland, list_monitors, open_screen, takes_portal
from capture.screens.screen import Screen
from capture.screens.source import BgrxImage, FrameSource
from capture.screens.target import NotVisible, Window, show
from capture.screens.window import find_window, is_xwayland
from dataset.errors import UserError
from dataset.labelling.hud_mask import doubts, read_mask
from dataset.own_program import how_to_install
from dataset.pictures.images import resize_area, rgb_of
from dataset.pictures.png import encode_png

GRABS = 5  # timed
STILL_S = 0.5  # between two pictures that are compared
ENCODE_S = 1.0  # how long encoding is measured
IS_WINDOWS = sys.platform == "win32"
NEVER_RUN = {"dxcam": "DXcam", "hdr": "--backend hdr"}  # on Windows, the only place for them
MOST_WINDOWS = 3  # that are named
LEAST_MINUTES = 10.0  # of recording that should fit on the disk


def examine(options: CaptureOptions) -> list[Finding]:
    """Try everything that a recording with these options needs; takes a few seconds.

    Returns
    -------
    list of Finding
        In the order of the checks. Whatever is wrong is a finding, never an exception.
    """
    findings = [*(_wayland().desktop_findings(options) if _by_portal(options) else _x11())]
    if any(each.level == "fault" for each in findings):
        return [*findings, *_speed(options, None)]
    seen, picture = _pictures(options)
    findings += [*_desktop(options), *seen, _keys(options), *_blocked_keys(options)]
    return [*findings, *_speed(options, picture)]


def warnings_at_start(options: CaptureOptions) -> list[Finding]:
    """What to say when a recording starts: Wayland, a lock, HDR, permissions; mask and window.

    Grabs nothing and takes a few hundredths of a second; empty if all is well and no window is
    named.
    """
    if _by_portal(options):  # the recording itself asks for the screen
        found = [_wayland().consent(options), *_desktop(options)]
        if options.hotkey:
            found.append(_wayland().keys())
        return [each for each in found if each.level != "ok"]
    found = [*_session(), *_desktop(options)]
    if options.hud_mask is not None:
        with suppress(UserError), open_screen(options) as screen:  # recording will say so
            found += _mask(options, screen)
    warned = [each for each in found if each.level != "ok"]
    return warned + _named_window(options)


def _x11() -> Iterator[Finding]:
    """The display, on other systems the desktop; and whether it is one of X11."""
    shown = _display()
    yield shown
    if shown.level != "fault":
        yield from _session()


def _display() -> Finding:
    try:
        desktop, *monitors = list_monitors()
    except UserError as error:
        return fault_of("display", error)
    # mss made this process aware of scaling: these are real pixels, also at 150 %.
    shown = ", ".join(f"{n}: {show(each)}" for n, each in enumerate(monitors, 1))
    name = os.environ.get("DISPLAY", "") if sys.platform == "linux" else ""
    start = f"{name}, " if name else ""
    return Finding("display", "ok", f"{start}{desktop[2]}x{desktop[3]}; monitors {shown}")


def _session() -> Iterator[Finding]:
    """Wayland, which shows mss nothing but X programs."""
    if sys.platform != "linux":
        return
    try:
        hidden = is_wayland() and (not os.environ.get("DISPLAY") or is_xwayland())
    except UserError as error:
        yield fault_of("session", error)
        return
    if hidden:
        what = "Wayland lets no program read the screen as mss does"
        remedy = "Leave --backend mss out, or use `cli import FOLDER`."
        yield Finding("session", "fault", what, remedy)
    else:
        yield Finding("session", "ok", "X11")


def _desktop(options: CaptureOptions) -> Iterator[Finding]:
    """What affects every picture: lock screen, HDR, permissions."""
    system = _system()
    locked = _fact(system.screen_locked)
    if locked:
        yield Finding(
            "lock", "fault", "the screen is locked or blanked", "Unlock it and turn that off."
        )
    else:
        yield Finding("lock", "ok", "not known" if locked is None else "the screen is not locked")
    yield _hdr(options, _fact(system.hdr_displays))
    if options.backend in NEVER_RUN and IS_WINDOWS:  # elsewhere, opening it says enough
        yield Finding(
            "backend",
            "warning",
            f"we have never run {NEVER_RUN[options.backend]} on Windows",
            f"Try a short recording first, or leave --backend {options.backend} out.",
        )
    for missing in _fact(system.missing_permissions) or []:
        yield Finding(
            "permission",
            "fault",
            f"{missing} is not allowed to this program",
            f"Allow it to your terminal in System Settings, Privacy & Security, {missing}.",
        )


def _hdr(options: CaptureOptions, shown: list[str] | None) -> Finding:
    """Whether HDR spoils the recording, or is missing where it is wanted."""
    wanted = options.backend == "hdr"
    on = f"on ({', '.join(shown)})" if shown else ""
    never = ", says a check that never met a screen with it" if IS_WINDOWS else ""
    if shown and not wanted:
        return Finding(
            "hdr",
            "warning",
            f"HDR is {on}: pictures will look over-exposed that are not",
            f"Record with --backend hdr, which keeps HDR shots, too{_package_of_shots()}. Or turn "
            "HDR off: in Windows Settings, System, Display, and in the game. Or save HDR "
            "screenshots (Win+Alt+PrtScn): `cli expose` makes frames of them, which docs/hdr.md "
            "describes.",
        )
    if wanted and shown == [] and IS_WINDOWS:
        remedy = "Turn it on in Windows Settings, System, Display, or leave --backend hdr out."
        return Finding("hdr", "warning", f"HDR is off{never}: there will be no HDR shots", remedy)
    return Finding("hdr", "ok", on or ("not known" if shown is None else f"off{never}"))


def _package_of_shots() -> str:
    """What to install for HDR shots, as a sentence that follows another; nothing if it is there."""
    return "" if find_spec("imagecodecs") else f". {how_to_install('hdr')}"


def _pictures(options: CaptureOptions) -> tuple[list[Finding], BgrxImage | None]:
    """What is seen, where that opens no dialog, and a picture of it, if there is one."""
    by_portal = _by_portal(options)
    if by_portal and _wayland().consent(options).level != "ok":
        return [], None
    try:
        with _wayland().look_again(options) if by_portal else open_screen(options) as screen:
            seen, picture = _look(screen)
            if by_portal:
                seen.append(_wayland().stream(screen, options.fps))
            return [*seen, *_window(screen), *_mask(options, screen)], picture
    except UserError as error:
        return [fault_of("picture", error)], None


def _look(screen: FrameSource) -> tuple[list[Finding], BgrxImage | None]:
    """What the screen shows, and a picture of it, if there is one."""
    try:
        picture = screen.grab()
        grab_ms = median(_grab_ms(screen) for _ in range(GRABS))
        before = frame_thumbnail(screen.grab())
        time.sleep(STILL_S)
        after = frame_thumbnail(screen.grab())
    except NotVisible as error:
        remedy = "Bring it to the front and move other windows away."
        return [fault_of("picture", error, "warning", remedy)], None
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    about = screen.describe()
    findings = [Finding("picture", "ok", f"{size} in {grab_ms:.1f} ms through {about['backend']}")]
    if is_black(after):
        findings.append(Finding("black", "warning", BLACK.rstrip("."), BLACK_REMEDY))
    else:
        findings.append(Finding("black", "ok", "the picture is not black"))
    changed = "changed" if differs(before, after, 0) else "did not change"
    findings.append(Finding("motion", "ok", f"the picture {changed} within {STILL_S} s"))
    return findings, picture


def _grab_ms(screen: FrameSource) -> float:
    began = time.perf_counter()
    screen.grab()
    return (time.perf_counter() - began) * 1e3


def _window(screen: Screen) -> Iterator[Finding]:
    """The title of the window, and whether it has the keyboard."""
    window = screen.window
    if window is None:
        return
    try:
        focus = "has the keyboard" if window.has_focus() else "does not have the keyboard now"
        place = show(window.rectangle())
    except NotVisible:
        return  # reported for the picture already
    except UserError as error:
        yield fault_of("window", error)
        return
    yield _chosen(window, place, f"; it {focus}")


def _named_window(options: CaptureOptions) -> list[Finding]:
    """Which window is recorded; nothing where none is named, or found: that is told later."""
    if options.window is None:
        return []
    with suppress(UserError), closing(find_window(options.window)) as window:
        return [_chosen(window, show(window.rectangle()))]
    return []


def _chosen(window: Window, place: str, more: str = "") -> Finding:
    """Which window is recorded, and which others have such a title."""
    chosen = f'"{window.title}", {place} ({window.id:#x}){more}'
    if not window.others:
        return Finding("window", "ok", chosen)
    named = ", ".join(map(str, window.others[:MOST_WINDOWS]))
    rest = f" and {len(window.others) - MOST_WINDOWS} more" if window.others[MOST_WINDOWS:] else ""
    return Finding(
        "window",
        "warning",
        f"{chosen}; its title is not the only one that matches: there is also {named}{rest}",
        "If another one is meant, give more of its title, or its number: --window "
        f"{window.others[0].id:#x}.",
    )


def _mask(options: CaptureOptions, screen: FrameSource) -> Iterator[Finding]:
    """Whether the HUD mask fits what is recorded."""
    if options.hud_mask is None:
        return
    try:
        _, _, *seen = screen.rectangle()
        found = doubts(read_mask(options.hud_mask)[0], options.hud_mask, [(seen[0], seen[1])])
    except UserError as error:
        yield fault_of("hud mask", error)
        return
    for each in found:
        message, _, remedy = each.rpartition(". ")
        yield Finding("hud mask", "warning", message, remedy)
    if not found:
        yield Finding("hud mask", "ok", f"{options.hud_mask} fits")


def _keys(options: CaptureOptions) -> Finding:
    """Whether global keys can be heard."""
    level: Level = "fault" if options.hotkey else "warning"
    try:
        if keys_are_hidden():
            chords_of(keys_of(options))
            return _wayland().keys()
        with Hotkeys(queue.SimpleQueue(), keys_of(options)):
            return Finding("keys", "ok", f"global keys are heard, {options.key_record} records")
    except UserError as error:
        return fault_of("keys", error, level)


def _blocked_keys(options: CaptureOptions) -> Iterator[Finding]:
    name = _fact(lambda: _system().elevated_window(options.window))
    if name:
        yield Finding(
            "keys",
            "fault" if options.hotkey else "warning",
            f'"{name}" runs as administrator: keys pressed there do not reach us',
            "Run this as administrator too, or bind `cli capture toggle` to a key of the desktop.",
        )


def _speed(options: CaptureOptions, picture: BgrxImage | None) -> list[Finding]:
    """Whether disk and processor keep up with frames like this one."""
    if picture is None:
        return [_space(options, None), _writing(options, None)]
    image = rgb_of(picture)
    if options.size is not None:
        image = resize_area(image, options.size)
    size = f"{image.shape[1]}x{image.shape[0]}"
    frame_bytes = len(encode_png(image))
    rate = _rate(lambda: encode_png(image), options.encoders)
    message = f"{rate:.0f} frames/s of {size} as PNG in {options.encoders} threads"
    if rate >= options.fps:
        coding = Finding("encoding", "ok", message)
    elif options.codec == "png":
        remedy = "Ask for fewer with --fps, smaller ones with --size, or for --codec h264."
        coding = Finding("encoding", "warning", f"{message}, {options.fps:g} asked for", remedy)
    else:
        coding = Finding("encoding", "ok", f"{message}; h264 first, as {options.fps:g} are wanted")
    return [_space(options, frame_bytes), _writing(options, frame_bytes), coding]


def _rate(encode: Callable[[], object], threads: int) -> float:
    """Calls per second of all threads together."""
    end = time.perf_counter() + ENCODE_S

    def work(_: int) -> int:
        done = 0
        while time.perf_counter() < end:
            encode()
            done += 1
        return done

    began = time.perf_counter()
    with ThreadPoolExecutor(max(1, threads)) as pool:
        done = sum(pool.map(work, range(max(1, threads))))
    return done / (time.perf_counter() - began)


def _space(options: CaptureOptions, frame_bytes: int | None) -> Finding:
    """How long a recording fits on the disk."""
    free = free_disk_bytes(options.out)
    left = free - options.disk_floor_bytes
    remedy = "Make room there, or record to another disk with --out."
    message = f"{free / 1e9:.1f} GB free for {options.out}"
    if left <= 0:
        floor = f"below the floor of {options.disk_floor_bytes / 1e9:.1f} GB"
        return Finding("disk", "fault", f"{message}, {floor}", remedy)
    if frame_bytes is None:
        return Finding("disk", "ok", message)
    minutes = left / (frame_bytes * options.fps) / 60
    message += f", {minutes:.0f} minutes at {options.fps:g} frames/s of {frame_bytes / 1e6:.1f} MB"
    wanted = LEAST_MINUTES if options.duration_s is None else options.duration_s / 60
    if minutes < wanted:
        return Finding("disk", "warning", message, remedy)
    return Finding("disk", "ok", message)


def _writing(options: CaptureOptions, frame_bytes: int | None) -> Finding:
    """How fast the disk is."""
    try:
        speed = write_speed(options.out)
    except UserError as error:
        return fault_of("writing", error)
    message = f"{speed / 1e6:.0f} MB/s"
    if frame_bytes is None or speed >= frame_bytes * options.fps:
        return Finding("writing", "ok", message)
    wanted = frame_bytes * options.fps / 1e6
    remedy = "Record to a faster disk with --out, or ask for fewer frames with --fps."
    return Finding("writing", "warning", f"{message}, {wanted:.0f} MB/s are needed", remedy)


def _by_portal(options: CaptureOptions) -> bool:
    """Whether the desktop's portal is asked; other systems refuse it when the screen is opened."""
    return sys.platform == "linux" and takes_portal(options)


def _wayland() -> Any:
    """The module for Wayland; it loads libraries of Linux alone."""
    return import_module("capture.doctor.wayland")


def _system() -> Any:
    """The module that asks this system; each loads its system's libraries."""
    name = sys.platform if sys.platform in ("win32", "darwin") else "linux"
    return import_module(f"capture.doctor.{name}")


def _fact(ask: Callable[[], Any]) -> Any:
    """What a system says; None if this version of it cannot be asked."""
    try:
        return ask()
    except (OSError, AttributeError):  # a library or a function is missing
        return None

"""What only Wayland has: the desktop's portal, PipeWire, consent, and pictures as they come.

Nobody is asked for consent here: pictures are looked at only where it is kept. Linux only.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from capture.consent import kept_token
from capture.control.portal_shortcuts import OTHER_WAY, offered
from capture.doctor.finding import Finding, fault_of
from capture.options import CaptureOptions
from capture.portal import PORTAL, Bus
from capture.screens import libpipewire
from capture.screens.mss import is_wayland
from capture.screens.pods import FORMATS
from capture.screens.screen import Screen
from capture.screens.screencast import PERSISTS, SCREENCAST, TYPES, Kind, kind_of
from capture.screens.wayland import WaylandScreen
from dataset.errors import UserError

OTHERS = ("GlobalShortcuts", "RemoteDesktop")  # portals that a recording can do without
ASK_S = 20.0  # longest wait for a dialog, which comes where the desktop has forgotten consent
RATE_S = 3.0  # how long pictures are counted
DAEMON_S = 2.0  # longest wait for PipeWire
SLOW = 0.9  # of the wanted rate; less is told


def desktop_findings(options: CaptureOptions) -> Iterator[Finding]:
    """The session, its portal, PipeWire, and consent. Opens no dialog."""
    desktop = os.environ.get("XDG_CURRENT_DESKTOP") or "of an unknown desktop"
    yield Finding("session", "ok", f"{'Wayland' if is_wayland() else 'X11'}, {desktop}")
    try:
        portals = _portals()
    except UserError as error:
        yield fault_of("portal", error)
        return
    yield _portal(portals, kind_of(options))
    yield _pipewire()
    asked = consent(options, portals[SCREENCAST].get("version", 0))
    if asked.level != "ok":
        asked = replace(asked, remedy=f"{asked.remedy} Pictures can be looked at here after that.")
    yield asked


def consent(options: CaptureOptions, version: int = PERSISTS) -> Finding:
    """Whether the desktop is going to ask the user what may be recorded."""
    kind = kind_of(options)
    if kept_token(kind) is not None:
        return Finding("consent", "ok", f"kept for a {kind}: the desktop need not ask you")
    choose = f"Choose the game's {kind} there"
    if version < PERSISTS:
        what = "the desktop asks you in a dialog at each start, as its portal keeps no consent"
        return Finding("consent", "warning", what, f"{choose}.")
    return Finding(
        "consent",
        "warning",
        f"the desktop will ask you in a dialog which {kind} may be recorded, this once",
        f"{choose}, and let it remember that if it offers to.",
    )


def look_again(options: CaptureOptions) -> Screen:
    """Open what the user has allowed before; ``UserError`` where the desktop does not any more."""
    return WaylandScreen(options, dialog_s=ASK_S)


def stream(screen: Screen, fps: float) -> Finding:
    """What pictures come, and how many in `RATE_S`."""
    assert isinstance(screen, WaylandScreen)
    before = screen.stream.pictures
    time.sleep(RATE_S)
    rate = (screen.stream.pictures - before) / RATE_S
    known = screen.stream.format
    shown = "" if known is None else f"{known.width}x{known.height} {FORMATS[known.pixels]}, "
    message = f"{shown}{rate:.0f} pictures/s from the desktop"
    if rate == 0:
        return Finding("stream", "ok", f"{message}, as nothing moved")
    if rate < SLOW * fps:
        remedy = (
            "Nothing, if the game itself drew no more. Else ask for fewer frames with --fps, or "
            "make the game's window or its screen smaller."
        )
        return Finding("stream", "warning", f"{message}, {fps:g} asked for", remedy)
    return Finding("stream", "ok", message)


def keys() -> Finding:
    """Whether the portal offers global keys; a recorder waits for commands without."""
    try:
        version = offered()
    except UserError as error:
        return Finding("keys", "warning", error.what.rstrip("."), OTHER_WAY)
    asks = "the desktop asks you when a recording starts with --hotkey"
    return Finding("keys", "ok", f"global keys come by the portal (version {version}); {asks}")


def _portals() -> dict[str, dict[str, Any]]:
    """The properties of each portal that there is."""
    with Bus() as bus:
        names = (SCREENCAST, *(f"{PORTAL}.{each}" for each in OTHERS))
        return {name: bus.properties(name) for name in names}


def _portal(portals: dict[str, dict[str, Any]], kind: Kind) -> Finding:
    """Which portals there are; without that of the screen nothing can be recorded."""
    cast = portals[SCREENCAST]
    types = cast.get("AvailableSourceTypes", 0)
    there = [f"{each}s" for each, bit in TYPES.items() if types & bit]
    named = [f"ScreenCast {cast.get('version')} ({' and '.join(there)})"] if there else []
    named += [
        f"{each} {about['version']}"
        for each in OTHERS
        if (about := portals[f"{PORTAL}.{each}"]).get("version")
    ]
    missing = [each for each in OTHERS if not portals[f"{PORTAL}.{each}"].get("version")]
    message = ", ".join([*named, *(f"no {each}" for each in missing)])
    if not there:
        remedy = (
            "Install the desktop's own part of the portal, such as xdg-desktop-portal-gnome, -kde, "
            "-wlr or -hyprland, and log in again."
        )
        return Finding("portal", "fault", f"no ScreenCast, {message}", remedy)
    if not types & TYPES[kind]:
        remedy = "Leave --window out and choose the game's monitor; --region takes a part of it."
        return Finding("portal", "fault", f"{message}: it cannot record a {kind}", remedy)
    return Finding("portal", "ok", message)


def _pipewire() -> Finding:
    """Whether the library is there, and the daemon answers."""
    try:
        version = libpipewire.version()
    except UserError as error:
        return fault_of("pipewire", error)
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR", "")
    path = os.path.join(folder, os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(DAEMON_S)
        try:
            probe.connect(path)
        except OSError as error:
            what = f"library {version}, but PipeWire does not run ({path}: {error.strerror})"
            remedy = "Run: systemctl --user start pipewire wireplumber"
            return Finding("pipewire", "fault", what, remedy)
    return Finding("pipewire", "ok", f"it runs; library {version}")

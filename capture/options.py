"""Settings of one recording. Standard library only, so that `--help` loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dataset.setting import setting

GB = 1_000_000_000  # bytes


@dataclass(frozen=True)
class CaptureOptions:
    """What is recorded, how often, by which keys, and when to stop.

    Keys are in pynput's notation: `<f9>`, `<ctrl>+<f12>`, `k`. A key with an extra modifier held
    does not match, so keys of the game that share a key with other modifiers stay the game's.
    """

    out: Path = setting(Path("captures"), "Folder of the sessions.", folder=True)
    session: str | None = setting(None, "Name of the new session.", shown="date and time")
    hotkey: bool = setting(False, "Listen to the global keys: see --list-keys.")
    start: bool = setting(False, "Record at once, without a key.")
    background: bool = setting(
        False, "Run without the terminal until `cli capture stop` ends the recording."
    )
    fps: float = setting(5.0, "Frames per second.")
    duration_s: float | None = setting(
        None, "Stop after this many seconds of recording, pauses not counted.", flag="duration"
    )
    max_frames: int | None = setting(None, "Stop after this many frames.")
    monitor: int = setting(
        1,
        "Monitor to record; 1 is the first, 0 all of them together. Under Wayland you choose it in "
        "the desktop's dialog, once.",
    )
    region: tuple[int, int, int, int] | None = setting(
        None,
        "Part of the desktop to record, in pixels; left of the main monitor X is negative. Under "
        "Wayland a part of the monitor or window that you choose.",
        form="X,Y,W,H",
        least=None,
    )
    window: str | None = setting(
        None,
        "Record the window whose title contains this text, or of this id. Under Wayland, whatever "
        "the text, you choose one of all windows in the desktop's dialog, once.",
        metavar="TITLE",
    )
    label: str | None = setting(
        None, "Label of all frames, unless a key changes it.", choices=("X", "Y")
    )
    size: tuple[int, int] | None = setting(
        None, "Resize frames to this size by area averaging.", form="WxH"
    )
    dedupe: str = setting(
        "mark",
        "Unchanged pictures: mark them, skip them, or do not look for them.",
        choices=("mark", "skip", "off"),
    )
    hud_mask: Path | None = setting(
        None, "PNG that is white where the game's HUD is; a copy is kept with the session."
    )
    codec: str = setting(
        "auto",
        "How frames are stored at first; auto takes PNG, or at high rates a lossless video that is "
        "converted to PNG at the end.",
        choices=("auto", "png", "h264"),
    )
    spool_to_png: bool = setting(
        True,
        "Convert the video to PNG at the end, or leave that to `cli capture repair`.",
        aliases=("develop",),
    )
    backend: str = setting(
        "auto",
        "How the screen is read; auto takes the desktop's portal under Wayland, else mss; dxcam is "
        "for Windows, hdr for Windows while HDR is on.",
        choices=("auto", "mss", "dxcam", "hdr", "portal"),
    )
    notify: bool = setting(False, "Show a desktop notification at start, pause and end.")
    sound: bool = setting(False, "Play a sound at start, pause and end.")
    key_record: str = setting("<f9>", "Key: start, pause, resume.")
    key_snap: str = setting("<f10>", "Key: take one frame, also while paused.")
    key_x: str = setting("<f7>", "Key: frames from now on are X, until pressed again.")
    key_y: str = setting("<f8>", "Key: frames from now on are Y, until pressed again.")
    key_undo: str = setting("<ctrl>+<f8>", "Key: take back the last label, also from its frames.")
    key_light: str = setting("<f6>", "Key: the light was moved one step.")
    key_stop: str = setting("<ctrl>+<f12>", "Key: end the session.")  # plain F12 is Steam's
    disk_floor_bytes: int = setting(GB)  # stop cleanly before less than this is free; 0: off
    encoders: int = setting(2)  # encoder threads
    queue_frames: int = setting(16)  # frames waiting for an encoder; 8 MB each at 1920x1080


@dataclass(frozen=True)
class ShortcutOptions:
    """Keys of the desktop that run the control commands: what is done about them."""

    desktop: str | None = setting(
        None,
        "Whose settings are meant.",
        choices=("gnome", "kde", "sway"),
        shown="the desktop that runs; all, if that is another one",
    )
    set: bool = setting(False, "Set them: GNOME for good, sway until it is reloaded.")
    unset: bool = setting(False, "Take back what --set has set, and nothing else.")
    install_desktop_file: bool = setting(
        False, "Make the file by which newer desktops know this program, for --hotkey."
    )


@dataclass(frozen=True)
class SweepOptions:
    """An unattended recording of viewpoints under many lights, in any game.

    The driver ``keys`` taps the game's own keys; ``flightgear`` talks to its property server.
    """

    driver: str = setting(
        "keys",
        "Tap the game's keys, or talk to FlightGear's property server.",
        choices=("keys", "flightgear"),
    )
    key: str | None = setting(
        None, "The game's key that moves its light one step, such as ] or <page_up>."
    )
    steps: int = setting(24, "Lights per viewpoint: the first one, then one after each step.")
    taps: int = setting(1, "Key presses per step.")
    settle_s: float = setting(0.4, "Minimum seconds between a press and the grab.", flag="settle")
    viewpoint_key: str | None = setting(None, "The game's key for the next viewpoint.")
    viewpoints: int = setting(1, "Number of viewpoints, the first included.")
    viewpoint_settle_s: float = setting(
        1.0, "Minimum seconds after a change of viewpoint.", flag="viewpoint-settle"
    )
    back_key: str | None = setting(None, "Key that moves the light back before the next viewpoint.")
    delay_s: float = setting(3.0, "Seconds to bring the game to the front.", flag="delay")
    host: str = setting("127.0.0.1", "Host of FlightGear's property server.")
    port: int = setting(5480, "Port of FlightGear's property server.")
    seed: int = setting(0, "Random seed of FlightGear's viewpoints.")
    aircraft: str = setting("", "FlightGear's aircraft, such as A320,F-16.", shown="all")
    without: str = setting("", "Aircraft of FlightGear that are not shown, such as Typhoon.")


@dataclass(frozen=True)
class StageOptions:
    """An unattended recording of the embedded game."""

    out: Path = Path("captures")  # folder of sessions
    session: str = "demo"  # name of the new session
    viewpoints: int = 330  # each gives two frames: weak and strong sun
    least_viewpoints: int = 240  # recorded even if time is up: 40 held-out pairs need them
    minutes: float = 3.0  # no new viewpoint after this
    size: tuple[int, int] = (256, 256)  # of the window, pixels
    seed: int = 0  # of the game
    title: str = "unclip game"  # of the window

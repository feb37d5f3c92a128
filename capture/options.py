"""Settings of one recording. Standard library only, so that `--help` loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

GB = 1_000_000_000  # bytes
CHOICES = {  # setting of CaptureOptions -> its values
    "dedupe": ("mark", "skip", "off"),
    "codec": ("auto", "png", "h264"),
    "backend": ("auto", "mss", "dxcam"),
}


@dataclass(frozen=True)
class CaptureOptions:
    """What is recorded, how often, by which keys, and when to stop.

    Keys are in pynput's notation: `<f9>`, `<ctrl>+<f12>`, `k`. A key with an extra modifier held
    does not match, so keys of the game that share a key with other modifiers stay the game's.
    """

    out: Path = Path("captures")  # folder of sessions
    session: str | None = None  # name of the new session; None: date and time
    hotkey: bool = False  # listen to the global keys below
    start: bool = False  # record at once instead of waiting for the key
    background: bool = False  # wait for `cli capture toggle`, if neither a key nor a start is set
    fps: float = 5.0  # intervals a second; each gives one frame or one counted miss
    duration_s: float | None = None  # seconds of recording, pauses left out; None: no limit
    max_frames: int | None = None  # frames in all, single ones included; None: no limit
    monitor: int = 1  # 1 is the first, 0 all of them together
    region: tuple[int, int, int, int] | None = None  # x, y, width, height on the desktop; pixels
    window: str | None = None  # part of a window's title, any case; followed when it moves
    label: str | None = None  # "X" or "Y": the mark to begin with; None: unmarked
    size: tuple[int, int] | None = None  # width, height that frames are resized to; None: as shown
    dedupe: str = "mark"  # near-identical frames: mark | skip (no file, but counted) | off
    hud_mask: Path | None = None  # PNG, white where the game's HUD is; kept with the session
    codec: str = "auto"  # png | h264 (lossless, becomes PNG afterwards) | auto: by measurement
    develop: bool = True  # turn h264 into PNG when the recording ends, not by `repair` later
    backend: str = "auto"  # mss | dxcam (Windows) | auto: mss
    notify: bool = False  # tell of start, pause and end in a desktop notification
    sound: bool = False  # and by a sound
    key_record: str = "<f9>"  # start, pause, go on
    key_snap: str = "<f10>"  # one frame now, also while paused
    key_x: str = "<f7>"  # frames from now on are X, until pressed again
    key_y: str = "<f8>"  # frames from now on are Y, until pressed again
    key_undo: str = "<ctrl>+<f8>"  # take the last X or Y back, also from frames that got it
    key_light: str = "<f6>"  # the light was moved: frames from now on are of the next light step
    key_stop: str = "<ctrl>+<f12>"  # end the session; plain F12 is Steam's screenshot key
    disk_floor_bytes: int = GB  # stop cleanly before less than this is free; 0: off
    encoders: int = 2  # encoder threads
    queue_frames: int = 16  # frames that may wait for an encoder; 8 MB each at 1920x1080


@dataclass(frozen=True)
class SweepOptions:
    """An unattended recording of viewpoints under many lights, in any game.

    The driver ``keys`` taps the game's own keys; ``flightgear`` talks to its property server.
    """

    driver: str = "keys"  # keys | flightgear
    key: str | None = None  # the game's key that moves its light by one step
    steps: int = 24  # lights of each viewpoint: the one it has, then one after each step
    taps: int = 1  # presses of `key` for one step
    settle_s: float = 0.4  # least time between a press and the grab
    viewpoint_key: str | None = None  # the game's key for the next viewpoint
    viewpoints: int = 1  # in all, the first one included
    viewpoint_settle_s: float = 1.0  # least time after it
    back_key: str | None = None  # pressed as often as `key` was, before the next viewpoint
    delay_s: float = 3.0  # time to bring the game to the front
    host: str = "127.0.0.1"  # of FlightGear's property server
    port: int = 5480  # of FlightGear's property server
    seed: int = 0  # of FlightGear's viewpoints


@dataclass(frozen=True)
class StageOptions:
    """An unattended recording of the embedded game."""

    out: Path = Path("captures")  # folder of sessions
    session: str = "demo"  # name of the new session
    viewpoints: int = 330  # each gives two frames: weak and strong sun
    least_viewpoints: int = 240  # recorded even if time is up: 40 held-out pairs need so many
    minutes: float = 3.0  # no new viewpoint after this
    size: tuple[int, int] = (256, 256)  # of the window, pixels
    seed: int = 0  # of the game
    title: str = "unclip game"  # of the window

"""Recording a real Wayland desktop: sway, PipeWire and the portals, and GNOME's compositor."""

from __future__ import annotations

import gc
import json
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from operator import le
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest
from helpers.painted import noise
from helpers.processes import Process
from helpers.screens import check_whole
from helpers.waiting import SOON_S, soon
from helpers.wayland_client import (
    PaintedWindow,
    moving_pictures,
    numbered_picture,
    read_stamp,
)
from helpers.wayland_desktop import Desktop, mutter_desktop, wayland_desktop

import capture.screens.wayland as module
from capture.options import CaptureOptions
from capture.recording.recorder import Recorder
from capture.screens.mss import open_screen, takes_portal
from capture.screens.target import NotVisible
from dataset.errors import UserError
from dataset.pictures.images import Image

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Wayland is Linux's")

if TYPE_CHECKING or sys.platform.startswith("linux"):
    from capture.consent import consent_folder, keep_token, kept_token
    from capture.portal import Bus
    from capture.screens.pipewire import VideoStream
    from capture.screens.wayland import WaylandScreen

OPTIONS = CaptureOptions(disk_floor_bytes=0)
SIZE = (1280, 720)


def rgb(screen: WaylandScreen) -> Image:
    return np.ascontiguousarray(screen.grab()[..., 2::-1])


def grabbed(screen: WaylandScreen) -> Image:
    """A picture, once there is one."""
    return within(lambda: rgb(screen))


def within(ask: Any) -> Any:
    """What ``ask`` gives, once it does not raise `NotVisible`."""
    end = time.monotonic() + SOON_S
    while True:
        try:
            return ask()
        except NotVisible:
            assert time.monotonic() < end
            time.sleep(0.01)


def shows(screen: WaylandScreen, image: Image) -> bool:
    """Whether a screen comes to show a picture, to the bit."""
    return soon(lambda: np.array_equal(grabbed(screen), image))


def run(recorder: Recorder, done: Callable[[], bool]) -> None:
    """Record until something holds."""
    end = time.monotonic() + SOON_S
    while not done():
        assert time.monotonic() < end
        time.sleep(min(recorder.step(), 0.05))


def why_not(screen: WaylandScreen) -> str:
    """Why there comes to be no picture."""
    end = time.monotonic() + SOON_S
    while time.monotonic() < end:
        try:
            screen.grab()
        except UserError as error:
            if "is changing" not in str(error):
                return str(error)
        time.sleep(0.01)
    return "there is one"


@pytest.fixture
def own_desktop() -> Iterator[Desktop]:
    """A desktop of which parts are killed."""
    with wayland_desktop("640x480") as desktop:
        yield desktop


@pytest.mark.parametrize("pool", [(4, 1, 16), (1, 1, 1), (2, 2, 2)])
def test_pixels_are_those_of_the_screen_to_the_bit(
    wayland: Desktop, pool: tuple[int, int, int]
) -> None:
    with WaylandScreen(OPTIONS, pool=pool) as screen, PaintedWindow() as window:
        for number in range(3):
            image = noise(number, SIZE)

            def is_shown(image: Image = image) -> bool:
                return np.array_equal(grabbed(screen), image) or bool(window.paint(image))

            soon(is_shown)  # a pool of one may miss a picture
            assert np.array_equal(rgb(screen), wayland.grim())
        image = screen.grab()
        image[:] = 0  # one's own
        assert np.array_equal(rgb(screen), wayland.grim())


@pytest.mark.parametrize("pool", [(4, 1, 16), (1, 1, 1), (2, 2, 2)])
def test_moving_pictures_are_as_they_were_drawn(
    wayland: Desktop, pool: tuple[int, int, int]
) -> None:
    numbers: list[int] = []
    with moving_pictures(), WaylandScreen(OPTIONS, pool=pool) as screen:
        grabbed(screen)

        def are_enough() -> bool:
            image, when_ns = rgb(screen), screen.picture_ns
            number, drawn_ns = read_stamp(image)
            assert np.array_equal(image, numbered_picture(SIZE, number, drawn_ns))
            assert when_ns is not None
            assert drawn_ns < when_ns < time.monotonic_ns()
            numbers.append(number)
            return len(set(numbers)) >= 60 and screen.picture_rate > 1

        soon(are_enough)
        assert numbers == sorted(numbers)


def test_a_desktop_at_rest_gives_the_same_picture_again(wayland: Desktop, tmp_path: Path) -> None:
    options = CaptureOptions(
        out=tmp_path, fps=20, disk_floor_bytes=0, dedupe="skip", duration_s=2.5
    )
    with WaylandScreen(options) as screen, PaintedWindow() as window:
        window.paint(noise(1, SIZE))
        assert shows(screen, noise(1, SIZE))
        soon(lambda: screen.picture_rate == 0)
        with Recorder(options, screen) as recorder:
            recorder.start()
            run(recorder, lambda: recorder.reason is not None)
            assert recorder.status().pictures_per_s == 0
            summary = recorder.close()
    assert (summary.frames, summary.missed + summary.duplicates) == (1, 49)
    [frame] = check_whole(summary.session)
    assert frame.picture_ns is not None
    assert frame.picture_ns < frame.monotonic_ns - 2_000_000_000


@pytest.mark.parametrize("transform", ["90", "180", "270", "flipped", "flipped-90", "flipped-270"])
def test_a_turned_screen_is_recorded_upright(wayland: Desktop, transform: str) -> None:
    wayland.sway("output", "HEADLESS-1", "transform", transform)
    try:
        with WaylandScreen(OPTIONS) as screen, PaintedWindow() as window:
            image = noise(3, window.size)
            window.paint(image)
            assert shows(screen, image)
            assert screen.rectangle() == (0, 0, *window.size)
    finally:
        wayland.sway("output", "HEADLESS-1", "transform", "normal")


def test_a_region_is_a_part_of_what_was_chosen(wayland: Desktop) -> None:
    options = CaptureOptions(region=(100, 50, 320, 200))
    with WaylandScreen(options) as screen, PaintedWindow() as window:
        window.paint(noise(4, SIZE))
        assert shows(screen, np.ascontiguousarray(noise(4, SIZE)[50:250, 100:420]))
        assert screen.describe()["rectangle"] == [100, 50, 320, 200]
        wayland.resize("200x200")
        assert "320x200 at 100,50 is not all on the screen" in why_not(screen)
    with pytest.raises(UserError, match="Give --region X,Y,W,H inside it"):
        WaylandScreen(CaptureOptions(region=(100, 50, 320, 200)))


def test_a_change_of_size_goes_on_in_the_new_one(wayland: Desktop) -> None:
    with moving_pictures(), WaylandScreen(OPTIONS) as screen:
        assert grabbed(screen).shape == (720, 1280, 3)
        for width, height in ((800, 600), (1920, 1080), (1281, 723)):
            wayland.resize(f"{width}x{height}")

            def is_as_drawn(size: tuple[int, int] = (width, height)) -> bool:
                image = grabbed(screen)
                if image.shape[1::-1] != size:  # pictures of the size before are whole, too
                    return False
                return np.array_equal(image, numbered_picture(size, *read_stamp(image)))

            soon(is_as_drawn)
            assert screen.rectangle() == (0, 0, width, height)


LOST = {
    "pipewire": "PipeWire, which brings its pictures, has ended",
    "sway": "the compositor has ended",
    "xdpw": "its portal has ended",
    "bus": "the session bus is gone",
}


@pytest.mark.parametrize("name", LOST)
def test_a_stream_that_is_lost_ends_the_session_whole(
    own_desktop: Desktop, name: str, tmp_path: Path
) -> None:
    options = CaptureOptions(out=tmp_path, fps=20, disk_floor_bytes=0)
    with moving_pictures(), WaylandScreen(options) as screen:
        grabbed(screen)
        with Recorder(options, screen) as recorder:
            recorder.start()
            run(recorder, lambda: recorder.status().frames >= 5)
            own_desktop.kill(name)
            run(recorder, lambda: recorder.reason is not None)
            summary = recorder.close()
        assert LOST[name] in summary.reason
        assert summary.reason.endswith("Everything recorded before is whole. Start it again.")
        with pytest.raises(UserError, match=LOST[name]):
            screen.grab()
    assert len(check_whole(summary.session)) == summary.frames >= 5
    counts = json.loads((summary.session / "session.json").read_text())["counts"]
    assert counts["frames"] + counts["duplicates"] + counts["missed"] == counts["intervals"]
    screen.close()  # once more


def test_the_portal_itself_is_not_needed_once_a_stream_has_begun(own_desktop: Desktop) -> None:
    with moving_pictures(), WaylandScreen(OPTIONS) as screen:
        grabbed(screen)
        own_desktop.kill("portal")
        before = screen.stream.pictures
        assert screen.stream.wait(before + 10, SOON_S)
        grabbed(screen)


def test_a_stream_that_pauses_for_good_is_missed_and_then_over(
    own_desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with moving_pictures(), WaylandScreen(OPTIONS) as screen:
        grabbed(screen)
        own_desktop.kill("wireplumber")
        assert "has paused the stream" in why_not(screen)
        monkeypatch.setattr(module, "GIVEN_UP_S", 1.5)
        with pytest.raises(UserError, match="session manager") as error:
            within(screen.grab)
        assert not isinstance(error.value, NotVisible)


def test_a_session_manager_that_comes_back_brings_the_pictures_back(own_desktop: Desktop) -> None:
    with moving_pictures(), WaylandScreen(OPTIONS) as screen:
        grabbed(screen)
        own_desktop.kill("wireplumber")
        assert "has paused the stream" in why_not(screen)
        own_desktop.start("wireplumber", "wireplumber", ready=lambda: True)
        grabbed(screen)
        assert screen.stream.wait(screen.stream.pictures + 10, SOON_S)
        grabbed(screen)


def test_a_session_that_the_desktop_ends_is_over(own_desktop: Desktop) -> None:
    with moving_pictures(), WaylandScreen(OPTIONS) as screen:
        grabbed(screen)
        screen._cast._bus.close_session(screen._cast._session)
        # sway's portal ends the session, or itself (0.7.0 crashes here now and then).
        assert re.search("it was ended there|its portal has ended", why_not(screen))


def test_a_no_is_told(wayland: Desktop) -> None:
    keep_token("monitor", None)
    wayland.answer("no")
    with pytest.raises(UserError, match="did not allow the recording"):
        WaylandScreen(OPTIONS)


def test_silence_ends_the_question(wayland: Desktop) -> None:
    keep_token("monitor", None)
    wayland.answer("silence")
    with pytest.raises(UserError, match=r"no answer within 0\.5 s"):
        WaylandScreen(OPTIONS, dialog_s=0.5)
    wayland.answer("yes")
    with WaylandScreen(OPTIONS):  # its user is asked again
        pass


def test_ctrl_c_ends_the_question(wayland: Desktop, tmp_path: Path) -> None:
    keep_token("monitor", None)
    wayland.answer("silence")
    asked = wayland.questions
    command = [sys.executable, "-m", "cli", "capture", "--start", "--out", str(tmp_path)]
    with Process(command, stderr=subprocess.PIPE) as recorder:
        assert recorder.stderr is not None
        soon(lambda: wayland.questions > asked)
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(SOON_S) == 130
        assert b"nothing was allowed in the desktop's dialog yet" in recorder.stderr.read()
    assert [each for each in tmp_path.iterdir() if each.is_dir()] == []
    wayland.answer("yes")
    with WaylandScreen(OPTIONS):  # its user is asked again
        pass


def test_the_user_is_asked_once(wayland: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_token("monitor", None)
    asked = wayland.questions
    tokens = []
    for _ in range(3):
        with WaylandScreen(OPTIONS):
            tokens.append(kept_token("monitor"))
    assert wayland.questions == asked + 1
    assert None not in tokens
    [file] = consent_folder().iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for broken in ("nonsense", "11111111-2222-4333-8444-555555555555"):
        keep_token("monitor", broken)
        with WaylandScreen(OPTIONS):
            assert kept_token("monitor") not in (broken, None)
    assert wayland.questions == asked + 3


def test_windows_are_refused_where_the_portal_has_none(wayland: Desktop) -> None:
    with pytest.raises(UserError, match="cannot record a window, only monitors"):
        WaylandScreen(CaptureOptions(window="A game"))
    with pytest.raises(UserError, match="all monitors together"):
        WaylandScreen(CaptureOptions(monitor=0))


def test_fifty_openings_leave_nothing_behind(wayland: Desktop) -> None:
    def held() -> tuple[int, int]:
        process = psutil.Process()
        return process.num_fds(), process.num_threads()

    def no_more(than: tuple[int, int]) -> bool:
        return all(map(le, held(), than))

    with moving_pictures():
        with WaylandScreen(OPTIONS) as screen:
            grabbed(screen)
        before = held()
        for _ in range(50):
            with WaylandScreen(OPTIONS) as screen:
                grabbed(screen)
        wayland.answer("no")
    keep_token("monitor", None)
    for _ in range(10):
        with pytest.raises(UserError):
            WaylandScreen(OPTIONS)
    soon(lambda: no_more(before))  # a thread that was waited for ends in the kernel a bit later


def test_a_screen_that_is_dropped_is_closed(wayland: Desktop) -> None:
    with moving_pictures():
        threads = psutil.Process().num_threads()
        screen = WaylandScreen(OPTIONS)
        grabbed(screen)
        assert psutil.Process().num_threads() > threads
        screen._cast.close()
        del screen
        gc.collect()
        soon(lambda: psutil.Process().num_threads() <= threads)


def test_a_recording_by_command_has_an_exact_account(wayland: Desktop, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "cli", "capture", "--start", "--fps", "20", "--duration", "3"),
        *("--out", str(tmp_path), "--session", "one", "--disk-floor", "0", "--dedupe", "off"),
    ]
    with moving_pictures():
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "| screen " in done.stderr
    frames = check_whole(tmp_path / "one")
    facts = json.loads((tmp_path / "one" / "session.json").read_text())
    counts = facts["counts"]
    assert facts["screen"]["backend"] == "portal"
    assert counts["intervals"] == 60 == counts["frames"] + counts["missed"]
    assert counts["frames"] == len(frames)
    assert len(frames) + sum(each.missed_before for each in frames) + counts["missed_at_end"] == 60
    for each in frames:
        assert each.picture_ns is not None
        assert 0 <= each.monotonic_ns - each.picture_ns + 100_000_000 < SOON_S * 1e9


def test_a_recorder_in_the_background_tells_the_rate_of_pictures(
    wayland: Desktop, tmp_path: Path
) -> None:
    def cli(*words: str) -> str:
        command = [sys.executable, "-m", "cli", "capture", *words, "--out", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with moving_pictures():
        cli("--background", "--start", "--disk-floor", "0", "--session", "one")
        try:
            soon(lambda: re.search(r"^recording \| .* \| screen [1-9]\d*/s \| ", cli("status")))
            soon(lambda: json.loads(cli("status", "--json"))["pictures_per_s"] > 1)
            soon(lambda: json.loads(cli("status", "--json"))["frames"] > 5)
        finally:
            cli("stop")
    assert len(check_whole(tmp_path / "one")) > 5


def test_auto_takes_the_portal_of_a_wayland_session(wayland: Desktop) -> None:
    assert takes_portal(CaptureOptions())
    with open_screen(CaptureOptions()) as screen:
        assert screen.describe()["backend"] == "portal"
    with pytest.raises(UserError, match="Leave --backend mss out"):
        open_screen(CaptureOptions(backend="mss"))


def gnome_window(bus: Bus) -> int:
    """The node of PipeWire that sends the focused window, by GNOME's own interface."""
    from jeepney import DBusAddress, new_method_call

    name = "org.gnome.Mutter.ScreenCast"

    def call(path: str, interface: str, method: str, *body: Any) -> tuple[Any, ...]:
        address = DBusAddress(path, name, interface)
        signature = "a{sv}" if body else ""
        return bus._ask(new_method_call(address, method, signature, body), method, SOON_S)

    [session] = call("/org/gnome/Mutter/ScreenCast", name, "CreateSession", {})
    [stream] = call(session, f"{name}.Session", "RecordWindow", {})
    with bus.signals(f"{name}.Stream", "PipeWireStreamAdded", stream) as added:
        call(session, f"{name}.Session", "Start")
        body = added.get(SOON_S)
    assert body is not None
    return int(body[0])


def test_a_window_of_gnomes_is_cut_out_of_its_buffer() -> None:
    """GNOME sends a window in a buffer of its screen's size, and says which part it is."""
    with mutter_desktop("1280x720"), Bus() as bus, PaintedWindow("Game", (800, 500)) as window:
        window.paint(noise(5, (800, 500)))
        with VideoStream(None, gnome_window(bus)) as stream:

            def is_whole_window() -> bool:
                window.paint(noise(5, (800, 500)))
                picture = stream.newest()
                return picture is not None and np.array_equal(
                    picture.image[..., 2::-1], noise(5, (800, 500))
                )

            soon(is_whole_window)

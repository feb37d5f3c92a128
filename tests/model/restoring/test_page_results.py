"""The page that restores, in a real browser: strength, ways, all at once, folders and videos."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.restorers import Gate, Guest, darken, decode, encode, noise, serving
from helpers.restoring_pages import (
    AFTER,
    BEFORE,
    DROP,
    WINDOW,
    choose,
    drop_from_disk,
    file,
    flat,
    grey_at,
    names,
    saved,
    sides,
    value,
    wait_until_restored,
)
from helpers.tiny_physical import make_scenes, over_expose, scene, tiny_physical

import cli
from dataset.errors import UserError
from dataset.pictures.images import Image
from dataset.pictures.pixels import Pixels, to_image, to_pixels
from model.options import RestoreOptions
from model.restoring.baselines import cielab
from model.restoring.methods import open_method
from model.training.train import train

pytestmark = pytest.mark.slow


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Iterator[Any]:
    with serving() as guest:
        yield ready(open_page, guest)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained network."""
    root = tmp_path_factory.mktemp("page")
    make_scenes(root)
    train(tiny_physical(root))
    return root / "runs"


@pytest.fixture
def network_page(runs: Path, open_page: Callable[..., Any]) -> Iterator[Any]:
    """A page whose network is a real one."""
    method = open_method(RestoreOptions(runs=runs, device="cpu"))
    with serving(method) as guest:
        yield ready(open_page, guest)


def ready(open_page: Callable[..., Any], guest: Guest, **settings: Any) -> Any:
    opened = open_page(guest.address, **{"viewport": WINDOW, **settings})
    opened.wait_for_selector("#takes:has-text('PNG')")
    return opened


def by_command(runs: Path, path: Path, *more: str) -> bytes:
    """What `cli restore` makes of a file."""
    out = path.with_name(f"out{path.suffix}")
    asked = ["restore", str(path), "-o", str(out), "--overwrite", "--runs", str(runs)]
    cli.main([*asked, "--device", "cpu", *more], standalone_mode=False)
    return out.read_bytes()


def set_strength(page: Any, percent: int) -> None:
    page.locator("#strength").fill(str(percent))


def choose_way(page: Any, way: str) -> None:
    page.click(f"#ways [data-way={way}]")


def wait_until_made(page: Any) -> None:
    page.wait_for_selector("#busy", state="hidden")


def write_over_exposed(folder: Path, suffix: str) -> Path:
    path = folder / f"in{suffix}"
    image: Any = over_expose(scene(1, 60, 90), 3.0)
    if suffix in (".png", ".tif"):
        image = image.astype(np.uint16) * 257 - (image > 9).astype(np.uint16) * 99
    path.write_bytes(encode(image, suffix))
    return path


def test_the_strength_is_seen_at_once(page: Any) -> None:
    choose(page, file("a.png", flat()), file("b.png", flat()))
    wait_until_restored(page, 2)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    assert page.locator("#strength").input_value() == "100"
    for percent in (50, 25, 0, 99):
        set_strength(page, percent)
        page.wait_for_function("document.getElementById('under').naturalWidth > 0")
        expected = BEFORE + percent / 100 * (AFTER - BEFORE)
        assert sides(page) == (BEFORE, pytest.approx(expected, abs=1))
        assert page.inner_text("#tag-after") == f"After · {percent} %"
        assert page.inner_text("#percent") == f"{percent} %"
    page.click("#list li:nth-child(2) .pick")  # another picture has its own
    assert sides(page) == (BEFORE, AFTER)
    assert page.locator("#strength").input_value() == "100"
    page.click("#list li:nth-child(1) .pick")
    assert page.locator("#strength").input_value() == "99"
    set_strength(page, 100)
    assert sides(page) == (BEFORE, AFTER)
    assert [each for each in asked if not each.startswith("blob:")] == []


def test_the_slider_is_moved_by_keys_that_move_nothing_else(page: Any) -> None:
    choose(page, file("a.png", flat()), file("b.png", flat()))
    wait_until_restored(page, 2)
    slider = page.get_by_role("slider", name="Strength")
    assert slider.get_attribute("aria-valuetext") == "100 %, what the picture needs"
    slider.focus()
    for key, expected in (("ArrowLeft", 99), ("ArrowDown", 98), ("Home", 0), ("ArrowUp", 1)):
        page.keyboard.press(key)
        assert slider.get_attribute("aria-valuetext") == f"{expected} %"
    assert value(page) == 50
    assert page.inner_text("#name") == "a.png"


def test_a_transparent_picture_is_mixed_as_it_is_downloaded(page: Any) -> None:
    image = np.full((300, 400, 4), (0, 0, 0, 128), np.uint8)
    image[..., :3] = BEFORE
    choose(page, file("a.png", cv2.imencode(".png", image)[1].tobytes()))
    wait_until_restored(page)
    shown = {}
    for percent in (100, 0, 50):
        set_strength(page, percent)
        if percent < 100:
            page.wait_for_function("document.getElementById('under').naturalWidth > 0")
        shown[percent] = sides(page)[1]
    assert shown[0] - shown[100] > 30
    assert shown[50] == pytest.approx((shown[0] + shown[100]) / 2, abs=1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_what_is_downloaded_is_what_the_command_makes(
    network_page: Any, runs: Path, tmp_path: Path, suffix: str
) -> None:
    path = write_over_exposed(tmp_path, suffix)
    network_page.set_input_files("#files", path)
    wait_until_restored(network_page)
    name, full = saved(network_page)
    assert name == f"in_restored{suffix}"
    assert full == by_command(runs, path)
    set_strength(network_page, 50)
    assert saved(network_page) == (name, by_command(runs, path, "--strength", "0.5"))
    set_strength(network_page, 100)
    assert saved(network_page) == (name, full)
    half, whole, own = (
        decode(by_command(runs, path, "--strength", each)).astype(float)
        for each in ("0.5", "1", "0")
    )
    assert np.abs(whole - own).max() > 9  # the network does something
    assert np.abs(half - own).max() < np.abs(whole - own).max()


@pytest.mark.parametrize(
    ("way", "flags"), [("unclipped", ["--keep", "unclipped"]), ("cielab", ["--method", "cielab"])]
)
def test_another_way_is_shown_and_downloaded(
    network_page: Any, runs: Path, tmp_path: Path, way: str, flags: list[str]
) -> None:
    path = write_over_exposed(tmp_path, ".png")
    network_page.set_input_files("#files", path)
    wait_until_restored(network_page)
    first = network_page.get_attribute("#after", "src")
    choose_way(network_page, way)
    network_page.wait_for_function("src => document.getElementById('after').src !== src", arg=first)
    name, data = saved(network_page)
    assert name == f"in_{way}.png"
    assert data == by_command(runs, path, *flags)
    assert data != by_command(runs, path)
    label = network_page.inner_text(f"#ways [data-way={way}]")
    assert network_page.inner_text("#tag-after") == label
    assert network_page.get_attribute("#after", "alt") == f"in.png: {label}"
    assert is_shown(network_page, data)
    choose_way(network_page, "restored")
    assert network_page.get_attribute("#after", "src") == first


def is_shown(page: Any, data: bytes) -> bool:
    """Whether the right half is this file, by its pixels as the browser decodes them."""
    script = """async (data) => {
      const read = (picture) => {
        const { naturalWidth: width, naturalHeight: height } = picture;
        const context = new OffscreenCanvas(width, height).getContext("2d");
        context.drawImage(picture, 0, 0);
        return context.getImageData(0, 0, width, height).data;
      };
      const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
      const picture = new Image();
      picture.src = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
      await picture.decode();
      const [own, shown] = [read(picture), read(document.getElementById("after"))];
      return own.length === shown.length && own.every((each, at) => each === shown[at]);
    }"""
    return bool(page.evaluate(script, base64.b64encode(data).decode()))


def test_a_way_is_seen_beside_the_original_and_mixed_with_it(page: Any) -> None:
    choose(page, file("a.png", flat()))
    wait_until_restored(page)
    choose_way(page, "unclipped")  # nothing is clipped there
    page.wait_for_selector("#tag-after:has-text('Keep unclipped')")
    page.wait_for_selector("#stage.comparing")
    assert sides(page) == (BEFORE, BEFORE)
    assert page.get_attribute("#ways [data-way=unclipped]", "aria-pressed") == "true"
    choose_way(page, "restored")
    assert page.inner_text("#tag-after") == "After"
    assert sides(page) == (BEFORE, AFTER)


def test_only_ways_that_differ_are_offered(open_page: Callable[..., Any]) -> None:
    with serving(ways=("restored", "cielab")) as guest:
        page = ready(open_page, guest)
        choose(page, file("a.png", flat()))
        wait_until_restored(page)
        assert page.locator("#ways button").all_inner_texts() == ["Restored", "CIELAB"]


class NetworkThatFailsOnce:
    """Restores the first picture, fails at the second, and goes on."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, pixels: Pixels) -> Pixels:
        self.calls += 1
        if self.calls == 2:
            raise UserError("There is not enough memory.")
        return darken(pixels)


def test_a_way_that_fails_says_why_and_may_be_tried_again(open_page: Callable[..., Any]) -> None:
    with serving(NetworkThatFailsOnce()) as guest:
        page = ready(open_page, guest)
        choose(page, file("a.png", flat()))
        wait_until_restored(page)
        choose_way(page, "unclipped")
        page.wait_for_selector("#problem:has-text('not enough memory')")
        choose_way(page, "restored")
        assert page.is_hidden("#problem")
        assert sides(page) == (BEFORE, AFTER)
        choose_way(page, "unclipped")
        page.wait_for_selector("#tag-after:has-text('Keep unclipped')")
        assert page.is_hidden("#problem")


def test_a_file_that_cannot_be_made_says_why_and_may_be_tried_again(
    open_page: Callable[..., Any],
) -> None:
    with serving(NetworkThatFailsOnce()) as guest:
        page = ready(open_page, guest)
        choose(page, file("a.png", flat()))
        wait_until_restored(page)
        set_strength(page, 50)
        page.click("#download")
        page.wait_for_selector("#problem:has-text('not enough memory')")
        assert decode(saved(page)[1])[0, 0, 0] == (BEFORE + AFTER) // 2


def test_a_way_comes_before_pictures_that_still_wait(open_page: Callable[..., Any]) -> None:
    gate = Gate()
    with serving(gate) as guest:
        page = ready(open_page, guest)
        choose(page, *(file(f"{n}.png", flat(300, 400 + n)) for n in range(3)))
        gate.open.release()
        wait_until_restored(page)
        choose_way(page, "unclipped")
        page.wait_for_selector("#busy-text:has-text('Waiting')")
        assert page.get_attribute("#download", "aria-disabled") == "true"
        assert page.inner_text("#tag-after") == "After"  # what is still seen there
        gate.open.release(3)
        wait_until_restored(page, 3)
        page.context.close()
    assert gate.order == [400, 401, 400, 402]


def test_all_are_downloaded_as_they_are_set_in_one_file(page: Any) -> None:
    images = [noise(40, 60, seed) for seed in range(3)]
    choose(page, *(file("a.png", encode(each)) for each in images), file("과다:1.png", flat()))
    page.wait_for_selector("#status:has-text('4 restored')")
    assert page.inner_text("#zip") == "Download all 4"
    set_strength(page, 0)
    page.click("#list li:nth-child(2) .pick")
    choose_way(page, "cielab")
    wait_until_made(page)
    name, data = saved(page, "#zip")
    assert name == "restored.zip"
    with zipfile.ZipFile(io.BytesIO(data)) as found:
        assert found.testzip() is None
        expected = ["a_restored.png", "a_cielab.png", "a_restored (2).png", "과다_1_restored.png"]
        assert found.namelist() == expected
        assert {each.compress_type for each in found.infolist()} == {zipfile.ZIP_STORED}
        contents = [decode(found.read(each)) for each in expected]
    assert np.array_equal(contents[0], images[0])
    assert np.array_equal(contents[2], images[2] // 2)
    assert contents[3][0, 0, 0] == AFTER
    assert np.array_equal(contents[1], cielab_of(images[1]))
    asked: list[str] = []
    page.on("dialog", lambda dialog: asked.append(dialog.type) or dialog.accept())
    page.reload()
    page.wait_for_selector("#welcome:visible")
    assert asked == []  # all is downloaded


def cielab_of(image: Image) -> Image:
    return to_image(cielab(to_pixels(image)))


def test_one_picture_is_not_packed(page: Any) -> None:
    choose(page, file("a.png", flat()), file("b.png", b"no picture"))
    page.wait_for_selector("#status:has-text('1 restored · 1 failed')")
    assert page.is_hidden("#zip")
    choose(page, file("c.png", flat()))
    page.wait_for_selector("#zip:visible")


@pytest.mark.parametrize(("count", "size"), [(2, 2**31), (1, 2**32), (65_536, 0)])
def test_more_than_a_zip_holds_is_said(page: Any, count: int, size: int) -> None:
    script = """async ([count, size]) => {
      const { zip } = await import("/zip.js");
      const blob = { size, stream: () => { throw new Error("it is read"); } };
      const files = Array.from({ length: count }, (_, at) => ({ path: `${at}.png`, blob }));
      return zip(files).catch((error) => error.message);
    }"""
    said = page.evaluate(script, [count, size])
    assert said.startswith(f"{count} results of")
    assert "more than a ZIP file holds" in said


def test_paths_in_a_zip_differ_and_lead_nowhere_else(page: Any) -> None:
    given = [
        "a.png",
        "A.PNG",
        "a.png",
        "../a.png",
        "x/a.b/c",
        "x/a.b/c",
        "/e\u0301.png",
        "\xe9.png",
    ]
    script = "async (given) => (await import('/zip.js')).distinctPaths(given)"
    assert page.evaluate(script, given) == [
        *("a.png", "A (2).PNG", "a (3).png", "a (4).png"),
        *("x/a.b/c", "x/a.b/c (2)", "e\u0301.png", "\xe9 (2).png"),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures in two folders, a video, a result, and what is none of these."""
    trip = tmp_path / "trip"
    (trip / "day 1").mkdir(parents=True)
    for name in ("b10.png", "b9.png", "b9_restored.png", "day 1/b9.PNG"):
        (trip / name).write_bytes(flat())
    for name in ("notes.txt", "day 1/script.ts", "day 1/Thumbs.db"):
        (trip / name).write_bytes(b"let it be")
    (trip / "day 1" / "flight.mp4").write_bytes(b"....ftypisom")
    return trip


def hand_in_by_input(page: Any, folder: Path) -> None:
    page.set_input_files("#folder", folder)


@pytest.mark.parametrize("hand_in", [hand_in_by_input, drop_from_disk])
def test_a_folder_is_looked_through_and_says_what_it_leaves_out(
    page: Any, folder: Path, hand_in: Callable[[Any, Path], None]
) -> None:
    hand_in(page, folder)
    page.wait_for_selector("#status:has-text('3 restored')")
    assert names(page) == ["b9.png", "b10.png", "b9.PNG"]  # trip, then trip/day 1
    said = page.locator("#left-out p").all_inner_texts()
    assert len(said) == 3
    assert said[0].startswith("trip/day 1/flight.mp4 is a video")
    assert page.inner_text("#left-out code") == 'cli restore "trip/day 1/flight.mp4"'
    assert "3 files are not pictures" in said[1]
    for name in ("trip/notes.txt", "trip/day 1/script.ts", "trip/day 1/Thumbs.db"):
        assert name in said[1]
    assert said[2].startswith("Left out: trip/b9_restored.png is a result")
    with zipfile.ZipFile(io.BytesIO(saved(page, "#zip")[1])) as found:
        assert sorted(found.namelist()) == [
            *("trip/b10_restored.png", "trip/b9_restored.png"),
            "trip/day 1/b9_restored.PNG",
        ]


def test_pictures_of_other_formats_in_a_folder_are_told_the_way(page: Any, tmp_path: Path) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    (shots / "a.png").write_bytes(flat())
    for name in ("b.GIF", "c.nef"):
        (shots / name).touch()
    hand_in_by_input(page, shots)
    page.wait_for_selector("#status:has-text('1 restored')")
    (said,) = page.locator("#left-out p").all_inner_texts()
    assert said.startswith(
        "Left out: 2 files are of formats that are not read: convert them to PNG"
    )
    assert "shots/b.GIF, shots/c.nef" in said


@pytest.mark.parametrize("hand_in", [hand_in_by_input, drop_from_disk])
def test_small_copies_in_a_folder_are_left_out_and_named(
    page: Any, tmp_path: Path, hand_in: Callable[[Any, Path], None]
) -> None:
    small = tmp_path / "shots" / "Thumbnails"
    small.mkdir(parents=True)
    for path in (small / "a.png", small.parent / "a.png"):
        path.write_bytes(flat())
    hand_in(page, small.parent)
    page.wait_for_selector("#status:has-text('1 restored')")
    said = page.locator("#left-out p").all_inner_texts()
    assert said == ["Left out: shots/Thumbnails/a.png is a small copy."]


def test_many_files_of_a_folder_are_all_found(page: Any, tmp_path: Path) -> None:
    """A browser gives a hundred entries of a folder at a time."""
    full = tmp_path / "full"
    full.mkdir()
    for n in range(230):
        (full / f"{n}.txt").touch()
    (full / "230.png").write_bytes(flat(8, 8))
    drop_from_disk(page, full)
    wait_until_restored(page)
    assert "230 files are not pictures" in page.inner_text("#left-out")


def test_an_empty_folder_is_said_to_be_empty(page: Any, tmp_path: Path) -> None:
    drop_from_disk(page, tmp_path)
    page.wait_for_selector("#left-out:has-text('no file')")
    assert page.is_visible("#welcome")


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("flight.mp4", "cli restore flight.mp4"),
        ("비행 1.MKV", 'cli restore "비행 1.MKV"'),
        ("-v.mov", "cli restore ./-v.mov"),
        ("it's $5.webm", r"cli restore 'it'\''s $5.webm'"),
        ("<b>&.avi", 'cli restore "<b>&.avi"'),
    ],
)
def test_a_video_is_named_with_the_command_that_restores_it(
    page: Any, name: str, command: str
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    page.evaluate(DROP, [name, base64.b64encode(b"....ftypisom").decode()])
    page.wait_for_selector("#left-out:visible")
    assert page.inner_text("#left-out-words") == (
        f"{name} is a video, and this page takes pictures. Restore it with: {command}"
    )
    assert page.inner_text("#left-out code") == command
    assert page.is_visible("#welcome")
    page.get_by_role("button", name="Close").click()
    assert page.is_hidden("#left-out")
    assert asked == []


def test_videos_are_named_and_pictures_beside_them_restored(page: Any) -> None:
    choose(page, file("a.png", flat()), *(file(name, b"....ftyp") for name in ("1.mp4", "2.mkv")))
    wait_until_restored(page)
    assert names(page) == ["a.png"]
    assert page.inner_text("#left-out code") == "cli restore 1.mp4 2.mkv"
    choose(page, file("b.png", flat()))
    wait_until_restored(page, 2)
    assert page.is_hidden("#left-out")


@pytest.mark.parametrize("width", [320, 400, 900])
def test_all_of_it_is_reached_in_a_narrow_window(open_page: Callable[..., Any], width: int) -> None:
    with serving() as guest:
        page = ready(open_page, guest, viewport={"width": width, "height": 640})
        choose(page, *(file(f"{name}.png", flat()) for name in "abc"), file("f.mp4", b"...."))
        wait_until_restored(page, 3)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for selector in ("#zip", "#add-folder", "#ways :last-child", "#strength", "#download"):
            box = page.locator(selector).bounding_box()
            assert box["x"] >= 0, selector
            assert box["x"] + box["width"] <= width, selector
            assert box["y"] + box["height"] <= 640, selector
        assert page.locator("#stage").bounding_box()["height"] >= 120
        assert grey_at(page, *middle_of(page, "#after")) in (BEFORE, AFTER, 255)


def middle_of(page: Any, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + 0.9 * box["width"], box["y"] + 0.7 * box["height"]

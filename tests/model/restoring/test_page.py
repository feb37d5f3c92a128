"""The page that restores pictures, in a real browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from helpers.keyboards import KEYBOARDS, LATIN, PROCESS, SCRIPTS, press, press_key
from helpers.processes import Thread
from helpers.restorers import Gate, Guest, darken, decode, encode, noise, serving
from helpers.restoring_pages import (
    AFTER,
    BEFORE,
    DROP,
    WINDOW,
    choose,
    file,
    flat,
    grey_at,
    names,
    saved,
    sides,
    value,
    wait_until_restored,
)
from helpers.waiting import SOON_S
from PIL import Image as Pillow

from dataset.pictures.exif import ORIENTATION
from dataset.pictures.pixels import Pixels
from model.restoring.methods import OnShare, Restore
from model.restoring.page_server import (
    bind_restorer,
)
from model.restoring.uploads import ServeLimits


@pytest.fixture
def guest() -> Iterator[Guest]:
    with serving(limits=ServeLimits(upload_bytes=6_000_000)) as speaker:
        yield speaker


@pytest.fixture
def page(guest: Guest, open_page: Callable[..., Any]) -> Any:
    opened = open_page(guest.address, viewport=WINDOW)
    opened.wait_for_selector("#takes:has-text('PNG')")
    return opened


def divider_x(page: Any) -> float:
    box = page.locator("#divider").bounding_box()
    return float(box["x"] + box["width"] / 2)


PASTE = """(data) => {
  const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "image.png", { type: "image/png" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
}"""


def test_a_dropped_picture_is_restored_and_downloaded_to_the_pixel(page: Any) -> None:
    image = noise(60, 90)
    data = base64.b64encode(encode(image)).decode()
    assert "token" not in page.url
    assert page.evaluate(DROP, ["과다 노출.png", data])
    wait_until_restored(page)
    name, data = saved(page, "#download")
    assert name == "과다 노출_restored.png"
    assert np.array_equal(decode(data), image // 2)


def test_pictures_are_chosen_and_pasted_as_well(page: Any) -> None:
    choose(page, file("a.png", flat()), file("b.jpg", encode(noise(40, 30), ".jpg")))
    wait_until_restored(page, 2)
    page.evaluate(PASTE, base64.b64encode(flat()).decode())
    wait_until_restored(page, 3)
    assert names(page) == ["a.png", "b.jpg", "image.png"]
    assert page.inner_text("#name") == "image.png"
    page.click("#list li:nth-child(2) .pick")
    assert page.inner_text("#name") == "b.jpg"
    assert saved(page, "#download")[0] == "b_restored.jpg"


def test_the_divider_shows_before_on_its_left_and_after_on_its_right(page: Any) -> None:
    choose(page, file("a.png", flat()))
    wait_until_restored(page)
    assert value(page) == 50
    assert sides(page) == (BEFORE, AFTER)
    box = page.locator("#before").bounding_box()
    middle = box["y"] + box["height"] / 2
    for share in (0.25, 0.75):  # from wherever it is grabbed
        page.mouse.move(divider_x(page), middle)
        page.mouse.down()
        page.mouse.move(box["x"] + share * box["width"], middle, steps=4)
        page.mouse.up()
        x = divider_x(page)
        assert x == pytest.approx(box["x"] + share * box["width"], abs=1)
        assert value(page) == share * 100
        assert grey_at(page, x - 12, middle + 60) == BEFORE
        assert grey_at(page, x + 12, middle + 60) == AFTER
    page.mouse.click(box["x"] + 0.4 * box["width"], middle)
    assert value(page) == 40
    page.mouse.move(box["x"] + 0.9 * box["width"], middle)  # nothing is held any more
    assert value(page) == 40


def test_the_divider_is_moved_by_keys(page: Any) -> None:
    choose(page, file("a.png", flat()))
    wait_until_restored(page)
    divider = page.locator("#divider")
    assert divider.get_attribute("role") == "slider"
    assert divider.get_attribute("aria-label")
    divider.focus()
    for key, expected in (
        ("ArrowRight", 51),
        ("ArrowLeft", 50),
        ("ArrowDown", 49),
        ("PageUp", 59),
        ("Home", 0),
        ("ArrowLeft", 0),
        ("End", 100),
    ):
        page.keyboard.press(key)
        assert value(page) == expected
    assert divider.get_attribute("aria-valuetext") == "100 % before, 0 % after"
    assert sides(page) == (BEFORE, BEFORE)
    page.keyboard.press("Home")
    assert sides(page) == (AFTER, AFTER)


def test_the_divider_follows_a_finger(guest: Guest, open_page: Callable[..., Any]) -> None:
    size = {"width": 400, "height": 700}
    page = open_page(guest.address, viewport=size, has_touch=True, is_mobile=True)
    page.wait_for_selector("#takes:has-text('PNG')")
    choose(page, file("a.png", flat()))
    wait_until_restored(page)
    box = page.locator("#before").bounding_box()
    page.touchscreen.tap(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    assert value(page) == 30
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("keyboard", KEYBOARDS)
def test_keys_work_on_every_keyboard(page: Any, keyboard: str) -> None:
    choose(page, file("a.png", flat()))
    wait_until_restored(page)
    process = "Process" if keyboard == PROCESS else "1"
    assert press_key(page, process, "Digit1")
    assert page.get_attribute("#one", "aria-pressed") == "true"
    assert press(page, keyboard, "f")
    assert page.get_attribute("#fit", "aria-pressed") == "true"
    assert press_key(page, "Process" if keyboard == PROCESS else "ArrowRight", "ArrowRight")
    assert value(page) == 51
    letter = "Process" if keyboard == PROCESS else SCRIPTS[keyboard][LATIN.index("o")]
    for kind, held in (("keydown", "true"), ("keyup", "false")):
        page.evaluate(
            "([kind, key]) => document.body.dispatchEvent("
            "new KeyboardEvent(kind, { key, code: 'KeyO', bubbles: true }))",
            [kind, letter],
        )
        assert page.get_attribute("#hold", "aria-pressed") == held


def test_the_digit_of_a_french_keyboard_needs_no_shift(page: Any) -> None:
    choose(page, file("a.png", flat()))
    wait_until_restored(page)
    assert press_key(page, "&", "Digit1")
    assert page.get_attribute("#one", "aria-pressed") == "true"


def test_holding_shows_the_original(page: Any) -> None:
    choose(page, file("a.png", flat()))
    wait_until_restored(page)
    page.hover("#hold")
    page.mouse.down()
    assert sides(page) == (BEFORE, BEFORE)
    assert page.get_attribute("#hold", "aria-pressed") == "true"
    page.mouse.up()
    assert sides(page) == (BEFORE, AFTER)
    page.focus("#hold")
    for key in (" ", "o"):
        page.keyboard.down(key)
        assert sides(page) == (BEFORE, BEFORE)
        page.keyboard.up(key)
        assert sides(page) == (BEFORE, AFTER)


def test_one_to_one_shows_each_pixel_as_one(page: Any) -> None:
    image = noise(900, 1600)
    choose(page, file("a.png", encode(image)))
    wait_until_restored(page)
    stage = page.locator("#stage").bounding_box()
    fitted = page.locator("#before").bounding_box()
    assert stage["x"] < fitted["x"]
    assert fitted["width"] < stage["width"]
    page.click("#one")
    box = page.locator("#before").bounding_box()
    assert (box["width"], box["height"]) == (1600, 900)
    seen = decode(page.locator("#stage").screenshot())
    top, left = round(stage["y"] - box["y"]), round(stage["x"] - box["x"])
    spot = (slice(100, 140), slice(20, 60))  # left of the divider, away from words
    original = image[top:, left:][spot]
    assert np.array_equal(seen[spot], original)
    page.mouse.move(stage["x"] + 50, stage["y"] + 200)
    page.mouse.down()
    page.mouse.move(stage["x"] + 90, stage["y"] + 220, steps=3)
    page.mouse.up()
    moved = page.locator("#before").bounding_box()
    assert (moved["x"] - box["x"], moved["y"] - box["y"]) == (40, 20)
    assert value(page) == 50
    page.mouse.move(divider_x(page), stage["y"] + 200)  # the divider is still to be had
    page.mouse.down()
    page.mouse.move(stage["x"] + 0.25 * stage["width"], stage["y"] + 200)
    page.mouse.up()
    assert value(page) == 25
    for _ in range(60):  # never beyond the edge
        page.mouse.wheel(-100, -100)
    page.wait_for_function(
        "document.getElementById('before').getBoundingClientRect().x"
        " === document.getElementById('stage').getBoundingClientRect().x"
    )
    page.keyboard.press("f")
    assert page.locator("#before").bounding_box()["width"] == fitted["width"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "TIFF"])
def test_both_are_upright_where_the_file_says_that_it_lies(page: Any, kind: str) -> None:
    lying, buffer = Pillow.fromarray(noise(40, 60)), io.BytesIO()
    exif = lying.getexif()
    exif[ORIENTATION] = 6  # a quarter to the right
    lying.save(buffer, kind, exif=exif)
    choose(page, file("a", buffer.getvalue()))
    wait_until_restored(page)
    for picture in ("before", "after"):
        sides = "(picture) => [picture.naturalWidth, picture.naturalHeight]"
        assert page.locator(f"#{picture}").evaluate(sides) == [40, 60]
    assert "40 \N{MULTIPLICATION SIGN} 60" in page.inner_text("#facts")


def test_errors_stand_in_words_beside_the_picture(page: Any) -> None:
    whole = encode(noise(60, 60))
    choose(
        page,
        file("broken.png", whole[: len(whole) // 2]),
        file("page.png", b"<html><script>document.title = 'run'</script></html>"),
        file("large.png", b"x" * 6_000_001),
        file("good.png", whole),
    )
    wait_until = page.wait_for_selector
    wait_until("#status:has-text('1 restored · 3 failed')")
    texts = page.locator("#list .state").all_inner_texts()
    assert "broken.png cannot be decoded" in texts[0]
    assert "page.png is not a picture" in texts[1]
    assert "large.png has 7 MB; this page takes up to 6 MB" in texts[2]
    assert texts[3].startswith("60 \N{MULTIPLICATION SIGN} 60")
    assert "broken.png cannot be decoded" in page.inner_text("#problem")
    assert page.is_hidden("#download")
    assert page.title() == "unclip"
    page.click("#list li:nth-child(4) .pick")
    assert page.is_hidden("#problem")
    assert page.is_visible("#download")


def test_names_are_text_and_nothing_else(page: Any) -> None:
    name = "<img src=x onerror=\"document.title='run'\">.png"
    choose(page, file(name, flat()))
    wait_until_restored(page)
    assert names(page) == [name]
    assert page.inner_text("#name") == name
    assert page.title() == "unclip"


def test_the_list_is_gone_through_by_keys(page: Any) -> None:
    choose(page, *(file(f"{name}.png", flat()) for name in "abc"))
    wait_until_restored(page, 3)
    page.focus("#list li:nth-child(1) .pick")
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#name") == "b.png"
    page.keyboard.press("Delete")
    assert names(page) == ["a.png", "c.png"]
    for _ in range(2):
        page.hover("#list li")
        page.click("#list li .remove")
    assert page.is_visible("#welcome")


def test_the_page_is_not_left_by_mistake_before_all_is_downloaded(page: Any) -> None:
    asked: list[str] = []

    def stay(dialog: Any) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    choose(page, file("a.png", flat()), file("b.png", b"no picture"))
    wait_until_restored(page)
    page.click("#list li:nth-child(1) .pick")
    with page.expect_event("dialog"):
        page.evaluate("setTimeout(() => location.reload())")
    assert asked == ["beforeunload"]
    assert names(page) == ["a.png", "b.png"]
    with page.expect_download():
        page.click("#download")
    page.reload()
    assert asked == ["beforeunload"]
    page.wait_for_selector("#takes:has-text('PNG')")
    assert page.is_visible("#welcome")


def test_progress_is_shown_while_one_is_restored_and_others_wait(
    open_page: Callable[..., Any],
) -> None:
    gate = Gate()
    with serving(gate) as guest:
        page = open_page(guest.address, viewport=WINDOW)
        page.wait_for_selector("#takes:has-text('PNG')")
        choose(page, *(file(f"{n}.png", flat(300, 400 + n)) for n in range(4)))
        page.wait_for_selector("#busy-text:has-text('Restoring')")
        page.wait_for_selector("#before.there")
        states = page.locator("#list .state").all_inner_texts()
        assert states == ["restoring…", "waiting", "waiting", "waiting"]
        assert page.is_visible("#bar")
        assert page.is_hidden("#divider")
        assert page.inner_text("#status") == "4 to do"
        gate.open.release(4)
        wait_until_restored(page, 4)
        assert page.is_hidden("#busy")
        page.context.close()
    assert gate.order == [400, 401, 402, 403]


def test_a_picture_taken_off_the_list_is_cancelled(open_page: Callable[..., Any]) -> None:
    gate = Gate()

    def open_gate(told: OnShare) -> Restore:
        def restore(pixels: Pixels) -> Pixels:
            gate(pixels)
            told(0.5)
            return pixels

        return restore

    with serving(open_restorer=open_gate) as guest:
        page = open_page(guest.address, viewport=WINDOW)
        page.wait_for_selector("#takes:has-text('PNG')")
        choose(page, *(file(f"{name}.png", flat()) for name in "abc"))
        assert gate.seen.acquire(timeout=SOON_S)
        for name in "ba":  # one that waits, and the one that is restored
            page.hover(f"#list li:has-text('{name}.png')")
            page.click(f"#list li:has-text('{name}.png') .remove")
        gate.open.release(2)
        wait_until_restored(page)
        assert names(page) == ["c.png"]
        page.context.close()
    assert len(gate.order) == 2


def test_a_server_that_has_ended_is_said(browser: Any) -> None:
    page = browser.new_page()
    with bind_restorer(lambda told: darken) as (server, guard, _):
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        page.goto(guard.address)
        page.wait_for_selector("#takes:has-text('PNG')")
        server.shutdown()
        thread.join()
    choose(page, file("a.png", flat()))
    page.wait_for_selector("#status.bad:has-text('still running')")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_light_and_dark(
    guest: Guest, open_page: Callable[..., Any], scheme: str
) -> None:
    page = open_page(guest.address, viewport=WINDOW, color_scheme=scheme)
    page.wait_for_selector("#takes:has-text('PNG')")
    choose(page, file("a.png", flat()), file("b.png", b"no"), file("c.mp4", b"no"))
    wait_until_restored(page)
    page.wait_for_selector("#list .failed")
    for selector in (
        *("#name", "#facts", ".failed .state", "#download", "#hold", "#fit", "#percent"),
        *("#ways [aria-pressed=true]", "#ways [aria-pressed=false]", "#left-out p"),
    ):
        assert page.evaluate(CONTRAST, selector) >= 4.5, selector  # WCAG 2.2, 1.4.3


CONTRAST = """(selector) => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, at) => sum + each * [0.2126, 0.7152, 0.0722][at], 0);
  const element = document.querySelector(selector);
  let under = element;
  while ((parse(getComputedStyle(under).backgroundColor)[3] ?? 1) < 1) under = under.parentElement;
  const [a, b] = [getComputedStyle(element).color, getComputedStyle(under).backgroundColor]
    .map((colour) => light(parse(colour)) + 0.05);
  return Math.max(a, b) / Math.min(a, b);
}"""


def test_what_stands_for_the_network_is_exact() -> None:
    image = noise(9, 9)
    assert np.array_equal(np.rint(darken(image / np.float32(255)) * 255), image // 2)

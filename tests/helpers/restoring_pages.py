"""What tests of the page that restores do in a browser: hand files in, look, download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from helpers.restorers import decode, encode

WINDOW = {"width": 1000, "height": 700}
BEFORE, AFTER = 200, 100  # grey of a flat picture, and what is restored of it


def flat(height: int = 300, width: int = 400) -> bytes:
    return encode(np.full((height, width, 3), BEFORE, np.uint8))


def file(name: str, data: bytes, media_type: str = "image/png") -> Any:
    return {"name": name, "mimeType": media_type, "buffer": data}


def choose(page: Any, *files: Any) -> None:
    page.set_input_files("#files", list(files))


def wait_until_restored(page: Any, count: int = 1) -> None:
    page.wait_for_selector(f"#status:has-text('{count} restored')")
    page.wait_for_selector("#stage.comparing")


def saved(page: Any, button: str = "#download") -> tuple[str, bytes]:
    """The name and the content of what is downloaded."""
    with page.expect_download() as waiting:
        page.click(button)
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def names(page: Any) -> list[str]:
    return list(page.locator("#list .title").all_inner_texts())


def value(page: Any) -> int:
    """Where the divider is, in percent."""
    return int(page.locator("#divider").get_attribute("aria-valuenow"))


def grey_at(page: Any, x: float, y: float) -> int:
    """The brightness of the page at a point."""
    spot = page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})
    return int(decode(spot)[0, 0, 0])


def sides(page: Any) -> tuple[int, int]:
    """The picture's brightness left and right in the window, below its middle."""
    box = page.locator("#before").bounding_box()
    left, right = box["x"] + 0.1 * box["width"], box["x"] + 0.9 * box["width"]
    y = box["y"] + 0.7 * box["height"]
    return grey_at(page, left, y), grey_at(page, right, y)


DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  const settings = { dataTransfer: transfer, bubbles: true, cancelable: true };
  const event = (kind) => new DragEvent(kind, settings);
  document.body.dispatchEvent(event("dragenter"));
  const shown = !document.getElementById("drop").hidden;
  document.body.dispatchEvent(event("drop"));
  return shown && document.getElementById("drop").hidden;
}"""


def drop_from_disk(page: Any, *paths: Path) -> None:
    """Drop files and folders on the page, as a file manager does."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})
    session.detach()

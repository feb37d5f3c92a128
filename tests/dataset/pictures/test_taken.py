"""When a picture was taken is read from its EXIF, else from its name, as programs write it."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from dataset.pictures.taken import named_ns, taken_ns

NOON = datetime(2024, 1, 31, 12, 34, 56)
ZONE, FRACTION, TAKEN = 36881, 37521, 36867  # tags


def ns(moment: datetime) -> int:
    return round(moment.timestamp()) * 10**9


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [
        ("20240131123456_1.png", 0),  # Steam
        ("292030_20240131123456_1.jpg", 0),
        ("Game 2024-01-31 12-34-56.png", 0),  # Windows' Game Bar
        ("스크린샷 2024-01-31 123456.png", 0),  # Windows' snipping tool
        ("2024-01-31 12-34-56.mkv", 0),  # OBS
        ("Replay_2024-01-31_12-34-56.mp4", 0),
        ("Game Screenshot 2024.01.31 - 12.34.56.78.png", 780),  # NVIDIA
        ("Game 2024.01.31 - 12.34.56.78.DVR.mp4", 780),
        ("Forza-2024_01_31-12_34_56.png", 0),  # Xbox
        ("Game_2024-01-31_12-34-56.png", 0),  # ShareX, by pattern
        ("Game_2024_01_31_12_34_56_789.png", 789),  # Afterburner
        ("2024-01-31_12.34.56.png", 0),  # Minecraft
        ("Screenshot 2024-01-31 at 12.34.56.png", 0),  # macOS
        ("Screenshot 2024-01-31 at 12.34.56\u202fPM.png", 0),
        ("스크린샷 2024-01-31 오후 12.34.56.png", 0),
        ("Bildschirmfoto 2024-01-31 um 12.34.56 (2).png", 0),
        ("Screenshot_20240131-123456.png", 0),  # Android
        ("Screenshot_20240131_123456_Some Game.jpg", 0),
        ("Screenshot_2024-01-31-12-34-56-789_com.game.png", 789),
        ("PXL_20240131_123456789.jpg", 789),
        ("Screenshot from 2024-01-31 12-34-56.png", 0),  # GNOME
        ("2024013112345600-02CB906EA538A35643C1E1484C4B947D.jpg", 0),  # Switch
    ],
)
def test_names_of_programs_are_read(name: str, milliseconds: int) -> None:
    assert named_ns(name) == ns(NOON) + milliseconds * 10**6


def test_the_half_of_the_day_counts() -> None:
    for name, hour in (("1.34.56 PM", 13), ("1.34.56 AM", 1), ("12.34.56 AM", 0)):
        assert named_ns(f"Shot 2024-01-31 at {name}.png") == ns(NOON.replace(hour=hour))
    assert named_ns("스크린샷 2024-01-31 오후 1.34.56.png") == ns(NOON.replace(hour=13))


@pytest.mark.parametrize(
    "name",
    [
        *("shot 12.png", "2024-01-31.png", "20240131.png", "IMG_4711.JPG", "1920x1080.png"),
        *("20241331123456.png", "20240131993456.png", "000120240131123456.png"),
        "1889-01-31 12-34-56.png",
    ],
)
def test_other_names_say_nothing(name: str) -> None:
    assert named_ns(name) is None


@given(some.text(alphabet="0123456789-_. :apm\u0663오전", max_size=40))
def test_any_name_is_looked_at(name: str) -> None:
    assert named_ns(name) is None or named_ns(name) > 0  # type: ignore[operator]


def encoded(kind: str, *, date: str = "2024:01:31 12:34:56", zone: str = "+09:00") -> bytes:
    exif = Image.Exif()
    exif.get_ifd(34665).update({TAKEN: date, FRACTION: "78", ZONE: zone})
    file = io.BytesIO()
    Image.new("RGB", (8, 6)).save(file, kind, exif=exif.tobytes())
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_comes_before_the_name(kind: str) -> None:
    there = NOON.replace(tzinfo=timezone(timedelta(hours=9)))
    name = "20230101000000_1.jpg"
    assert taken_ns(encoded(kind), name) == (ns(there) + 78 * 10**7, "exif")
    assert taken_ns(encoded(kind, zone=""), name) == (ns(NOON) + 78 * 10**7, "exif")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_damaged_exif_says_nothing(kind: str) -> None:
    data = encoded(kind)
    name = "20240131123456_1.jpg"
    assert taken_ns(encoded(kind, date="0000:00:00 00:00:00"), name) == (ns(NOON), "name")
    for end in range(len(data)):
        found = taken_ns(data[:end], name)
        assert found is not None
        assert found[1] in ("exif", "name")
    assert taken_ns(b"", "a.png") is None

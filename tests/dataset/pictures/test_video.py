"""Real videos in, and the same out: times, size, colours, sound, and nothing left when it fails."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.made_videos import (
    BT601,
    BT709,
    EVEN,
    TONE,
    UNEVEN,
    UNTAGGED,
    add_tone,
    codecs_of,
    film,
    frames_of,
    muxed,
    packets_of,
    scene,
    times_of,
    unchanged,
)
from helpers.processes import printed_by
from hypothesis import given, settings
from hypothesis import strategies as some

from dataset.errors import UserError
from dataset.pictures.pixels import Pixels
from model.restoring.video import read_facts, restore_video

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("times", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_each_frame_keeps_its_time(tmp_path: Path, suffix: str, times: list[int]) -> None:
    source = film(tmp_path / f"a{suffix}", times)
    target = tmp_path / f"b{suffix}"
    done = restore_video(source, target, unchanged)
    assert done.frames == len(times)
    assert (done.width, done.height, done.notes) == (96, 64, ())
    assert times_of(target) == pytest.approx(times_of(source), abs=0.0006)
    with av.open(str(source)) as before, av.open(str(target)) as after:
        rates = [float(each.streams.video[0].average_rate) for each in (before, after)]
        assert rates[1] == pytest.approx(rates[0], rel=0.1)  # the last frame's length counts too
        assert after.duration == pytest.approx(before.duration, abs=42_000)
        assert after.metadata["title"] == "a title"
        assert after.streams.video[0].language == before.streams.video[0].language
    assert [path.name for path in tmp_path.iterdir() if path.name[0] == "."] == []


@settings(max_examples=8)
@given(some.lists(some.integers(0, 3000), min_size=1, max_size=9, unique=True))
def test_whatever_the_times(tmp_path_factory: pytest.TempPathFactory, times: list[int]) -> None:
    folder = tmp_path_factory.mktemp("times")
    source = film(folder / "a.mkv", sorted(times), (32, 32))
    restore_video(source, folder / "b.mkv", unchanged)
    assert times_of(folder / "b.mkv") == pytest.approx(times_of(source), abs=0.0011)


@pytest.mark.parametrize("size", [(96, 64), (1280, 64)], ids=["sd", "hd"])
@pytest.mark.parametrize("matrix", [BT709, BT601, UNTAGGED], ids=["709", "601", "untagged"])
def test_colours_stay_as_they_are_and_are_stated(
    tmp_path: Path, matrix: int, size: tuple[int, int]
) -> None:
    source = film(tmp_path / "a.mp4", EVEN[:2], size, matrix=matrix)
    seen: list[Pixels] = []
    restore_video(source, tmp_path / "b.mp4", lambda pixels: keep(pixels, seen))
    found = frames_of(tmp_path / "b.mp4")[0]
    for at in range(3):
        block = slice(11, 21), slice(11 + 20 * at, 21 + 20 * at)
        assert np.abs(found[block] - seen[0][block] * 255).mean() < 3
        if matrix != UNTAGGED:
            assert np.abs(seen[0][block] * 255 - scene(0, size)[block]).mean() < 3
    usual = BT709 if size[0] >= 1280 else BT601
    with av.open(str(tmp_path / "b.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert context.color_primaries == context.color_trc == usual
        assert context.colorspace == (usual if matrix == UNTAGGED else matrix)
        assert context.color_range == 1  # limited


def keep(pixels: Pixels, seen: list[Pixels]) -> Pixels:
    seen.append(pixels)
    return pixels


def test_what_restoring_makes_of_a_frame_is_what_is_written(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mp4")

    def darken(pixels: Pixels) -> Pixels:
        assert pixels.dtype == np.float32
        assert pixels.shape == (64, 96, 3)
        assert 0 <= pixels.min() <= pixels.max() <= 1
        return pixels * np.float32(0.5)

    progress: list[tuple[int, int | None]] = []
    restore_video(source, tmp_path / "b.mp4", darken, lambda *now: progress.append(now))
    assert progress == [(number, 12) for number in range(1, 13)]
    before, after = frames_of(source)[6], frames_of(tmp_path / "b.mp4")[6]
    assert np.abs(after - before * 0.5).mean() < 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_is_copied_bit_by_bit(tmp_path: Path, suffix: str) -> None:
    source = film(tmp_path / f"a{suffix}", sound=TONE[suffix])
    done = restore_video(source, tmp_path / f"b{suffix}", unchanged)
    assert done.notes == ()
    assert packets_of(tmp_path / f"b{suffix}", "audio") == packets_of(source, "audio")


@pytest.mark.parametrize(
    ("name", "sound", "wanted"),
    [
        ("a.avi", "mp3", "mp3float"),
        ("a.webm", "libopus", "opus"),
        ("a.avi", "pcm_s16le", "aac"),
        ("a.avi", "mp2", "aac"),
    ],
)
def test_sound_that_mp4_players_do_not_know_becomes_aac(
    tmp_path: Path, name: str, sound: str, wanted: str
) -> None:
    source = film(tmp_path / name, sound=sound)
    done = restore_video(source, tmp_path / "b.mp4", unchanged)
    assert codecs_of(tmp_path / "b.mp4") == ["h264", wanted]
    assert any("AAC" in note for note in done.notes) == (wanted == "aac")
    with av.open(str(tmp_path / "b.mp4")) as container:
        frames = list(container.decode(audio=0))
        length_s = sum(frame.samples / frame.sample_rate for frame in frames)
        assert length_s == pytest.approx(0.48, abs=0.08)
        assert np.abs(np.concatenate([f.to_ndarray()[0] for f in frames])).max() > 0.5
    assert len(times_of(tmp_path / "b.mp4")) == 12


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_turned_videos_are_written_upright(tmp_path: Path, turned: int) -> None:
    source = film(tmp_path / "a.mp4", turned=turned, aspect=Fraction(4, 3))
    size = (64, 96) if turned != 180 else (96, 64)
    seen: list[Pixels] = []
    done = restore_video(source, tmp_path / "b.mp4", lambda pixels: keep(pixels, seen))
    facts = read_facts(source)
    assert (done.width, done.height) == (facts.width, facts.height) == size
    wanted = np.rot90(scene(0, (96, 64)), turned // 90)
    assert np.abs(seen[0] * 255 - wanted).mean() < 4
    with av.open(str(tmp_path / "b.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size
        assert stream.sample_aspect_ratio == (Fraction(3, 4) if turned != 180 else Fraction(4, 3))
        assert next(container.decode(stream)).rotation == 0


def test_odd_sizes_stay_odd(tmp_path: Path) -> None:
    source = film(tmp_path / "a.mkv", EVEN[:3], (95, 63), pixels="yuv444p")
    done = restore_video(source, tmp_path / "b.mkv", unchanged)
    assert read_facts(tmp_path / "b.mkv").width == done.width == 95
    assert read_facts(tmp_path / "b.mkv").height == 63
    assert "4:4:4" in done.notes[0]


def test_chapters_are_copied(tmp_path: Path) -> None:
    source = muxed(tmp_path / "a.mkv", film(tmp_path / "plain.mkv"), chapter="One")
    restore_video(source, tmp_path / "b.mkv", unchanged)
    with av.open(str(tmp_path / "b.mkv")) as container:
        (found,) = container.chapters()
    assert found["metadata"]["title"] == "One"
    assert found["end"] * found["time_base"] == Fraction(1, 5)


def test_subtitles_are_copied_where_there_is_room(tmp_path: Path) -> None:
    text = tmp_path / "a.srt"
    text.write_text("1\n00:00:00,100 --> 00:00:00,300\nover the sea\n\n", encoding="utf-8")
    source = muxed(tmp_path / "a.mkv", film(tmp_path / "plain.mkv"), text)
    assert restore_video(source, tmp_path / "b.mkv", unchanged).notes == ()
    assert packets_of(tmp_path / "b.mkv", "subtitle") == [b"over the sea"]
    done = restore_video(source, tmp_path / "b.mp4", unchanged)
    assert done.notes == ("track 1 (subtitle) left out",)
    assert codecs_of(tmp_path / "b.mp4") == ["h264"]


def test_attachments_stay_in_mkv_and_break_no_mp4(tmp_path: Path) -> None:
    plain, source = film(tmp_path / "plain.mkv", EVEN[:2]), tmp_path / "a.mkv"
    with av.open(str(plain)) as before, av.open(str(source), "w") as after:
        made = after.add_stream_from_template(before.streams[0], opaque=True)
        after.add_attachment("a.ttf", "application/x-truetype-font", b"a font")
        for packet in before.demux():
            if packet.size:
                packet.stream = made
                after.mux(packet)
    for name, notes in (("b.mkv", ()), ("b.mp4", ("track 1 (attachment) left out",))):
        assert restore_video(source, tmp_path / name, unchanged).notes == notes
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert container.streams[1].data == b"a font"


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mkv").write_text("hello " * 100, encoding="utf-8")
    cut(film(tmp_path / "cut.mp4"), 0.6)
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        add_tone(container, container.add_stream("aac", rate=48_000), 0.5)
    film(tmp_path / "hdr.mkv", curve=16)
    for name, words in {
        "empty.mp4": "is empty",
        "text.mkv": "is not a readable recording",
        "cut.mp4": "is not a readable recording",
        "none.mp4": "No such file: ",
        "sound.mp4": "has no video stream",
        "hdr.mkv": "HDR",
    }.items():
        with pytest.raises(UserError, match=words) as caught:
            restore_video(tmp_path / name, tmp_path / "out.mp4", unchanged)
        assert name in str(caught.value)
    assert not list(tmp_path.glob("*out*"))


def test_what_is_left_of_a_cut_video_is_restored_and_told(tmp_path: Path) -> None:
    source = cut(film(tmp_path / "a.mkv", [40 * n for n in range(100)]), 0.5)
    done = restore_video(source, tmp_path / "b.mkv", unchanged)
    assert 20 < done.frames < 100
    assert any("cut off" in note for note in done.notes)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_damage_in_the_middle_is_told_and_the_rest_goes_on(tmp_path: Path, suffix: str) -> None:
    source = film(tmp_path / f"a{suffix}", [40 * n for n in range(50)], (160, 120))
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(range(7, 207)) * 3
    source.write_bytes(bytes(data))
    done = restore_video(source, tmp_path / "b.mp4", unchanged)
    assert 45 <= done.frames <= 50
    assert any("damaged" in note for note in done.notes)


class Fault(Exception):
    """Raised while restoring."""


@pytest.mark.parametrize("fault", [Fault, KeyboardInterrupt, MemoryError])
def test_a_failure_leaves_nothing_behind(tmp_path: Path, fault: type[BaseException]) -> None:
    source, target = film(tmp_path / "a.mp4", sound="aac"), tmp_path / "b.mp4"
    target.write_bytes(b"before")
    count = iter(range(100))

    def fail(pixels: Pixels) -> Pixels:
        if next(count) == 5:
            raise fault
        return pixels

    with pytest.raises(fault):
        restore_video(source, target, fail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    assert target.read_bytes() == b"before"


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    source = film(tmp_path / "a.mp4", size=(320, 240))
    (small_disk / "filling").write_bytes(bytes(8_000_000))
    noise = np.random.default_rng(0)
    target = small_disk / "b.mp4"
    with pytest.raises(UserError, match=r"Cannot write .*b\.mp4.*: No space left"):
        restore_video(source, target, lambda pixels: noise.random(pixels.shape, np.float32))
    assert [path.name for path in small_disk.iterdir()] == ["filling"]


def test_names_may_hold_anything(tmp_path: Path) -> None:
    folder = tmp_path / "과다 노출 😀"
    folder.mkdir()
    odd = "%03d #é.mp4" if sys.platform == "win32" else "%03d #?é.mp4"
    source = film(tmp_path / "a.mp4", EVEN[:3]).rename(folder / f"a{odd}")
    target = folder / f"out{odd}"
    restore_video(source, target, unchanged)
    assert len(times_of(target)) == 3
    with pytest.raises(UserError, match=r"written as \.mp4 \.mkv \.mov"):
        restore_video(source, tmp_path / "b.avi", unchanged)


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
import psutil
from model.restoring.video import restore_video
def peak_bytes():
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
folder = Path(sys.argv[1])
peaks = []
for name in ("warm", "short", "long"):
    restore_video(folder / f"{name}.mkv", folder / f"{name}_out.mkv", lambda pixels: pixels)
    peaks.append(peak_bytes())
print((peaks[2] - peaks[1]) >> 20)
"""
    for name, frames in (("warm", 30), ("short", 30), ("long", 230)):
        film(tmp_path / f"{name}.mkv", [40 * n for n in range(frames)], (192, 144), sound="flac")
    assert int(printed_by(code, tmp_path)) < 10  # MB; 200 more frames are 17 MB as they are decoded


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_same_video_restored_twice_is_the_same_file(tmp_path: Path, suffix: str) -> None:
    source = film(tmp_path / f"a{suffix}", sound=TONE[suffix])
    for name in ("b", "c"):
        restore_video(source, tmp_path / f"{name}{suffix}", unchanged)
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("b", "c"))
    assert first == second

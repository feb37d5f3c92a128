"""Every reader of what comes from outside, with good files to begin with, for ``fuzz.py``.

Each is made in a folder of its own, and gives its good files, how they are damaged, and what
reads one. Measures nothing by itself.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

import fuzz_mutations as ways  # noqa: E402
import numpy as np  # noqa: E402
from fuzz_doors import DOORS, OPEN  # noqa: E402

GRAPH = 50_000  # bytes: an ONNX file has its operators before its weights
Reader = tuple[Sequence[bytes], ways.Mutate, Callable[[bytes], object]]


def _session(folder: Path) -> Path:
    from helpers.made_sessions import make_sweep  # type: ignore[import-not-found]

    return Path(make_sweep(folder / "captures", "s", 2, [0, 0.5]))


def _stay(folder: Path, paths: Iterable[Path]) -> None:
    """What is accepted may name nothing outside of its folder."""
    for path in paths:
        if not os.path.normpath(path).startswith(f"{folder}{os.sep}"):
            raise RuntimeError(f"leads out: {path}")


def line(folder: Path) -> Reader:
    """A line of frames.jsonl."""
    from dataset.sessions.manifest import Frame

    seeds = (_session(folder) / "frames.jsonl").read_bytes().splitlines()
    full = json.loads(seeds[0]) | {"label": "X", "duplicate_of": 0, "snap": True, "adopted": True}
    seeds.append(json.dumps(full).encode())

    def read(data: bytes) -> None:
        Frame.from_json(data).to_json().encode()

    def read_text(data: bytes) -> None:
        Frame.from_json(data.decode()).to_json().encode()

    try:
        read(seeds[0])
    except (TypeError, AttributeError):
        return seeds, ways.mutate_json, read_text
    return seeds, ways.mutate_json, read


def manifest(folder: Path) -> Reader:
    """A whole frames.jsonl, as label, review and split read it."""
    from dataset.labelling.labels import label_captures
    from dataset.options import LabelOptions
    from dataset.sessions.manifest import files_exist, read_frames

    session = _session(folder)
    path = session / "frames.jsonl"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        frames = list(read_frames(session))
        files_exist(session, [each.file for each in frames])
        _stay(session, (session / each.file for each in frames))
        label_captures(LabelOptions(session, workers=1))

    return [path.read_bytes()], ways.mutate_lines, read


def journal(folder: Path) -> Reader:
    """The journal of a spool, through repair."""
    import shutil

    from helpers.commands import BY_NAME  # type: ignore[import-not-found]

    from capture.recording.repair import repair_session

    BY_NAME["repair a spool"].prepare(folder / "made")
    made = folder / "made" / "captures" / "s"
    seed = (made / "spool" / "journal.jsonl").read_bytes()

    def read(data: bytes) -> None:
        session = folder / "s"
        shutil.rmtree(session, ignore_errors=True)
        shutil.copytree(made, session)
        (session / "spool" / "journal.jsonl").write_bytes(data)
        repair_session(session)

    return [seed], ways.mutate_lines, read


def labels(folder: Path) -> Reader:
    """labels.csv."""
    from dataset.labelling.labels import label_captures, read_labels
    from dataset.options import LabelOptions

    captures = _session(folder).parent
    label_captures(LabelOptions(captures))

    def read(data: bytes) -> None:
        (captures / "labels.csv").write_bytes(data)
        read_labels(captures)

    return [(captures / "labels.csv").read_bytes()], ways.mutate_table, read


def statistics(folder: Path) -> Reader:
    """statistics.csv."""
    from dataset.labelling.labels import label_captures
    from dataset.labelling.statistics import StatisticsStore
    from dataset.options import LabelOptions

    captures = _session(folder).parent
    label_captures(LabelOptions(captures))

    def read(data: bytes) -> None:
        (captures / "statistics.csv").write_bytes(data)
        with StatisticsStore(captures, {"max_rgb"}):
            pass

    return [(captures / "statistics.csv").read_bytes()], ways.mutate_table, read


def review(folder: Path) -> Reader:
    """review.jsonl, and a review that begins with it."""
    from dataset.labelling.hand_labels import REVIEW_JOURNAL
    from dataset.review.store import open_review

    captures = _session(folder).parent
    with open_review(captures) as store:
        store.set_labels([(0, "Y"), (1, "X"), (1, None), (2, "drop")])
    seed = (captures / REVIEW_JOURNAL).read_bytes()

    def read(data: bytes) -> None:
        (captures / REVIEW_JOURNAL).write_bytes(data)
        with open_review(captures):
            pass

    return [seed], ways.mutate_lines, read


def amendments(folder: Path) -> Reader:
    """amendments.jsonl."""
    from dataset.sessions.manifest import AMENDMENTS_FILE, amend_labels, read_frames

    session = _session(folder)
    amend_labels(session, 0, 2, "X")
    amend_labels(session, 1, 3, None)

    def read(data: bytes) -> None:
        (session / AMENDMENTS_FILE).write_bytes(data)
        list(read_frames(session))

    return [(session / AMENDMENTS_FILE).read_bytes()], ways.mutate_lines, read


def session(folder: Path) -> Reader:
    """session.json, through its reader and repair."""
    from capture.recording.repair import repair_session
    from dataset.sessions.manifest import SESSION_FILE, read_session

    made = _session(folder)
    counts = {"intervals": 9, "frames": 4, "missed": 1, "duplicates": 0}
    seeds = [
        json.dumps({"session": "s", "state": "recording", "format": 1}).encode(),
        json.dumps({"session": "s", "state": "ended", "counts": counts, "fps": 2.0}).encode(),
    ]

    def read(data: bytes) -> None:
        (made / SESSION_FILE).write_bytes(data)
        read_session(made)
        repair_session(made)

    return seeds, ways.mutate_json, read


def split(folder: Path) -> Reader:
    """split.json, as training reads it and as the next split does."""
    from dataset.layout.folders import check_split_folder
    from dataset.layout.readers import find_frames, read_split
    from dataset.options import SplitOptions
    from dataset.splitting.split import split_captures

    captures, data_set = _sweep(folder), folder / "data"
    split_captures(SplitOptions(captures, data_set, counts=(4, 4, 2, 2)))
    seed = (data_set / "split.json").read_bytes()

    def read(data: bytes) -> None:
        (data_set / "split.json").write_bytes(data)
        read_split(data_set)
        check_split_folder(data_set)
        _stay(data_set, find_frames(data_set, "trainA"))

    return [seed], ways.mutate_json, read


def _sweep(folder: Path) -> Path:
    from helpers.made_sessions import make_sweep

    make_sweep(folder / "captures", "sweep", 8, [0, 0.5])
    return folder / "captures"


def pairs(folder: Path) -> Reader:
    """pairs.csv."""
    from helpers.tiny_runs import make_data  # type: ignore[import-not-found]

    from dataset.layout.pairs import list_pairs, read_pairs

    path = make_data(folder, 3) / "pairs.csv"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        list_pairs(path)
        read_pairs(path)

    return [path.read_bytes()], ways.mutate_table, read


def _trained(folder: Path) -> Path:
    """The folder of a run of two steps, beside its data."""
    import shutil

    made = _train()
    shutil.copytree(made.parents[1], folder, dirs_exist_ok=True)
    return folder / made.relative_to(made.parents[1])


@cache
def _train() -> Path:
    from helpers.tiny_runs import make_data, tiny_options

    from model.training.train import train

    root = Path(OPEN.enter_context(TemporaryDirectory(prefix="fuzz-run-")))
    OPEN.callback(_train.cache_clear)
    make_data(root, 3)
    return Path(train(tiny_options(root, steps=2)).run)


def options(folder: Path) -> Reader:
    """options.json, as restoring and resuming read it."""
    from model.runs import read_options, read_run_facts
    from model.training.run_folder import resumed_options

    run = _trained(folder)
    path = run / "options.json"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        read_options(run)
        read_run_facts(run)
        resumed_options(run.parent, run.name, {})

    return [path.read_bytes()], ways.mutate_json, read


def exposure(folder: Path) -> Reader:
    """exposure.json of a run."""
    from model.exposure import read_exposure

    run = _trained(folder)
    path = next(each for each in run.glob("*.json") if "exposure" in each.name)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        read_exposure(run)

    return [path.read_bytes()], ways.mutate_json, read


def log(folder: Path) -> Reader:
    """log.jsonl of a run, as curves and resuming read it."""
    from model.figures.curves import plot_curves
    from model.training.log import cut_log, read_log

    run = _trained(folder)
    path = run / "log.jsonl"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        lines = read_log(run)
        cut_log(path, 1)
        if len(data) % 50 == 0:  # drawing takes a while
            plot_curves(lines, "log")

    return [path.read_bytes()], ways.mutate_lines, read


def held_out(folder: Path) -> Reader:
    """held_out.csv of a run, as resuming reads it."""
    from model.training.held_out import HELD_OUT_FILE, plan_trials, read_trials, write_trials

    path = folder / HELD_OUT_FILE
    write_trials(folder, plan_trials([2, 3, 4], 0.7), [f"{n:03d}.png" for n in range(6)])

    def read(data: bytes) -> None:
        path.write_bytes(data)
        read_trials(folder, 6)

    return [path.read_bytes()], ways.mutate_table, read


def best_note(folder: Path) -> Reader:
    """best_networks.json of a run, as whoever restores reads it."""
    from model.runs import BEST_FILE, generator_path, read_best, saved_steps

    run = _trained(folder)
    saved = run / "checkpoints"
    (saved / "best_net_G_B.pth").write_bytes(generator_path(run, "F").read_bytes())

    def read(data: bytes) -> None:
        (saved / BEST_FILE).write_bytes(data)
        read_best(run)
        saved_steps(run)
        generator_path(run, "F")

    return [b'{"epoch": 3, "steps": 21, "psnr": 24.5}'], ways.mutate_json, read


def pth(folder: Path) -> Reader:
    """Networks and states of training."""
    import torch

    from model.state_files import read_state
    from model.weights import read_network

    run = _trained(folder)
    path = folder / "x.pth"
    seeds = [each.read_bytes() for each in (run / "checkpoints").glob("*net_G_B.pth")]
    cpu = torch.device("cpu")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        read_state(path, cpu)
        read_network(path, cpu)

    return seeds, ways.mutate_bytes, read


def safetensors(folder: Path) -> Reader:
    """A network that somebody gave away."""
    import torch

    from model.restoring.export import save_release
    from model.weights import load_network

    run = _trained(folder)
    path = folder / "x.safetensors"
    save_release(run, path)
    seed, cpu = path.read_bytes(), torch.device("cpu")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_network(folder, str(path), cpu)

    return [seed], ways.mutate_headed, read


def onnx(folder: Path) -> Reader:
    """A network for onnxruntime, as version 0.1 exported it."""
    import tarfile

    with tarfile.open(ROOT / "tests" / "fixtures" / "made_by_0_1.tar.xz") as archive:
        file = archive.extractfile("F.onnx")
        assert file is not None
        return _networks_by_onnx(folder, file.read())


def physical_onnx(folder: Path) -> Reader:
    """The built-in network, of preset physical."""
    from model.built_in import ONNX_FILE

    return _networks_by_onnx(folder, Path(ONNX_FILE).read_bytes())


def _networks_by_onnx(folder: Path, seed: bytes) -> Reader:
    from model.restoring.onnx import open_onnx

    path, pixels = folder / "x.onnx", np.full((40, 60, 3), 0.5, np.float32)
    graph, weights = seed[:GRAPH], seed[GRAPH:]

    def mutate(random: Any, seeds: Sequence[bytes]) -> bytes:
        return ways.mutate_bytes(random, [graph]) + weights

    def read(data: bytes) -> None:
        path.write_bytes(data)
        open_onnx(path, "cpu")(pixels)

    return [seed], mutate, read


def _pictures() -> list[bytes]:
    """Good pictures of every kind that can be read, and a few that cannot."""
    from helpers.made_modern import small_files  # type: ignore[import-not-found]
    from helpers.made_pictures import SRGB, exif, saved, scene, tiff  # type: ignore[import-not-found]
    from PIL import Image

    from dataset.pictures import png
    from dataset.pictures.exif import PREFIX

    plain, block = Image.fromarray(scene()), PREFIX + exif(6)
    deep = scene(3, np.uint16)
    found = [saved(scene(), name) for name in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM")]
    found += [saved(plain.convert(mode), "PNG") for mode in ("L", "LA", "P", "RGBA", "1")]
    found += [saved(plain, "JPEG", progressive=True), saved(plain.convert("CMYK"), "JPEG")]
    found += [saved(plain, "JPEG", exif=block, icc_profile=SRGB), saved(plain, "WEBP", exif=block)]
    found += [saved(plain, "PNG", exif=exif(6), icc_profile=SRGB), png.encode_samples(deep)]
    found += [saved(plain, "TIFF", compression=f"tiff_{how}") for how in ("lzw", "adobe_deflate")]
    found += [saved(plain, "TIFF", compression="jpeg"), saved(plain.convert("P"), "BMP")]
    found += [
        saved(plain.convert("1"), "TIFF", compression="group4"),
        saved(plain.convert("P"), "TIFF"),
    ]
    found += [tiff(deep, photometric="rgb"), tiff(scene(1), photometric="minisblack")]
    two = [plain, Image.fromarray(scene()[::-1])]
    found += [
        saved(two[0], name, save_all=True, append_images=two[1:])
        for name in ("TIFF", "PNG", "WEBP", "GIF", "MPO")
    ]
    return found + small_files()


def picture(folder: Path) -> Reader:
    """Pictures, as restoring reads and writes them."""
    from dataset.pictures.encoding import encode_picture, losses
    from dataset.pictures.picture import decode_picture

    def read(data: bytes) -> None:
        found = decode_picture(data, "a picture")
        if max(found.size) < 4000:
            for suffix in (".png", ".jpg", ".webp", ".tiff", ".bmp"):
                encode_picture(found, suffix)
                losses(found, suffix)

    return _pictures(), ways.mutate_bytes, read


def hdr(folder: Path) -> Reader:
    """HDR pictures of every format, as their light is read; those of JPEG XR start a process."""
    from helpers.made_light import small_files  # type: ignore[import-not-found]

    from dataset.pictures.hdr import decode_hdr, is_hdr

    def read(data: bytes) -> None:
        is_hdr(data)
        found = decode_hdr(data, "a picture")
        if not (found.light.min() > -2e9 and found.light.max() < 2e9):
            raise RuntimeError("light that is not finite")

    return small_files(), ways.mutate_bytes, read


def frame(folder: Path) -> Reader:
    """Frames, as import, labels and split read them."""
    from dataset.labelling.statistics import StatisticsTask, measure_file, why_unfit
    from dataset.pictures.images import decode

    path = folder / "x.png"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        measure_file(StatisticsTask(str(path), "max_rgb", 250))
        why_unfit(data)
        decode(data, path)

    return _pictures(), ways.mutate_bytes, read


def hud(folder: Path) -> Reader:
    """A session's HUD mask."""
    from dataset.labelling.hud_mask import digest_of, read_session_mask
    from dataset.labelling.statistics import StatisticsTask, measure_file
    from dataset.sessions.manifest import HUD_MASK

    made = _session(folder)
    first = str(next((made / "frames").iterdir()))

    def read(data: bytes) -> None:
        (made / HUD_MASK).write_bytes(data)
        mask = read_session_mask(made)
        digest = digest_of(mask[1]) if mask else ""
        measure_file(StatisticsTask(first, "max_rgb", 250, str(made / HUD_MASK), digest))

    return _pictures(), ways.mutate_bytes, read


def video(folder: Path) -> Reader:
    """Videos, as import and restoring read them."""
    import av
    from helpers.made_videos import TONE, film  # type: ignore[import-not-found]

    from dataset.pictures.recordings import Reader as Shots
    from dataset.pictures.video_decoding import describe
    from dataset.pictures.video_reading import Source
    from model.restoring.video import read_facts

    av.logging.set_level(None)
    seeds = []
    for suffix in (".mp4", ".mkv", ".avi", ".ts", ".webm", ".mov"):
        sound = TONE.get(suffix, "aac")
        seeds.append(film(folder / f"good{suffix}", sound=sound).read_bytes())
    path = folder / "x.mkv"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        list(Shots(describe(path), 5).shots())
        read_facts(path)
        with Source(describe(path)) as source:
            for at, each in enumerate(source.frames()):
                source.pixels_of(each)
                if at > 40:
                    break

    return seeds, ways.mutate_bytes, read


def imported(folder: Path) -> Reader:
    """Pictures that become a session: read, converted, written and read again."""
    import shutil

    from dataset.sessions.imports import import_files
    from dataset.sessions.manifest import files_exist, read_frames

    source, out = folder / "shots", folder / "captures"
    source.mkdir()

    def read(data: bytes) -> None:
        shutil.rmtree(out, ignore_errors=True)
        (source / "x.png").write_bytes(data)
        import_files([source], out, "s")
        files_exist(out / "s", [each.file for each in read_frames(out / "s")])

    return _pictures(), ways.mutate_bytes, read


def spool(folder: Path) -> Reader:
    """The lossless video of a recording that was cut off, through repair."""
    import shutil

    from helpers.commands import BY_NAME

    from capture.recording.repair import repair_session

    BY_NAME["repair a spool"].prepare(folder / "made")
    made = folder / "made" / "captures" / "s"
    videos = [each.name for each in (made / "spool").iterdir() if each.suffix != ".jsonl"]

    def read(data: bytes) -> None:
        session = folder / "s"
        shutil.rmtree(session, ignore_errors=True)
        shutil.copytree(made, session)
        (session / "spool" / videos[0]).write_bytes(data)
        repair_session(session)

    return [(made / "spool" / each).read_bytes() for each in videos], ways.mutate_bytes, read


def frame_cache(folder: Path) -> Reader:
    """The index of decoded frames beside a data set."""
    from helpers.tiny_runs import make_data

    from model.training.frame_cache import open_frames

    data_set = make_data(folder, 3)
    path = open_frames(data_set, "trainA", 32, 0).file
    assert path is not None
    index = path.with_suffix(".json")

    def read(data: bytes) -> None:
        index.write_bytes(data)
        for frame in open_frames(data_set, "trainA", 32, 0):
            assert min(frame.shape[:2]) >= 32, frame.shape
            frame.sum()

    return [index.read_bytes()], ways.mutate_json, read


def checkpoint(folder: Path) -> Reader:
    """What a run goes on from."""
    import torch
    from helpers.tiny_runs import tiny_options

    from model.checkpoint import load_checkpoint
    from model.cyclegan import CycleGAN
    from model.runs import STATE_FILES

    run, cpu = _trained(folder), torch.device("cpu")
    path = run / "checkpoints" / STATE_FILES[0]
    seed, model = path.read_bytes(), CycleGAN(tiny_options(folder), cpu)

    def read(data: bytes) -> None:
        for name in STATE_FILES:
            (path.parent / name).unlink(missing_ok=True)
        path.write_bytes(data)
        load_checkpoint(run, model, cpu)

    return [seed], ways.mutate_bytes, read


READERS: dict[str, Callable[[Path], Reader]] = {
    each.__name__.replace("_", "-"): each
    for each in (
        *(line, manifest, journal, spool, labels, statistics, review, amendments, session, split),
        *(pairs, options, exposure, log, held_out, best_note, frame_cache, checkpoint, pth),
        *(safetensors, onnx, physical_onnx, picture, hdr, frame, hud, imported, video, *DOORS),
    )
}

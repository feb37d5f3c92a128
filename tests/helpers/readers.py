"""What readers see of what a command left: values that can be compared, or a refusal in words.

Each asserts, too, that nothing is there by half: files are whole to their checksum or can be
decoded, and a reader that takes something takes all of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataset.errors import UserError
from dataset.labelling.hand_labels import apply_hand_labels, read_journal
from dataset.labelling.labels import read_labels
from dataset.layout.readers import DOMAIN_FOLDERS, find_frames
from dataset.pictures.hashing import sha256
from dataset.pictures.images import decode, read_image
from dataset.sessions.manifest import find_sessions, read_frames, read_session

REFUSED = "refused"  # by every reader, in words


def sessions(captures: Path) -> dict[str, Any]:
    """Session -> its frames as file, checksum, label; those that are refused are ``REFUSED``."""
    try:
        found = find_sessions(captures)
    except UserError:
        return {}
    return {each.name: frames_of(each) for each in found}


def frames_of(session: Path) -> Any:
    try:
        frames = list(read_frames(session))
    except UserError:
        return REFUSED
    rows = []
    for frame in frames:
        data = (session / frame.file).read_bytes()
        assert sha256(data) == frame.sha256, f"{frame.file} is not as it was written"
        rows.append([frame.file, frame.sha256, frame.label])
    return rows


def pictures_of(session: Path) -> Any:
    """A session's frames by their pixels: two encoders may write one picture differently."""
    rows = frames_of(session)
    if rows == REFUSED:
        return REFUSED
    return [[file, sha256(read_image(session / file).tobytes()), label] for file, _, label in rows]


def state_of(session: Path) -> str:
    return str(read_session(session).get("state"))


def labels(captures: Path) -> list[list[str]]:
    """What table and journal say together.

    Frames whose label was taken back are left out: their row is judged again by whoever comes next,
    and until then readers count them as not labelled yet.
    """
    known, hand = {row.key: row for row in read_labels(captures)}, read_journal(captures)
    rows = [
        row for row in apply_hand_labels(known, hand).values() if hand.get(row.key, "") is not None
    ]
    return sorted([row.session, row.file, row.label, row.source] for row in rows)


def data_set(data: Path) -> Any:
    """None, ``REFUSED``, or pictures by name with their checksums, and the pairs."""
    names = sorted(
        path.relative_to(data).as_posix()
        for folder in (*DOMAIN_FOLDERS, "train", "test")
        for path in (data / folder).rglob("*")
        if path.suffix == ".png"
    )
    try:
        for folder in DOMAIN_FOLDERS:
            find_frames(data, folder)
    except UserError:
        return REFUSED if data.exists() and any(data.iterdir()) else None
    record = json.loads((data / "split.json").read_text(encoding="utf-8"))
    assert record["complete"] is True, "readers take a data set that is not complete"
    assert names == sorted(each["path"] for each in record["files"]), "files that are not listed"
    for name in record.get("extras", []):
        assert (data / name).is_file(), f"{name} is missing"
    pictures = [[name, sha256((data / name).read_bytes())] for name in names]
    return [pictures, (data / "pairs.csv").read_text(encoding="utf-8")]


def run_of(run: Path) -> Any:
    """None, or after how many steps a run stands, by its checkpoint, its log and its networks."""
    import torch

    from model.runs import NETWORK_FILES, STATE_FILES, read_options
    from model.state_files import is_whole, read_state

    places = [run / "checkpoints" / name for name in STATE_FILES]
    there = [path for path in places if path.is_file()]
    if not there:
        return None
    assert is_whole(there[0]), f"{there[0].name} is damaged"
    position = read_state(there[0], torch.device("cpu"))["position"]
    try:
        read_options(run)
    except UserError:
        return None  # never made: nothing takes it for a run
    for name in NETWORK_FILES.values():
        path = run / "checkpoints" / f"latest_{name}"
        if path.exists():
            read_state(path, torch.device("cpu"))
    return position["done"]


def log_of(run: Path) -> list[int]:
    """Steps of the log's lines."""
    from model.training.log import read_log

    steps = [line["step"] for line in read_log(run)]
    assert steps == sorted(set(steps)), f"lines twice: {steps}"
    return steps


def files(folder: Path, loose: str = "") -> dict[str, str]:
    """File -> checksum of its bytes, or of what they mean; hidden ones are passed over.

    Those that match ``loose`` differ from run to run: they are only asked to be whole.
    """
    if folder.is_file():
        return {folder.name: _digest(folder, loose)}
    return {
        path.relative_to(folder).as_posix(): _digest(path, loose)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.parts[-2:])
        and b"<p>Not complete:" not in path.read_bytes()  # a page that says so itself
    }


def _digest(path: Path, loose: str) -> str:
    data = path.read_bytes()
    check = WHOLE.get(path.suffix)
    if check is not None:
        check(data, path)
    return "whole" if loose and re.search(loose, path.name) else sha256(data)


def _is_page(data: bytes, path: Path) -> None:
    assert data.rstrip().endswith(b"</html>"), f"{path.name} is cut off"


def _is_json(data: bytes, path: Path) -> None:
    json.loads(data)


def _is_text(data: bytes, path: Path) -> None:
    assert data.endswith(b"\n"), f"{path.name} is cut off"


def _is_film(data: bytes, path: Path) -> None:
    import av

    with av.open(str(path)) as film:
        assert sum(1 for _ in film.decode(video=0)) > 0


def _is_safetensors(data: bytes, path: Path) -> None:
    from safetensors.torch import load

    assert load(data)


def _is_onnx(data: bytes, path: Path) -> None:
    import onnx

    assert onnx.load_from_string(data).graph.node


WHOLE: dict[str, Callable[[bytes, Path], object]] = {
    ".png": decode,
    ".jpg": decode,
    ".html": _is_page,
    ".json": _is_json,
    ".csv": _is_text,
    ".md": _is_text,
    ".mp4": _is_film,
    ".safetensors": _is_safetensors,
    ".onnx": _is_onnx,
}

"""The log of a training run: ``log.jsonl`` and TensorBoard's events.

A line of the log holds ``epoch`` (from 1), ``step`` (of all epochs, from 1) and the values at that
step, by name. What the values mean, and whether they are good, is decided elsewhere.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.errors import UserError
from dataset.files import WholeLines, write_whole, writing_in
from dataset.gate import MOST_TABLE, parse_json, read_regular, refuse_links
from dataset.pictures.images import Image

TRAINING_LOG = "log.jsonl"
EVENTS_FOLDER = "tensorboard"
DECIMALS = 5  # of a value in the log
GROUPS = {  # TensorBoard's group of charts -> the values in it; unknown ones are "other"
    "loss": (
        *("G", "F", "cycle_X", "cycle_Y", "identity"),
        *("gain", "content", "order", "match", "gain_error", "pairs"),  # of preset physical
    ),
    "discriminator": ("D_X", "D_Y", "accuracy_X", "accuracy_Y"),
    "quality": (
        *("clipped_before", "clipped_after", "psnr_input", "psnr_pairs"),
        *("ssim_input", "ssim_pairs", "edges_input", "edges_pairs", "psnr_held_out"),
    ),
    "speed": ("pairs_per_s", "tflop_per_s", "waited", "learning_rate"),
}
GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


class Tracker:
    """Writes the log of one run, and the same for TensorBoard if that is installed.

    Parameters
    ----------
    run : Path
        The run's folder; created if it does not exist.
    steps_done : int
        Steps of all epochs in the checkpoint. Lines that a killed run had logged beyond them are
        removed, so that a resumed run has the log of an uninterrupted one.
    tensorboard : bool
        Whether to write ``tensorboard/`` as well.

    Attributes
    ----------
    note : str
        Why there are no events although they were asked for; empty otherwise.

    Raises
    ------
    UserError
        The log cannot be written.
    """

    def __init__(self, run: Path, steps_done: int = 0, tensorboard: bool = True) -> None:
        self.path = run / TRAINING_LOG
        self.note = ""
        self._folder = run / EVENTS_FOLDER
        refuse_links(self._folder, "where TensorBoard's events go")
        try:
            run.mkdir(parents=True, exist_ok=True)
            cut_log(self.path, steps_done)
            self._file = WholeLines(self.path)
        except OSError as error:
            raise UserError(f"Cannot write {self.path}: {error.strerror}.", 1) from error
        self._events = self._open_events(run, steps_done) if tensorboard else None

    def _open_events(self, run: Path, steps_done: int) -> Any:
        try:
            # Deferred: it takes a second to load, and may not be installed.
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.note = (
                f"TensorBoard is not installed, so the curves are only in {self.path}. "
                "To have them there too: pip install tensorboard"
            )
            return None
        self._hook, threading.excepthook = threading.excepthook, self._pass_over
        with writing_in(self._folder):
            return SummaryWriter(str(self._folder), purge_step=steps_done + 1, flush_secs=30)

    def _pass_over(self, failed: threading.ExceptHookArgs) -> None:
        """Ignore what TensorBoard's thread could not write: the next call raises it again."""
        ours = type(failed.thread).__module__.startswith("tensorboard.")
        if not (ours and issubclass(failed.exc_type, OSError)):
            self._hook(failed)

    def write(self, epoch: int, step: int, values: Mapping[str, float]) -> None:
        """Append one line, on disk when this returns, and a point to every chart.

        Parameters
        ----------
        epoch, step : int
            From 1; steps are those of all epochs.
        values : mapping
            By name. Values that are not finite become ``null``, because JSON has none.

        Raises
        ------
        UserError
            The disk is full.
        """
        line = {"epoch": epoch, "step": step, **{key: _plain(each) for key, each in values.items()}}
        data = json.dumps(line, allow_nan=False).encode() + b"\n"
        try:
            self._file.append(data)
        except OSError as error:
            raise UserError(f"Cannot write {self.path}: {error.strerror}.", 1) from error
        if self._events is not None:
            with writing_in(self._folder):
                for name, value in values.items():
                    if math.isfinite(value):
                        self._events.add_scalar(tag_of(name, values), value, step)

    def picture(self, name: str, step: int, image: Image) -> None:
        """Show a picture, RGB uint8 (H, W, 3), in TensorBoard, if that is on."""
        if self._events is not None:
            with writing_in(self._folder):
                self._events.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        """Close the files; TensorBoard flushes its queue. May be called twice."""
        self._file.close()
        events, self._events = self._events, None
        if events is not None:
            try:
                with writing_in(self._folder):
                    events.close()
            finally:
                threading.excepthook = self._hook

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def tag_of(name: str, values: Mapping[str, float]) -> str:
    """The chart of a value: its group and its name.

    Examples
    --------
    >>> tag_of("D_X", {"D_X": 1.2})
    'discriminator/D_X'
    """
    # A step logs the identity loss; a snapshot logs how far F(x) is from x.
    if name == "identity" and "clipped_before" in values:
        return "quality/identity"
    return f"{GROUP_OF.get(name, 'other')}/{name}"


def read_log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log in order; a ``null`` is None.

    Incomplete lines are left out: the last one of a run that is being trained or was killed.

    Raises
    ------
    UserError
        There is no log, or it is empty.
    """
    path = run / TRAINING_LOG
    try:
        data = read_regular(path, MOST_TABLE)
    except FileNotFoundError as error:
        raise UserError(
            f"No log {path}. `cli train` writes one from its first steps; train this run, or name "
            "another with --run."
        ) from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.", 1) from error
    lines = [line for raw in data.splitlines() if (line := _parse(raw)) is not None]
    if not lines:
        raise UserError(f"{path} has no line yet. Let `cli train` run for a few more steps.")
    return lines


def cut_log(path: Path, steps_done: int) -> None:
    """Keep complete lines of up to ``steps_done`` steps, if there is a log."""
    if not os.path.lexists(path):
        return
    data = read_regular(path, MOST_TABLE)
    kept = b"".join(
        raw + b"\n"
        for raw in data.splitlines()
        if (line := _parse(raw)) is not None and line["step"] <= steps_done
    )
    if kept != data:
        write_whole(path, kept)


def _parse(raw: bytes) -> dict[str, Any] | None:
    """A line of the log; None if it is not one, or incomplete."""
    try:
        line = parse_json(raw, dict[str, int | float | None])
    except ValueError:
        return None
    return line if all(isinstance(line.get(key), int) for key in ("epoch", "step")) else None


def _plain(value: float) -> float | None:
    return round(float(value), DECIMALS) if math.isfinite(value) else None

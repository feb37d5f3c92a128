"""What a child of the fork server runs where no command line leads there. Called by name."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataset.errors import UserError

GIVEN = [(0, "Y"), (1, "drop"), (0, None), (3, "Y")]  # labels of a review, one after the other


def review(arguments: list[str]) -> None:
    """A review in which one label after the other is given; each is reported once it counts."""
    from dataset.review.store import open_review

    with _words(), open_review(Path(arguments[0])) as store:
        for number, (frame, label) in enumerate(GIVEN, start=1):
            store.set_labels([(frame, label)])
            print(f"given {number}", flush=True)
            if number == 2:
                store.fold()


def label_one(arguments: list[str]) -> None:
    """A review in which one label is given: folder, number, label."""
    from dataset.review.store import open_review

    with _words(), open_review(Path(arguments[0])) as store:
        store.set_labels([(int(arguments[1]), arguments[2])])


def record(arguments: list[str]) -> None:
    """A recorder of a screen that shows other noise each time: codec, session, number of frames."""
    from capture.control import daemon
    from capture.options import CaptureOptions
    from helpers.screens import Noise

    @contextmanager
    def open_noise(*_: object) -> Iterator[Noise]:
        yield Noise()

    daemon.open_screen = open_noise  # type: ignore[assignment]
    options = CaptureOptions(
        out=Path("captures"),
        session=arguments[1],
        fps=100,
        start=True,
        max_frames=int(arguments[2]),
        codec=arguments[0],
        dedupe="off",
        disk_floor_bytes=0,
        encoders=1,
    )
    with _words():
        print(daemon.run_capture(options))


def begin_demo(arguments: list[str]) -> None:
    """What `cli demo` does with the folder of an earlier demo, and a file of a new one."""
    from dataset.files import write_whole
    from model.evaluation.demo_folder import hold_demo

    with _words():
        out = Path(arguments[0])
        with hold_demo(out) as finish:
            write_whole(out / "index.html", b"<html>new</html>\n")
            finish()


def prepare_for_training_and_figures() -> None:
    """What would take most of the time of each case, and is of no interest: it changes no file.

    Operations are not counted, matrix products not timed, and matplotlib's fonts are found.
    """
    import model.training.train as training
    from model.figures.curves import plot_curves

    training.count_flops = lambda options: 1e9
    training.matmul_ceilings = lambda device: {"fp32": 1e9, "bf16": 1e9}
    plot_curves([{"epoch": 1, "step": step, "D_X": 1.0} for step in (1, 2)])


@contextmanager
def _words() -> Iterator[None]:
    """Errors as the command line shows them."""
    try:
        yield
    except UserError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def write_twice(arguments: list[str]) -> None:
    """Five operations that a test knows."""
    folder = Path(arguments[0])
    with open(folder / "a", "wb", buffering=0) as file:
        for _ in range(2):
            data = b"0123456789"
            while data:
                data = data[file.write(data) :]
        os.fsync(file.fileno())
    (folder / "a").rename(folder / "b")


def sleep(arguments: list[str]) -> None:
    """Longer than anybody waits."""
    time.sleep(3600)

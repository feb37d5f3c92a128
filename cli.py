"""The command line: parse, call one function, echo one result. Nothing heavy loads at import."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click

from capture.game.options import GameOptions
from capture.options import CaptureOptions, StageOptions
from dataset.errors import UserError
from dataset.options import LabelOptions, SplitOptions
from model.options import PRESETS, RestoreOptions, TrainOptions

CAPTURE, LABEL, SPLIT = CaptureOptions(), LabelOptions(), SplitOptions()
TRAIN, RESTORE, GAME, STAGE = TrainOptions(), RestoreOptions(), GameOptions(), StageOptions()
INTERRUPTED = 130  # the exit code of a program ended by Ctrl-C


class Commands(click.Group):
    """Shows a ``UserError`` as one message with its exit code; all else keeps its traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            raise Shown(error) from error


class Shown(click.ClickException):
    """A ``UserError`` as click shows it."""

    def __init__(self, error: UserError) -> None:
        super().__init__(str(error))
        self.exit_code = error.exit_code  # type: ignore[misc]


class Numbers(click.ParamType):
    """Whole numbers with a separator between them: ``1280x720`` or ``0,0,640,480``."""

    def __init__(self, name: str, separator: str, count: int, least: int = 0) -> None:
        self.name, self.separator, self.count, self.least = name, separator, count, least

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in str(value).lower().split(self.separator))
        except ValueError:
            numbers = ()
        if len(numbers) != self.count or min(numbers) < self.least:
            self.fail(f"{value!r} is not of the form {self.name}", param, context)
        return numbers


SIZE = Numbers("WxH", "x", 2, least=1)
REGION = Numbers("X,Y,W,H", ",", 4)
COUNTS = Numbers("TRAIN_X,TRAIN_Y,TEST_X,TEST_Y", ",", 4, least=1)
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(path_type=Path)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unclip", prog_name="unclip")
def main() -> None:
    """Record a game whose light you can move, make a data set of it, train, restore.

    \b
    cli capture --hotkey     record frames (F9 starts and pauses)
    cli split                sort them into domains X and Y, training and test
    cli train                train the CycleGAN
    cli restore image.png    give a blown-out picture its highlights back
    """


@main.command()
@click.option("--hotkey", is_flag=True, help="Wait for the keys: start/pause, snap, X, Y, stop.")
@click.option("--start", is_flag=True, help="Record at once, without a key.")
@click.option("--fps", type=float, default=CAPTURE.fps, show_default=True, help="Frames a second.")
@click.option("--duration", "duration_s", type=float, help="Stop after so many seconds.")
@click.option("--max-frames", type=int, help="Stop after so many frames.")
@click.option(
    "--out", type=FOLDER, default=CAPTURE.out, show_default=True, help="Where sessions go."
)
@click.option(
    "--monitor", type=int, default=CAPTURE.monitor, show_default=True, help="Monitor number."
)
@click.option("--region", type=REGION, help="A part of the screen, in pixels.")
@click.option("--window", metavar="TITLE", help="The window whose title contains this.")
@click.option("--label", type=click.Choice(["X", "Y"]), help="Label all frames at once.")
@click.option("--size", type=SIZE, help="Area-average frames to this size.")
def capture(**settings: Any) -> None:
    """Record frames of a game.

    \b
    Example: cli capture --hotkey --window "Flight Simulator" --size 512x512
    """
    from capture.recorder import format_status, run_capture

    options = CaptureOptions(**settings)
    with status_line() as show:
        summary = run_capture(options, lambda status: show(format_status(status)))
    click.echo(
        f"{summary.frames} frames in {summary.seconds:.1f} s, {summary.missed} intervals missed "
        f"({summary.reason}): {summary.session}"
    )


@main.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", type=FOLDER, default=CAPTURE.out, show_default=True, help="Where sessions go."
)
@click.option("--session", help="Name of the new session.  [default: the time]")
@click.option("--label", type=click.Choice(["X", "Y"]), help="Label all pictures at once.")
@click.option("--size", type=SIZE, help="Area-average pictures to this size.")
def import_(paths: tuple[Path, ...], **settings: Any) -> None:
    """Make a session from screenshots that you already have.

    \b
    Example: cli import ~/Pictures/Screenshots --label Y
    """
    from dataset.imports import import_pictures

    with progress("importing", "frame") as update:
        summary = import_pictures(list(paths), **settings, on_progress=update)
    for name in summary.skipped:
        click.echo(f"skipped: {name}", err=True)
    click.echo(f"{summary.frames} frames: {summary.session}")


@main.command()
@click.option(
    "--source", type=FOLDER, default=LABEL.source, show_default=True, help="The recordings."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 255),
    default=LABEL.limit,
    show_default=True,
    help="max(R,G,B) from which a pixel counts as clipped.",
)
@click.option(
    "--y-fraction",
    type=float,
    default=LABEL.y_fraction,
    show_default=True,
    help="Share of clipped pixels from which a frame is Y.",
)
@click.option(
    "--x-fraction",
    type=float,
    default=LABEL.x_fraction,
    show_default=True,
    help="Share of clipped pixels up to which a frame is X.",
)
@click.option(
    "--y-blob",
    type=float,
    default=LABEL.y_blob,
    show_default=True,
    help="Share of the largest clipped area that a Y frame needs as well.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def label(as_json: bool, **settings: Any) -> None:
    """Sort frames into X (not over-exposed) and Y (over-exposed); what is between stays unsure.

    \b
    Example: cli label --y-fraction 0.1
    """
    from dataset.labels import label_captures

    with progress("measuring", "frame") as update:
        summary = label_captures(LabelOptions(**settings), update)
    echo_result(summary, as_json)


@main.command()
@click.option(
    "--source", type=FOLDER, default=SPLIT.source, show_default=True, help="The recordings."
)
@click.option("--out", type=FOLDER, default=SPLIT.out, show_default=True, help="The data set.")
@click.option(
    "--counts",
    type=COUNTS,
    default=SPLIT.counts,
    help="Frames of each domain and side.  [default: the paper's 3864,3520,1212,780]",
)
@click.option("--fit", is_flag=True, help="Keep the proportions at the size that the frames allow.")
@click.option("--seed", type=int, default=SPLIT.seed, show_default=True, help="Of the choice.")
@click.option(
    "--link",
    type=click.Choice(["hard", "symlink", "copy"]),
    default=SPLIT.link,
    show_default=True,
    help="How frames get into the data set.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def split(as_json: bool, **settings: Any) -> None:
    """Divide labelled frames into training and test, whole groups on one side.

    \b
    Example: cli split --fit
    """
    from dataset.split import split_captures

    with progress("labelling", "frame") as update:
        summary = split_captures(SplitOptions(**settings), update)
    echo_result(summary, as_json)


@main.command()
@click.option("--data", type=FOLDER, default=TRAIN.data, show_default=True, help="The data set.")
@click.option("--runs", type=FOLDER, default=TRAIN.runs, show_default=True, help="Where runs go.")
@click.option("--run", default=TRAIN.run, help="Name of the run.  [default: the time]")
@click.option(
    "--preset",
    type=click.Choice(["auto", *PRESETS]),
    default="auto",
    show_default=True,
    help="auto: the paper's settings on a GPU, small networks without one.",
)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the larger domain.")
@click.option("--batch-size", type=click.IntRange(1), help="Frames of each domain in a step.")
@click.option("--size", type=click.IntRange(32), help="Side of the squares to train on, pixels.")
@click.option(
    "--load-size", type=click.IntRange(0), help="Shorter side of the frames; 0: as recorded."
)
@click.option("--steps", type=click.IntRange(1), help="Stop after so many steps.")
@click.option("--minutes", type=float, help="Plan the epochs so that training takes so long.")
@click.option("--learning-rate", type=float, help="Of Adam.")
@click.option("--cycle-weight", type=float, help="Lambda of the cycle loss.")
@click.option(
    "--identity-weight", type=float, help="Weight of the identity loss; the paper has none."
)
@click.option(
    "--minimax", is_flag=True, default=None, help="Generators minimize log(1 - D), literally."
)
@click.option("--device", help="auto, cpu, cuda, cuda:1, mps.")
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), help="auto is measured.")
@click.option("--seed", type=int, help="Of weights, order, crops and pools.")
@click.option("--resume", is_flag=True, help="Go on with a run (the newest, or --run).")
@click.option("--dry-run", is_flag=True, help="Print settings, parameters and time, then stop.")
def train(preset: str, runs: Path, run: str, resume: bool, dry_run: bool, **settings: Any) -> None:
    """Train the CycleGAN on a data set.

    \b
    Example: cli train --preset cpu --minutes 10
    """
    from model.train import describe_plan, train

    options = train_options(preset, runs, run, resume, settings)
    if dry_run:
        click.echo(describe_plan(options))
        return
    with progress("training", "step") as update:
        summary = train(options, lambda now: update(now.done, now.total, describe(now)), click.echo)
    if summary.interrupted:
        click.echo(
            f"Stopped in epoch {summary.epoch} after {summary.step} of its steps; all is saved.\n"
            f"Go on with: cli train --runs {runs} --run {summary.run.name} --resume"
        )
        sys.exit(INTERRUPTED)
    click.echo(f"{summary.steps} steps, {summary.seconds / 60:.1f} min: {summary.run}")


@main.command()
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@click.option(
    "-o", "--out", type=FILE, help="File (one input) or folder.  [default: beside the input]"
)
@click.option(
    "--runs", type=FOLDER, default=RESTORE.runs, show_default=True, help="Where runs are."
)
@click.option("--run", default=RESTORE.run, help="Name of the run.  [default: the newest]")
@click.option("--device", default=RESTORE.device, show_default=True, help="auto, cpu, cuda, mps.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
def restore(inputs: tuple[Path, ...], **settings: Any) -> None:
    """Restore over-exposed pictures: image.png becomes image_restored.png.

    \b
    Example: cli restore image.png
    """
    from model.restore import restore_files

    for done in restore_files(inputs, RestoreOptions(**settings)):
        click.echo(f"{done.source} -> {done.target} ({done.width}x{done.height})")


@main.command()
@click.option("--data", type=FOLDER, default=TRAIN.data, show_default=True, help="The data set.")
@click.option(
    "--pairs", type=FILE, help="Columns over_exposed,reference.  [default: DATA/pairs.csv]"
)
@click.option("--runs", type=FOLDER, default=TRAIN.runs, show_default=True, help="Where runs are.")
@click.option("--run", default="", help="Name of the run.  [default: the newest]")
@click.option("--device", default=RESTORE.device, show_default=True, help="auto, cpu, cuda, mps.")
@click.option("--json", "as_json", is_flag=True, help="Print the measures as JSON.")
def evaluate(
    data: Path, pairs: Path | None, runs: Path, run: str, device: str, as_json: bool
) -> None:
    """Measure restored pictures against the true references of their viewpoints.

    \b
    Example: cli evaluate --pairs data/pairs.csv
    """
    from model.evaluate import evaluate_run

    with progress("evaluating", "pair") as update:
        found = evaluate_run(pairs or data / "pairs.csv", runs, run, device, update)
    echo_result(found.summary(), as_json)


@main.command()
@click.option("--size", type=SIZE, default=GAME.size, help="Window size.  [default: 512x512]")
@click.option("--seed", type=int, default=GAME.seed, show_default=True, help="Of the whole world.")
@click.option("--autopilot", is_flag=True, help="Fly through viewpoints and light by itself.")
@click.option(
    "--hold",
    "hold_s",
    type=click.FloatRange(0, min_open=True),
    default=GAME.hold_s,
    show_default=True,
    help="Autopilot: seconds that each picture stays.",
)
@click.option("--hud", is_flag=True, help="Show the state and the keys.")
@click.option("--duration", "duration_s", type=float, help="Close after so many seconds.")
def game(**settings: Any) -> None:
    """Play the embedded game: an aircraft, and a sun that you can move.

    \b
    Example: cli game --hud
    """
    from capture.game.app import run_game

    run_game(GameOptions(**settings))


@main.command()
@click.option(
    "--minutes",
    type=click.FloatRange(1),
    default=12.0,
    show_default=True,
    help="How long it may take; longer restores better.",
)
@click.option(
    "--out",
    type=FOLDER,
    default=Path("demo"),
    show_default=True,
    help="Folder for all of it; a demo of before is replaced.",
)
@click.option(
    "--seed", type=int, default=STAGE.seed, show_default=True, help="Of game and training."
)
def demo(minutes: float, out: Path, seed: int) -> None:
    """The whole way in one command: game, recording, labels, split, training, restored pictures.

    \b
    Example: cli demo --minutes 12
    """
    from capture.stage import record_game
    from dataset.labels import label_captures
    from dataset.split import split_captures
    from model.showcase import Story, clear_showcase, write_showcase
    from model.train import train

    begin = time.monotonic()
    clear_showcase(out)
    with progress("recording", "frame") as update:
        stage = replace(STAGE, out=out / "captures", seed=seed, minutes=minutes / 4)
        recorded = record_game(stage, update)
    with progress("labelling", "frame") as update:
        labels = label_captures(LabelOptions(source=stage.out), update)
    divided = split_captures(SplitOptions(source=stage.out, out=out / "data", fit=True, seed=seed))
    click.echo(f"{recorded} frames recorded; {labels}\n{divided}")
    left = 0.85 * (minutes - (time.monotonic() - begin) / 60)
    settings = replace(
        PRESETS["cpu"](),
        data=out / "data",
        runs=out / "runs",
        run="demo",
        minutes=max(left, 0.1),
        seed=seed,
    )
    with progress("training", "step") as update:
        trained = train(
            settings, lambda now: update(now.done, now.total, describe(now)), click.echo
        )
    if trained.interrupted:
        raise UserError(
            f"Stopped. What was recorded and trained lies in {out}; the next demo starts afresh.",
            INTERRUPTED,
        )
    facts = (
        f"{recorded // 2} viewpoints of the embedded game (seed {seed}), each grabbed from its "
        "window under a weak and under a strong sun. Training draws X and Y frames independently "
        "of each other, so it is not told which belong together.",
        f"Labels by the clipping statistic: {labels}.",
        f"{trained.steps} training steps of {settings.batch_size} frames a domain, "
        f"{settings.size}x{settings.size} squares, in {trained.seconds / 60:.1f} minutes.",
    )
    with progress("restoring", "pair") as update:
        result = write_showcase(
            out,
            out / "data",
            trained.run,
            Story(divided.table1, recorded, facts),
            lambda: time.monotonic() - begin,
            update,
        )
    echo_result(result, as_json=False)
    click.echo(f"open {out / 'index.html'}")


def train_options(
    preset: str, runs: Path, run: str, resume: bool, settings: dict[str, Any]
) -> TrainOptions:
    """The preset with what was asked to be different; a resumed run keeps its own settings."""
    asked = {key: value for key, value in settings.items() if value is not None}
    if resume:
        from model.train import resumed_options

        allowed = {"epochs", "steps", "device"}
        explicit = {key for key in asked if given(key)}
        if explicit - allowed:
            names = ", ".join(sorted("--" + key.replace("_", "-") for key in explicit - allowed))
            raise UserError(f"A resumed run keeps its settings; leave out {names}.")
        return resumed_options(runs, run, {key: asked[key] for key in explicit})
    if preset == "auto":
        from model.devices import pick_device

        preset = "cpu" if pick_device(settings["device"] or "auto").type == "cpu" else "paper"
        click.echo(f"preset {preset} (choose with --preset)")
    known = {field.name for field in fields(TrainOptions)}
    return replace(
        PRESETS[preset](),
        runs=runs,
        run=run,
        **{key: value for key, value in asked.items() if key in known},
    )


def given(name: str) -> bool:
    """Whether the user wrote this option, rather than its default standing in."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


@contextmanager
def progress(what: str, unit: str) -> Iterator[Callable[..., None]]:
    """A progress bar with rate and time left: call it with (done, total[, a word on the state])."""
    from tqdm import tqdm

    rewritten = sys.stderr.isatty()
    with tqdm(desc=what, unit=unit, mininterval=0.2 if rewritten else 10, delay=0.5) as bar:

        def update(done: int, total: int, state: str = "") -> None:
            bar.total = total
            bar.set_postfix_str(state, refresh=False)
            bar.update(done - bar.n)

        yield update


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """One line that is rewritten on a terminal, and printed every ten seconds elsewhere."""
    rewritten = sys.stderr.isatty()
    printed = -10.0

    def show(line: str) -> None:
        nonlocal printed
        if rewritten:
            click.echo(f"\r\x1b[K{line}", nl=False, err=True)
        elif time.monotonic() - printed >= 10:
            printed = time.monotonic()
            click.echo(line, err=True)

    try:
        yield show
    finally:
        if rewritten:
            click.echo(err=True)


def describe(now: Any) -> str:
    """The losses of a training run, for the end of its progress bar."""
    losses = now.losses
    return (
        f"epoch {now.epoch}/{now.epochs} {now.pairs_per_s:.1f} pairs/s "
        f"D {losses['D_X'] + losses['D_Y']:.2f} G {losses['G'] + losses['F']:.2f} "
        f"cycle {losses['cycle_X'] + losses['cycle_Y']:.3f}"
    )


def echo_result(result: Any, as_json: bool) -> None:
    """Print a summary for a person, or as JSON for a script."""
    values = result if isinstance(result, dict) else asdict(result)
    if as_json:
        click.echo(json.dumps(values, indent=2, ensure_ascii=False, default=str))
    elif isinstance(result, dict):
        click.echo("\n".join(f"{key}: {value}" for key, value in values.items()))
    else:
        click.echo(str(result))


if __name__ == "__main__":
    main()

"""The command line: parse, call one function, echo one result. Nothing heavy loads at import."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click

from capture.game.options import GameOptions
from capture.options import CHOICES, GB, CaptureOptions, StageOptions, SweepOptions
from dataset.errors import UserError
from dataset.gate import plain
from dataset.options import LabelOptions, ReviewOptions, SplitOptions
from dataset.terminal import (
    OutputGone,
    echo,
    guarded_output,
    lasting,
    progress,
    say,
    status_line,
    to_json,
)
from model.options import PRESETS, EvaluateOptions, RestoreOptions, TrainOptions

CAPTURE, LABEL, SPLIT = CaptureOptions(), LabelOptions(), SplitOptions()
TRAIN, RESTORE, GAME, STAGE = TrainOptions(), RestoreOptions(), GameOptions(), StageOptions()
SWEEP, REVIEW, EVALUATE = SweepOptions(), ReviewOptions(), EvaluateOptions()
INTERRUPTED = 130  # the exit code of a program ended by Ctrl-C


class Commands(click.Group):
    """Shows a ``UserError`` as one message with its exit code; all else keeps its traceback."""

    def main(self, *words: Any, **settings: Any) -> Any:
        with guarded_output():
            try:
                return super().main(*words, **settings)
            except OutputGone as error:
                echo(f"Error: Cannot write the output: {error.strerror}.", error=True)
                sys.exit(1)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            raise Shown(error) from error
        except KeyboardInterrupt:
            stopped = UserError("Stopped. Run the same command again.", INTERRUPTED)
            raise Shown(stopped) from None
        except click.UsageError as error:
            raise click.UsageError(plain(error.format_message()), error.ctx) from None


class Shown(click.ClickException):
    """A ``UserError`` as click shows it."""

    def __init__(self, error: UserError) -> None:
        super().__init__(plain(error))
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
BITS, SECONDS = click.IntRange(-1, 16), click.FloatRange(0)
AT_LEAST_0, AT_LEAST_1 = click.IntRange(0), click.IntRange(1)
ON_OFF = click.Choice(["auto", "on", "off"])
NETWORK_WISHES = {  # options of `cli train` -> fields of NetworkOptions
    "filters": "generator_filters",
    "blocks": "generator_blocks",
    "discriminator_filters": "discriminator_filters",
    "residual": "residual",
    "resize": "resize",
}
SHARE = click.FloatRange(0, 1)
EXTENSIONS = click.Choice(["auto", "png", "jpg", "webp", "tiff"])
METHODS = click.Choice(["network", "cielab", "ycbcr", "gamma"])
DETAIL = click.Choice(["auto", "native", "carried", "mixed"])
LIMIT, LEVELS = click.IntRange(1, 255), ["max_rgb", "luminance", "cielab", "ycbcr"]


def setting(flag: str, default: Any, text: str, kind: Any = None) -> Callable[..., Any]:
    """An option whose default comes from the settings and is shown; "--flag name" names it."""
    return click.option(*flag.split(), type=kind, default=default, show_default=True, help=text)


def wish(flag: str, kind: Any, text: str) -> Callable[..., Any]:
    """An option that changes a preset where it is given, and is None where it is not."""
    return click.option(flag, type=kind, default=None, help=text)


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


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what is recorded, and where to."""
    for option in reversed(SOURCE_OPTIONS):
        command = option(command)
    return command


OUT = setting("--out", CAPTURE.out, "Where sessions go.", FOLDER)
SOURCE_OPTIONS = [
    OUT,
    click.option("--session", help="Name of the new session.  [default: the time]"),
    setting("--monitor", CAPTURE.monitor, "0: all of them."),
    click.option("--region", type=REGION, help="A part of the screen, in pixels."),
    click.option("--window", metavar="TITLE", help="The window whose title contains this."),
    click.option("--size", type=SIZE, help="Area-average frames to this size."),
    click.option("--hud-mask", type=FILE, help="PNG, white where the HUD is; kept with it."),
    setting(
        "--disk-floor disk_floor_gb",
        CAPTURE.disk_floor_bytes / GB,
        "Stop before less than so many GB are free.",
        click.FloatRange(0),
    ),
    setting(
        "--backend",
        CAPTURE.backend,
        "How the screen is read; dxcam is for Windows.",
        click.Choice(CHOICES["backend"]),
    ),
]


def key_option(name: str, what: str) -> Callable[..., Any]:
    """An option for one of the recorder's keys."""
    default = getattr(CAPTURE, name)
    flag = "--" + name.replace("_", "-")
    return click.option(flag, default=default, show_default=True, help=f"Key: {what}.")


@main.group(invoke_without_command=True)
@click.option("--hotkey", is_flag=True, help="Wait for the keys: see --list-keys.")
@click.option("--start", is_flag=True, help="Record at once, without a key.")
@click.option(
    "--background", is_flag=True, help="Go on without the terminal; `cli capture stop` ends it."
)
@setting("--fps", CAPTURE.fps, "Frames a second.")
@click.option("--duration", "duration_s", type=float, help="Stop after so many seconds.")
@click.option("--max-frames", type=int, help="Stop after so many frames.")
@source_options
@click.option("--label", type=click.Choice(["X", "Y"]), help="Label all frames at once.")
@setting(
    "--dedupe",
    CAPTURE.dedupe,
    "Unchanged pictures: mark them, skip them, or do not look for them.",
    click.Choice(CHOICES["dedupe"]),
)
@setting(
    "--codec",
    CAPTURE.codec,
    "auto: PNG, or at high rates a lossless video that becomes PNG at the end.",
    click.Choice(CHOICES["codec"]),
)
@setting(
    "--develop/--no-develop",
    CAPTURE.develop,
    "Turn the video into PNG at the end, or leave that to `cli capture repair`.",
)
@click.option("--notify", is_flag=True, help="Desktop notification of start, pause and end.")
@click.option("--sound", is_flag=True, help="A sound at start, pause and end.")
@key_option("key_record", "start, pause, go on")
@key_option("key_snap", "one frame")
@key_option("key_x", "frames from now on are X")
@key_option("key_y", "frames from now on are Y")
@key_option("key_undo", "take the last label back")
@key_option("key_light", "the light was moved a step")
@key_option("key_stop", "end the session")
@click.option("--list-keys", is_flag=True, help="Print the keys and stop.")
@click.pass_context
def capture(context: click.Context, list_keys: bool, **settings: Any) -> None:
    """Record frames of a game.

    \b
    Example: cli capture --hotkey --window "Flight Simulator" --size 512x512
    """
    if context.invoked_subcommand is not None:
        misplaced = [f"--{name.replace('_', '-')}" for name in context.params if given(name)]
        if misplaced:
            raise UserError(
                f"{', '.join(misplaced)} cannot stand before {context.invoked_subcommand!r}: put "
                "it behind, if that command has such an option, or leave it out."
            )
        return
    options = capture_options(settings)
    if list_keys:
        from capture.control.hotkeys import keys_of

        echo("\n".join(f"{key:16} {command}" for command, key in keys_of(options).items()))
    elif options.background:
        from capture.control.daemon import start_in_background

        echo(describe_status(start_in_background(options)))
    else:
        from capture.control.daemon import run_capture
        from capture.doctor.doctor import format_findings, warnings_at_start
        from capture.status import format_status

        for finding in warnings_at_start(options):
            echo(format_findings([finding]), error=True)
        with status_line() as show, progress("making PNG", "frame") as update:
            summary = run_capture(options, lambda status: show(format_status(status)), update)
        echo(summary)


def capture_options(settings: dict[str, Any]) -> CaptureOptions:
    """Settings of a recording as the command line gives them."""
    floor = round(settings.pop("disk_floor_gb") * GB)
    return CaptureOptions(**settings, disk_floor_bytes=floor)


def control_command(name: str, help_text: str, value: click.Argument | None = None) -> None:
    """A command that tells the running recorder what to do."""

    def tell_recorder(out: Path | None, value: str | None = None, as_json: bool = False) -> None:
        from capture.control.channel import find_recorder, tell

        answer = tell(find_recorder(out, CAPTURE.out), name, value)
        echo(to_json(answer["status"], None) if as_json else describe_status(answer["status"]))

    options: list[click.Parameter] = [
        click.Option(["--out"], type=FOLDER, help="The recorder's folder, if several are running."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the status as JSON."),
    ]
    text = f"{help_text}\n\n\b\nExample: cli capture {name}{' X' if value else ''}"
    capture.add_command(
        click.Command(
            name, callback=tell_recorder, params=[*options, *([value] if value else [])], help=text
        )
    )


for _name, _help in {
    "status": "What the running recorder is doing.",
    "start": "Record from now on.",
    "pause": "Take no more frames until started again.",
    "toggle": "Start, pause, go on.",
    "snap": "Take one frame now.",
    "undo": "Take the last label back, also from the frames that got it.",
    "light-step": "The light was moved a step.",
    "stop": "End the session.",
}.items():
    control_command(_name, _help)
control_command(
    "label",
    "Frames from now on are X or Y; the same again takes it away.",
    click.Argument(["value"], type=click.Choice(["X", "Y"])),
)
control_command(
    "light",
    "A text on the light, kept with the frames from now on.",
    click.Argument(["value"], metavar="TEXT"),
)


@capture.command()
@setting(
    "--driver",
    SWEEP.driver,
    "Tap the game's keys, or talk to FlightGear.",
    click.Choice(["keys", "flightgear"]),
)
@click.option("--key", help="The game's key that moves its light a step, as ] or <page_up>.")
@setting("--steps", SWEEP.steps, "Lights each.")
@setting("--taps", SWEEP.taps, "Presses a step.")
@setting("--settle settle_s", SWEEP.settle_s, "Least seconds between press and grab.")
@click.option("--viewpoint-key", help="The game's key for the next viewpoint.")
@setting("--viewpoints", SWEEP.viewpoints, "How many.")
@setting(
    "--viewpoint-settle viewpoint_settle_s", SWEEP.viewpoint_settle_s, "Least seconds after it."
)
@click.option("--back-key", help="Takes the light back before the next viewpoint.")
@setting("--delay delay_s", SWEEP.delay_s, "Seconds to bring the game to the front.")
@setting("--host", SWEEP.host, "Where FlightGear runs.")
@setting("--port", SWEEP.port, "FlightGear's port.")
@setting("--seed", SWEEP.seed, "FlightGear: scenes.")
@source_options
def sweep(**settings: Any) -> None:
    """Record viewpoints under many lights, unattended; any key of yours ends it.

    \b
    Example: cli capture sweep --key "]" --steps 8 --viewpoint-key n --viewpoints 20
    """
    from capture.sweep.sweep import run_sweep

    names = {field.name for field in fields(SweepOptions)}
    how = SweepOptions(**{name: settings.pop(name) for name in names})
    with progress("sweeping", "frame") as update:
        echo(run_sweep(capture_options(settings), how, update))


@capture.command()
@click.argument("session", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def repair(session: Path, as_json: bool) -> None:
    """Make a session whole that was cut off, and its frames PNG; says what it found.

    \b
    Example: cli capture repair captures/20261122-182001
    """
    from capture.recording.repair import repair_session

    with progress("repairing", "frame") as update:
        echo_result(repair_session(session, CAPTURE.disk_floor_bytes, update), as_json)


@main.command()
@source_options
@setting("--fps", CAPTURE.fps, "Frames a second.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool, **settings: Any) -> None:
    """Look for what would spoil a recording, and say what to do about it.

    \b
    Example: cli doctor --window "Flight Simulator"
    """
    from capture.doctor.doctor import examine, format_findings

    findings = examine(capture_options(settings))
    if as_json:
        echo(to_json([asdict(each) for each in findings]))
    else:
        echo(format_findings(findings))
    if any(each.level == "fault" for each in findings):
        sys.exit(1)


@main.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@setting("--out", CAPTURE.out, "Where sessions go.", FOLDER)
@click.option(
    "--session", help="Name of the new session.  [default: the time; of a recording its file name]"
)
@click.option("--label", type=click.Choice(["X", "Y"]), help="Label all frames at once.")
@click.option("--size", type=SIZE, help="Area-average frames to this size.")
@setting("--fps", 5.0, "Frames a second to keep of recordings.")
def import_(paths: tuple[Path, ...], **settings: Any) -> None:
    """Make sessions from screenshots and recordings that you already have.

    \b
    Example: cli import ~/Pictures/Screenshots --label Y
    Example: cli import "2026-11-22 18-20-01.mkv" --fps 2
    """
    from dataset.sessions.imports import import_files

    with progress("importing", "frame") as update:
        summary = import_files(list(paths), **settings, on_progress=update)
    for reason in summary.skipped:
        say(f"skipped: {reason}", error=True)
    for each in summary.sessions:
        say(each)


@main.command()
@setting("--source", LABEL.source, "The recordings.", FOLDER)
@click.option("--method", type=click.Choice(LEVELS), default=LABEL.method, help="What is clipped.")
@setting("--limit", LABEL.limit, "Level from which a pixel counts as clipped; white is 255.", LIMIT)
@setting("--y-fraction", LABEL.y_fraction, "Share of clipped pixels from which a frame is Y.")
@setting("--x-fraction", LABEL.x_fraction, "Share of clipped pixels up to which a frame is X.")
@setting(
    "--y-blob", LABEL.y_blob, "Share of the largest clipped area that a Y frame needs as well."
)
@click.option("--light-x", default="", help="Frames whose light contains this text are X.")
@click.option("--light-y", default="", help="Frames whose light contains this text are Y.")
@click.option("--scheduler", default="", help="Address of a dask scheduler whose workers measure.")
@click.option("--calibrate", is_flag=True, help="Propose the shares for X and Y, with a plot.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def label(calibrate: bool, as_json: bool, **settings: Any) -> None:
    """Sort frames into X (not over-exposed) and Y (over-exposed); what is between stays unsure.

    \b
    Example: cli label --y-fraction 0.1
    """
    from dataset.labelling.calibrate import calibrate_captures
    from dataset.labelling.labels import label_captures

    work = calibrate_captures if calibrate else label_captures
    with progress("measuring", "frame") as update:
        summary = work(LabelOptions(**settings), update)
    echo_result(summary, as_json)


@main.command()
@setting("--source", REVIEW.source, "Sessions.", FOLDER)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: a free one]")
@click.option("--browser/--no-browser", default=True, help="Open the page; its address is printed.")
def review(**settings: Any) -> None:
    """Look through the frames in the browser and label by hand; Ctrl-C ends it.

    \b
    Example: cli review --source captures
    """
    from dataset.review.server import run_review

    echo(run_review(ReviewOptions(**settings), echo))


@main.command()
@setting("--source", SPLIT.source, "The recordings.", FOLDER)
@setting("--out", SPLIT.out, "The data set.", FOLDER)
@click.option(
    "--counts",
    type=COUNTS,
    default=SPLIT.counts,
    help="Frames of each domain and side.  [default: the paper's 3864,3520,1212,780]",
)
@click.option("--fit", is_flag=True, help="Keep the proportions at the size that the frames allow.")
@setting("--seed", SPLIT.seed, "Of the choice.")
@setting(
    "--link",
    SPLIT.link,
    "How frames get into the data set; copied where that cannot be.",
    click.Choice(["hard", "reflink", "symlink", "copy"]),
)
@setting(
    "--layout",
    SPLIT.layout,
    "Folders: trainA, trainB, testA, testB, or train/X, train/Y, test/X, test/Y.",
    click.Choice(["cyclegan", "imagefolder"]),
)
@setting(
    "--duplicates",
    SPLIT.duplicates,
    "What a domain has in another session, nearly alike.",
    click.Choice(["drop", "keep"]),
)
@setting(
    "--phash-bits", SPLIT.phash_bits, "Hashes up to so many bits apart are one; -1: off.", BITS
)
@setting("--guard guard_s", SPLIT.guard_s, "Least seconds between training and test.", SECONDS)
@setting("--burst-gap burst_gap_s", SPLIT.burst_gap_s, "A pause that ends a burst, s.", SECONDS)
@click.option("--dry-run", is_flag=True, help="Say what would be chosen, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def split(as_json: bool, dry_run: bool, **settings: Any) -> None:
    """Divide labelled frames into training and test, whole groups on one side.

    \b
    Example: cli split --fit
    """
    from dataset.splitting.split import plan_captures, split_captures

    options = SplitOptions(**settings)
    with progress("labelling", "frame") as update:
        if dry_run:
            summary = plan_captures(options, update).summary(copied=0)
        else:
            summary = split_captures(options, update)
    echo_result(summary, as_json)


@main.command()
@setting("--data", TRAIN.data, "The data set.", FOLDER)
@setting("--runs", TRAIN.runs, "Where runs go.", FOLDER)
@click.option("--run", default=TRAIN.run, help="Name of the run.  [default: the time]")
@setting(
    "--preset",
    "auto",
    "auto: the paper's settings on a GPU, small networks without one.",
    click.Choice(["auto", *PRESETS]),
)
@wish("--epochs", AT_LEAST_1, "Passes over the larger domain.")
@wish("--batch-size", AT_LEAST_1, "Frames of each domain in a step.")
@wish("--size", click.IntRange(32), "Side of the squares to train on, pixels.")
@wish("--load-size", AT_LEAST_0, "Shorter side of the frames; 0: as recorded.")
@wish("--steps", AT_LEAST_1, "Stop after so many steps.")
@wish("--minutes", SECONDS, "Plan the epochs so that training takes so long.")
@wish("--learning-rate", SECONDS, "Of Adam.")
@wish("--cycle-weight", SECONDS, "Lambda of the cycle loss.")
@wish("--identity-weight", SECONDS, "Weight of the identity loss; the paper has none.")
@wish("--gan", click.Choice(["log", "least-squares"]), "The adversarial loss; the paper: log.")
@wish("--minimax/--no-minimax", None, "Generators minimize log(1 - D), literally.")
@wish("--discriminator-rate", SECONDS, "The discriminators' rate as a share of the generators'.")
@wish("--discriminator-every", AT_LEAST_1, "Generator steps to one discriminator step.")
@wish("--ema", click.FloatRange(0, 1, max_open=True), "Keep a running average; its decay a step.")
@wish("--filters", AT_LEAST_1, "Channels of a generator's first layer.")
@wish("--blocks", AT_LEAST_0, "Residual blocks of a generator.")
@wish("--discriminator-filters", AT_LEAST_1, "Channels of a discriminator's first layer.")
@wish("--residual/--no-residual", None, "Correct the input, rather than draw it anew.")
@wish("--resize/--no-resize", None, "Upsample and convolve: no checkerboard.")
@wish("--device", str, "auto, cpu, cuda, cuda:1, mps.")
@wish("--precision", click.Choice(["auto", "fp32", "bf16"]), "auto is measured.")
@wish("--memory-format", click.Choice(["auto", "contiguous", "channels_last"]), "auto is measured.")
@wish("--compile", ON_OFF, "torch.compile; auto is measured where it can pay.")
@wish("--graphs", ON_OFF, "The step as one CUDA graph; auto is measured.")
@wish("--checkpoint-every", AT_LEAST_0, "Steps between checkpoints; 0: by time.")
@wish("--checkpoint-minutes", SECONDS, "Minutes between checkpoints; also after each epoch.")
@wish("--init", FOLDER, "Start from CycleGAN's network files in this folder.")
@wish("--seed", int, "Of weights, order, crops and pools.")
@click.option("--resume", is_flag=True, help="Go on with a run (the newest, or --run).")
@click.option("--dry-run", is_flag=True, help="Print settings, parameters and time, then stop.")
@click.option("--tune", is_flag=True, help="Measure every way to train on this machine, then stop.")
def train(
    preset: str, runs: Path, run: str, resume: bool, dry_run: bool, tune: bool, **settings: Any
) -> None:
    """Train the CycleGAN on a data set.

    \b
    Example: cli train --preset cpu --minutes 10
    """
    from model.training.train import describe_plan, train
    from model.training.train import tune as tune_here

    options = train_options(preset, runs, run, resume, settings)
    if tune or dry_run:
        echo(tune_here(options, echo) if tune else describe_plan(options))
        return
    with lasting():
        with progress("training", "step") as update:
            summary = train(options, lambda now: update(now.done, now.total, describe(now)), echo)
        if summary.interrupted:
            echo(
                f"Stopped in epoch {summary.epoch} after {summary.step} of its steps; all is "
                f"saved.\nGo on with: cli train --runs {runs} --run {summary.run.name} --resume"
            )
            sys.exit(INTERRUPTED)
        echo(f"{summary.steps} steps, {summary.seconds / 60:.1f} min: {summary.run}")


@main.command()
@click.argument("inputs", nargs=-1, type=FILE)
@click.option(
    "-o", "--out", type=FILE, help="File (one input) or folder.  [default: beside the input]"
)
@setting("--suffix", RESTORE.suffix, "After the name of an input.")
@setting("--ext", RESTORE.ext, "Format; auto: the input's.", EXTENSIONS)
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--skip-existing", is_flag=True, help="Go on: only what has no output yet.")
@click.option("--recursive", is_flag=True, help="Folders with all that lies below them.")
@click.option("--compare", is_flag=True, help="Also write input and output side by side.")
@click.option("--reference", type=FILE, help="Third in the comparison.")
@setting("--method", RESTORE.method, "The network, or what came before it.", METHODS)
@click.option("--threshold", type=float, help="Of cielab (L* 0-100) and ycbcr (Y' 0-255).")
@click.option("--strength", type=SHARE, help="Share of the correction.  [default: as needed]")
@setting("--detail", RESTORE.detail, "Of pictures larger than in training.", DETAIL)
@setting("--runs", RESTORE.runs, "Where runs are.", FOLDER)
@click.option("--run", default=RESTORE.run, help="A run, or a file of weights.  [default: newest]")
@click.option("--onnx", type=FILE, help="Run this file of `cli export` by onnxruntime.")
@setting("--device", RESTORE.device, "auto, cpu, cuda, mps.")
@click.option("--serve", is_flag=True, help="Open a page to drop pictures on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: a free one]")
@click.option("--browser/--no-browser", default=True, help="Open the page; its address is printed.")
def restore(
    inputs: tuple[Path, ...], serve: bool, port: int, browser: bool, **settings: Any
) -> None:
    """Restore over-exposed pictures and videos: image.png becomes image_restored.png.

    INPUTS are files, folders and patterns. Formats are PNG, JPEG, WebP, TIFF and BMP, and videos
    as MP4, MKV, MOV, AVI and WebM; depth, transparency, profile, metadata and sound are kept.

    \b
    Example: cli restore image.png
    Example: cli restore screenshots -o restored --compare
    Example: cli restore --serve
    """
    options = RestoreOptions(**settings)
    if serve:
        if inputs:
            raise UserError("--serve takes pictures on its page. Leave the file names out.")
        serve_page(options, port, browser)
        return
    from model.restoring.restore import restore_files

    done = failed = 0
    try:
        with progress("restoring", "file", leave=False) as update:
            for outcome in restore_files(inputs, options, update):
                done, failed = done + 1, failed + bool(outcome.fault)
                say(f"Error: {outcome}" if outcome.fault else str(outcome), bool(outcome.fault))
    except KeyboardInterrupt:
        raise UserError(
            f"Stopped: {done - failed} restored, none of them half. Go on with the same command "
            "and --skip-existing.",
            INTERRUPTED,
        ) from None
    if not done:
        echo("Nothing to do: every result is there already.")
    if failed:
        sys.exit(1)


def serve_page(options: RestoreOptions, port: int, browser: bool) -> None:
    """The page of ``cli restore --serve``, until Ctrl-C."""
    from model.restoring.methods import open_method
    from model.restoring.page_server import serve_restorer

    def ready(address: str) -> None:
        echo(f"{address}\nDrop pictures there; Ctrl-C ends it.")

    done = serve_restorer(open_method(options), port, ready, browser=browser)
    echo(f"{done} pictures restored")


@main.command()
@setting("--data", EVALUATE.data, "The data set.", FOLDER)
@click.option(
    "--pairs", type=FILE, help="Columns over_exposed,reference.  [default: DATA/pairs.csv]"
)
@click.option("--over-exposed", type=FOLDER, help="Pictures without references, of domain Y.")
@click.option("--well-exposed", type=FOLDER, help="Pictures to be left as they are, of domain X.")
@setting("--methods", ",".join(EVALUATE.methods), "What is compared; the first is judged.")
@setting("--oracles/--no-oracles", EVALUATE.oracles, "Best factor and gamma, reference in hand.")
@setting("--frames", EVALUATE.frames, "At most so many, evenly spread; 0: all.", AT_LEAST_0)
@click.option("--inception-weights", type=FILE, help="For KID.  [default: downloaded once]")
@click.option("--out", type=FOLDER, help="Folder for a page with pictures, JSON and CSV.")
@setting("--swept", EVALUATE.swept, "Pairs for the page's plot of thresholds.", AT_LEAST_0)
@click.option("--strength", type=SHARE, help="Share of the correction.  [default: as needed]")
@setting("--detail", EVALUATE.detail, "Of pictures larger than in training.", DETAIL)
@setting("--runs", EVALUATE.runs, "Where runs are.", FOLDER)
@click.option("--run", default=EVALUATE.run, help="A run, or a file of weights.  [default: newest]")
@setting("--device", EVALUATE.device, "auto, cpu, cuda, mps.")
@click.option("--json", "as_json", is_flag=True, help="Print the measures as JSON.")
def evaluate(as_json: bool, methods: str, **settings: Any) -> None:
    """Measure restored pictures, beside what came before, with references or without.

    \b
    Example: cli evaluate --out verdict
    """
    from model.evaluation.evaluate import evaluate_run

    names = tuple(name.strip() for name in methods.split(",") if name.strip())
    with progress("evaluating", "picture") as update:
        found = evaluate_run(EvaluateOptions(methods=names, **settings), update)
    if as_json:
        echo_result(found.summary(), as_json)
    else:
        echo(str(found))


@main.command()
@setting("--runs", RESTORE.runs, "Where runs are.", FOLDER)
@click.option("--run", default="", help="Name of the run.  [default: the newest]")
@click.option("-o", "--out", type=FILE, help="The file.  [default: <run>_F.safetensors]")
@setting("--network", "F", "F restores, G adds over-exposure.", click.Choice(["F", "G"]))
def export(runs: Path, run: str, out: Path | None, network: str) -> None:
    """Write a trained network as one file: .safetensors, or .onnx for restoring without torch.

    \b
    Example: cli export -o restorer.safetensors
    """
    from model.checkpoint import newest_run
    from model.restoring.export import save_release

    say(save_release(newest_run(runs, run), out, network))


@main.command()
@setting("--data", TRAIN.data, "The data set that the run was trained on.", FOLDER)
@setting("--runs", TRAIN.runs, "Where runs are.", FOLDER)
@click.option("--run", default="", help="Name of the run.  [default: the newest]")
@click.option("--out", type=FOLDER, help="Where they go.  [default: figures/ in the run]")
@setting("--device", RESTORE.device, "auto, cpu, cuda, mps.")
def figures(**settings: Any) -> None:
    """Draw the paper's Figures 1 to 3 and Table 1 of a run, and the curves of its training.

    \b
    Example: cli figures
    """
    from model.figures.figures import make_figures

    with progress("drawing", "figure") as update:
        summary = make_figures(**settings, on_progress=update)
    echo(str(summary))


@main.command()
@click.option("--size", type=SIZE, default=GAME.size, help="Window size.  [default: 512x512]")
@setting("--seed", GAME.seed, "Of the whole world.")
@click.option("--autopilot", is_flag=True, help="Fly through viewpoints and light by itself.")
@setting(
    "--hold hold_s",
    GAME.hold_s,
    "Autopilot: seconds that each picture stays.",
    click.FloatRange(0, min_open=True),
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
@setting("--minutes", 12.0, "How long it may take; longer restores better.", click.FloatRange(1))
@setting("--out", Path("demo"), "Folder for all of it; a demo of before is replaced.", FOLDER)
@setting("--seed", STAGE.seed, "Of game and training.")
def demo(minutes: float, out: Path, seed: int) -> None:
    """The whole way in one command: game, recording, labels, split, training, restored pictures.

    \b
    Example: cli demo --minutes 12
    """
    from model.evaluation.demo_folder import hold_demo

    with lasting(), hold_demo(out) as finished:
        make_demo(minutes, out, seed)
        finished()
        echo(f"open {out / 'index.html'}")


def make_demo(minutes: float, out: Path, seed: int) -> None:
    """All steps of a demo, each of which takes what the one before has written."""
    from capture.game.record import record_game
    from dataset.labelling.labels import label_captures
    from dataset.splitting.split import split_captures
    from model.evaluation.demo_page import Story, write_showcase
    from model.training.train import train

    begin = time.monotonic()
    with progress("recording", "frame") as update:
        stage = replace(STAGE, out=out / "captures", seed=seed, minutes=minutes / 4)
        recorded = record_game(stage, update)
    with progress("labelling", "frame") as update:
        labels = label_captures(LabelOptions(source=stage.out), update)
    divided = split_captures(SplitOptions(source=stage.out, out=out / "data", fit=True, seed=seed))
    echo(f"{recorded} frames recorded; {labels}\n{divided}")
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
        trained = train(settings, lambda now: update(now.done, now.total, describe(now)), echo)
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
    echo_result({key: value for key, value in result.items() if key != "methods"}, as_json=False)


def train_options(
    preset: str, runs: Path, run: str, resume: bool, settings: dict[str, Any]
) -> TrainOptions:
    """The preset with what was asked to be different; a resumed run keeps its own settings."""
    asked = {key: value for key, value in settings.items() if value is not None}
    if resume:
        from model.training.resuming import resumed_options

        allowed = {"data", "epochs", "steps", "device", "checkpoint_every", "checkpoint_minutes"}
        explicit = {key for key in asked if given(key)}
        if explicit - allowed:
            names = ", ".join(sorted("--" + key.replace("_", "-") for key in explicit - allowed))
            raise UserError(f"A resumed run keeps its settings; leave out {names}.")
        return resumed_options(runs, run, {key: asked[key] for key in explicit})
    if preset == "auto":
        from model.devices import pick_device

        preset = "cpu" if pick_device(settings["device"] or "auto").type == "cpu" else "paper"
        echo(f"preset {preset} (choose with --preset)")
    options = PRESETS[preset]()
    shape = {NETWORK_WISHES[key]: asked.pop(key) for key in NETWORK_WISHES.keys() & asked.keys()}
    network = replace(options.network, **shape)
    return replace(options, runs=runs, run=run, network=network, **asked)


def given(name: str) -> bool:
    """Whether the user wrote this option, rather than its default standing in."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE


def describe_status(status: dict[str, Any]) -> str:
    """A recorder's status as one line, and where it records to."""
    from capture.status import Status, format_status

    if "session" not in status:
        return str(status["state"])
    return f"{format_status(Status(**status))}\n{status['session']}"


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
        echo(to_json(values))
    elif isinstance(result, dict):
        echo("\n".join(f"{key}: {value}" for key, value in values.items()))
    else:
        echo(str(result))


if __name__ == "__main__":
    main()

"""The command line: parse, call one function, echo one result. Nothing heavy loads at import."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click

from capture.game.options import GameOptions, ShotOptions
from capture.options import GB, CaptureOptions, ShortcutOptions, StageOptions, SweepOptions
from dataset import own_window
from dataset.command_options import FILE, FOLDER, options_of
from dataset.errors import UserError
from dataset.files import is_held
from dataset.gate import plain
from dataset.options import ExposeOptions, LabelOptions, ReviewOptions, SplitOptions
from dataset.own_program import how_to_install, version
from dataset.stopping import interrupt_at_break
from dataset.terminal import (
    INTERRUPTED,
    OutputGone,
    echo,
    guarded_output,
    lasting,
    progress,
    say,
    status_line,
    to_json,
)
from model.options import (
    PRESETS,
    EvaluateOptions,
    NetworkOptions,
    RestoreOptions,
    TrainOptions,
    automatic_preset,
)

OUT = CaptureOptions().out
CONTROLS = {  # commands for a running recorder, without an argument
    "status": "Show what the running recorder is doing.",
    "start": "Record from now on.",
    "pause": "Pause until started again.",
    "toggle": "Start, pause, resume.",
    "snap": "Take one frame now.",
    "undo": "Take back the last label, also from its frames.",
    "light-step": "Note that the light was moved one step.",
    "stop": "End the session.",
}
EXTRAS = {  # packages that not everybody needs -> the extra of setup.cfg that brings them
    **dict.fromkeys(("tensorboard", "torch", "torchvision"), "train"),
    **dict.fromkeys(("direct", "panda3d"), "game"),
    **dict.fromkeys(("imagecodecs", "OpenEXR"), "hdr"),
}


class Commands(click.Group):
    """Shows a ``UserError`` as one message with its exit code; all else keeps its traceback."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Any:
        interrupt_at_break()
        with guarded_output(), own_window.kept_open(args is None and not for_a_recorder(typed())):
            try:
                if args is None:
                    args = started_with(typed())
                # On Windows, click would take brackets in names and titles for patterns.
                return super().main(args, *more, windows_expand_args=False, **settings)
            except OutputGone as error:
                echo(f"Error: Cannot write the output: {error.strerror}.", error=True)
                sys.exit(1)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            raise Shown(error) from error
        except PermissionError as error:
            if not is_held(error):
                raise
            raise Shown(UserError(f"Cannot go on: {error.strerror}.", 1)) from error
        except ModuleNotFoundError as error:
            extra = EXTRAS.get((error.name or "").split(".")[0])
            if extra is None:
                raise
            if context.invoked_subcommand == "demo":  # it plays and it trains
                extra = "all"
            raise Shown(UserError(needs_extra(error.name, extra))) from error
        except KeyboardInterrupt:
            stopped = UserError("Stopped. Run the same command again.", INTERRUPTED)
            raise Shown(stopped) from None
        except click.UsageError as error:
            raise click.UsageError(plain(error.format_message()), error.ctx) from None


def typed() -> list[str]:
    """What was typed, with ``~`` for the user's folder where shells leave that to programs."""
    words = sys.argv[1:]
    return [os.path.expanduser(each) for each in words] if os.name == "nt" else words


def for_a_recorder(words: Sequence[str]) -> bool:
    """Whether they command a running recorder, as a shortcut's key does: nobody reads an answer."""
    return len(words) > 1 and words[0] == "capture" and words[1] in {*CONTROLS, "label", "light"}


def record_words() -> list[str]:
    """What `unclip-record` of the bundle stands for."""
    return ["capture", "--hotkey", "--out", str(own_window.recordings())]


def start_menu() -> dict[str, list[str]]:
    """What to offer where nothing was typed."""
    return {
        "Record a game: F9 starts and pauses, Ctrl+F12 ends": record_words(),
        "Restore pictures, on a page in the browser": ["restore", "--serve"],
        "Look for what would spoil a recording": ["doctor", *record_words()[2:]],
    }


def started_with(words: list[str]) -> list[str]:
    """What a start means: without a shell, nothing asks what to do, and files are restored."""
    if not own_window.is_own():
        return words
    if not words:
        return own_window.choose([*start_menu().items()])
    dropped = all(os.path.isabs(each) and os.path.exists(each) for each in words)
    return ["restore", *words] if dropped else words


def needs_extra(package: str | None, extra: str) -> str:
    """What to install where a package is missing that not everybody needs."""
    return f"This needs {package}. {how_to_install(extra)}"


class Shown(click.ClickException):
    """A ``UserError`` as click shows it."""

    def __init__(self, error: UserError) -> None:
        super().__init__(plain(error))
        self.exit_code = error.exit_code  # type: ignore[misc]


BEFORE_PRESETS = ("data", "runs", "run", "resume")  # settings of `cli train` that no preset has


def show_version(context: click.Context) -> None:
    echo(f"unclip {version()}")
    context.exit()


NEWEST = click.option("--run", default="", help="Name of the run.  [default: the newest]")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, asked: show_version(context) if asked else None,
    help="Show the version and exit.",
)
def main() -> None:
    """Record a game whose light you can move, make a data set of it, train, restore.

    \b
    cli capture --hotkey     record frames (F9 starts and pauses)
    cli split                sort them into domains X and Y, training and test
    cli train                train the CycleGAN
    cli restore image.png    give a blown-out picture its highlights back
    """


FLOOR = click.option(
    "--disk-floor",
    "disk_floor_gb",
    type=click.FloatRange(0),
    default=CaptureOptions().disk_floor_bytes / GB,
    show_default=True,
    help="Stop before less than this many GB are free.",
)


def source_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what is recorded, and where to."""
    return options_of(CaptureOptions, *SOURCE)(FLOOR(command))


KEYS = [each.name for each in fields(CaptureOptions) if each.name.startswith("key_")]
SOURCE = ("out", "session", "monitor", "region", "window", "size", "hud_mask", "backend")


@main.group(invoke_without_command=True)
@source_options
@options_of(CaptureOptions, without=SOURCE)
@click.option("--list-keys", is_flag=True, help="Print the keys and stop.")
@click.option(
    "--forget-consent",
    is_flag=True,
    help="Forget what you allowed in a Wayland desktop's dialog, and stop: it asks again.",
)
@click.pass_context
def capture(context: click.Context, list_keys: bool, forget_consent: bool, **settings: Any) -> None:
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
    if forget_consent:
        from capture.consent import forget_all

        echo(forget_all())
        return
    options = capture_options(settings)
    if list_keys:
        from capture.control.keys import keys_of

        echo("\n".join(f"{key:16} {command}" for command, key in keys_of(options).items()))
    elif options.background:
        from capture.control.daemon import start_in_background

        echo(describe_status(start_in_background(options, show_warnings(options))))
    else:
        from capture.control.daemon import run_capture
        from capture.status import format_status

        warnings = show_warnings(options)
        with status_line() as show, progress("making PNG", "frame") as update:
            summary = run_capture(
                options, lambda status: show(format_status(status)), update, warnings
            )
        echo(summary)


def show_warnings(options: CaptureOptions) -> list[str]:
    """Show what would spoil the recording; the same as lines for its log."""
    from capture.doctor.doctor import warnings_at_start
    from capture.doctor.finding import format_findings

    found = warnings_at_start(options)
    for each in found:
        echo(format_findings([each]), error=True)
    return [str(each) for each in found]


def capture_options(settings: dict[str, Any]) -> CaptureOptions:
    """Settings of a recording as the command line gives them."""
    floor = round(settings.pop("disk_floor_gb") * GB)
    return CaptureOptions(**settings, disk_floor_bytes=floor)


def control_command(name: str, help_text: str, value: click.Argument | None = None) -> None:
    """Add a command for the running recorder."""

    def tell_recorder(
        out: Path | None, value: str | None = None, as_json: bool = False, notify: bool = False
    ) -> None:
        from capture.control.channel import find_recorder, send_command
        from capture.control.key_answers import shown_answer

        with shown_answer(notify) as show:
            answer = send_command(find_recorder(out, OUT), name, value)
            show(answer)
        echo(to_json(answer["status"], None) if as_json else describe_status(answer["status"]))

    options: list[click.Parameter] = [
        click.Option(["--out"], type=FOLDER, help="The recorder's folder, if several are running."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the status as JSON."),
        click.Option(["--notify"], is_flag=True, help="Answer by a notification, as a key does."),
    ]
    text = f"{help_text}\n\n\b\nExample: cli capture {name}{' X' if value else ''}"
    capture.add_command(
        click.Command(
            name, callback=tell_recorder, params=[*options, *([value] if value else [])], help=text
        )
    )


for _name, _help in CONTROLS.items():
    control_command(_name, _help)
control_command(
    "label",
    "Label the frames from now on X or Y; the same label again clears it.",
    click.Argument(["value"], type=click.Choice(["X", "Y"])),
)
control_command(
    "light",
    "Describe the light of the frames from now on.",
    click.Argument(["value"], metavar="TEXT"),
)


@capture.command()
@options_of(ShortcutOptions)
@options_of(CaptureOptions, "out", *KEYS)
def shortcuts(**settings: Any) -> None:
    """Show, or set, keys of the desktop that run the control commands, also under Wayland.

    \b
    Example: cli capture shortcuts --desktop gnome --set
    """
    from capture.control.shortcuts import shortcuts as asked

    names = [each.name for each in fields(ShortcutOptions)]
    options = ShortcutOptions(**{name: settings.pop(name) for name in names})
    echo(asked(options, CaptureOptions(**settings)))


@capture.command()
@options_of(SweepOptions)
@source_options
def sweep(**settings: Any) -> None:
    """Record viewpoints under many lights, unattended; any key you press ends it.

    \b
    Example: cli capture sweep --key "]" --steps 8 --viewpoint-key n --viewpoints 20
    """
    from capture.sweep.sweep import run_sweep

    names = {field.name for field in fields(SweepOptions)}
    how = SweepOptions(**{name: settings.pop(name) for name in names})
    recording = capture_options(settings)
    warnings = show_warnings(recording)
    with progress("sweeping", "frame") as update:
        echo(run_sweep(recording, how, update, warnings))


@capture.command()
@click.argument("session", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def repair(session: Path, as_json: bool) -> None:
    """Repair a session that was cut off and convert its frames to PNG; says what it found.

    \b
    Example: cli capture repair captures/20261122-182001
    """
    from capture.recording.repair import repair_session

    with progress("repairing", "frame") as update:
        echo_result(repair_session(session, CaptureOptions().disk_floor_bytes, update), as_json)


@main.command()
@source_options
@options_of(CaptureOptions, "fps")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool, **settings: Any) -> None:
    """Look for what would spoil a recording, and say what to do about it.

    \b
    Example: cli doctor --window "Flight Simulator"
    """
    from capture.doctor.doctor import examine
    from capture.doctor.finding import format_findings

    findings = examine(capture_options(settings))
    if as_json:
        echo(to_json([asdict(each) for each in findings]))
    else:
        echo(format_findings(findings))
    if any(each.level == "fault" for each in findings):
        sys.exit(1)


@main.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@options_of(CaptureOptions, "out", "size")
@click.option("--label", type=click.Choice(["X", "Y"]), help="Label of all frames.")
@click.option("--session", help="Name of the new session.  [default: the time, or a video's name]")
@click.option("--fps", default=5.0, show_default=True, help="Frames per second to keep of a video.")
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
    for note in summary.notes:
        say(f"note: {note}", error=True)
    for session in summary.sessions:
        say(session)


@main.command()
@click.argument("shots", nargs=-1, required=True, type=click.Path(path_type=Path))
@options_of(ExposeOptions)
@FLOOR
def expose(shots: tuple[Path, ...], disk_floor_gb: float, **settings: Any) -> None:
    """Make a session from HDR shots: each under several exposures, from well exposed to clipped.

    SHOTS are files, folders and patterns. Each shot is a viewpoint, and its exposures are true
    pairs, as a light sweep records them.

    \b
    Example: cli expose ~/Videos/Captures
    Example: cli expose shots/*.exr --steps 8 --from -2 --to 3
    """
    from dataset.sessions.exposed import Stopped, expose_files

    options = ExposeOptions(**settings, disk_floor_bytes=round(disk_floor_gb * GB))
    try:
        with progress("exposing", "shot") as update:
            made = expose_files(list(shots), options, update)
    except Stopped as error:
        raise UserError(
            f"Stopped: {error}. Go on with the same command and --resume.", INTERRUPTED
        ) from None
    for reason in made.skipped:
        say(f"skipped: {reason}", error=True)
    for note in made.notes:
        say(f"note: {note}", error=True)
    echo(made)


@main.command()
@options_of(LabelOptions)
@click.option("--calibrate", is_flag=True, help="Propose the shares for X and Y, with a plot.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def label(calibrate: bool, as_json: bool, **settings: Any) -> None:
    """Sort frames into X (not over-exposed) and Y (over-exposed); the rest stays unsure.

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
@options_of(ReviewOptions)
def review(**settings: Any) -> None:
    """Look through the frames in the browser and label by hand; Ctrl-C ends it.

    \b
    Example: cli review --source captures
    """
    from dataset.review.server import run_review

    echo(run_review(ReviewOptions(**settings), echo))


@main.command()
@options_of(SplitOptions)
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
@options_of(TrainOptions, *BEFORE_PRESETS)
@click.option(
    "--preset",
    type=click.Choice(["auto", *PRESETS]),
    default="auto",
    show_default=True,
    help="auto: the paper's settings on a GPU, else physical for half an hour. physical: no "
    "discriminators; F inverts the way in which light clips.",
)
@options_of(TrainOptions, without=BEFORE_PRESETS, changing=PRESETS)
@options_of(NetworkOptions, changing=PRESETS)
@click.option("--dry-run", is_flag=True, help="Print settings, parameters and time, then stop.")
@click.option("--tune", is_flag=True, help="Measure every way to train on this machine, then stop.")
def train(
    preset: str, runs: Path, run: str, resume: bool, dry_run: bool, tune: bool, **settings: Any
) -> None:
    """Train a network that restores, on a data set: the paper's CycleGAN, or that of --preset.

    \b
    Example: cli train --minutes 10
    """
    from model.training.train import describe_plan, train
    from model.training.train import tune as tune_here

    options, chosen = train_options(preset, runs, run, resume, settings)

    def tell(line: str) -> None:
        nonlocal chosen
        for each in filter(None, (chosen, line)):  # the preset once there is something to train
            echo(each)
        chosen = ""

    if tune or dry_run:
        tell(tune_here(options, tell) if tune else describe_plan(options))
        return
    with lasting():
        with progress("training", "step") as update:
            summary = train(options, lambda now: update(now.done, now.total, str(now)), tell)
        if summary.interrupted:
            echo(
                f"Stopped in epoch {summary.epoch} after {summary.step} of its steps; all is "
                f"saved.\nGo on with: cli train --runs {runs} --run {summary.run.name} --resume"
            )
            sys.exit(INTERRUPTED)
        if not summary.finished:
            echo(f"{summary.steps} steps, {summary.seconds / 60:.1f} min: {summary.run}")


@main.command()
@click.argument("inputs", nargs=-1, type=FILE)
@options_of(RestoreOptions)
@click.option("--serve", is_flag=True, help="Open a page to drop pictures on.")
@options_of(ReviewOptions, "port", "browser")
def restore(
    inputs: tuple[Path, ...], serve: bool, port: int, browser: bool, **settings: Any
) -> None:
    """Restore over-exposed pictures and videos: image.png becomes image_restored.png.

    INPUTS are files, folders and patterns: PNG, JPEG, WebP, TIFF, BMP, HEIC, AVIF, JPEG XL, and
    videos as MP4, MKV, MOV, AVI and WebM; depth, transparency, profile, metadata and sound are
    kept. HDR pictures such as JPEG XR become SDR ones by their own light, without a network:
    --exposure, --tone.

    \b
    Example: cli restore image.png
    Example: cli restore screenshots shot.jxr -o restored --compare
    Example: cli restore --serve
    """
    options = RestoreOptions(**settings)
    if serve:
        if inputs:
            raise UserError("--serve takes pictures on its page. Leave the file names out.")
        serve_page(options, port, browser)
        return
    from model.restoring.inputs import told_left_out
    from model.restoring.restore import naming_of, restore_files
    from model.restoring.which_network import told_of

    done, failed, apart, told = 0, 0, 0, told_of(options)

    def on_progress(files: float, total: int, name: str) -> None:
        nonlocal told
        if told and files > apart:  # something is being restored by the network
            say(told, error=True)
            told = ""
        update(files, total, name)

    try:
        with progress("restoring", "file", leave=False) as update:
            for outcome in restore_files(inputs, options, on_progress):
                done, failed = done + 1, failed + bool(outcome.fault)
                apart += bool(outcome.fault) or outcome.by_light
                say(f"Error: {outcome}" if outcome.fault else str(outcome), bool(outcome.fault))
    except KeyboardInterrupt:
        raise UserError(
            f"Stopped: {done - failed} restored, none of them half. Go on with the same command "
            "and --resume.",
            INTERRUPTED,
        ) from None
    if others := told_left_out(inputs, naming_of(options), options.recursive):
        echo(others, error=True)
    if not done:
        echo("Nothing to do: every result is there already.")
    if failed:
        sys.exit(1)


def serve_page(options: RestoreOptions, port: int, browser: bool) -> None:
    """The page of ``cli restore --serve``, until Ctrl-C."""
    from model.restoring.methods import open_method
    from model.restoring.page_server import serve_restorer
    from model.restoring.ways import ways_beside
    from model.restoring.which_network import told_of

    def ready(address: str) -> None:
        if told := told_of(options):
            echo(told, error=True)
        echo(f"{address}\nDrop pictures there; Ctrl-C ends it.")

    done = serve_restorer(
        lambda told: open_method(options, told),
        port,
        ready,
        browser=browser,
        ways=ways_beside(options),
        options=options,
    )
    echo(f"{done} pictures restored")


@main.command()
@options_of(EvaluateOptions, without=("methods",))
@click.option(
    "--methods",
    default=",".join(EvaluateOptions().methods),
    show_default=True,
    help="Methods to compare; the first is judged.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the measures as JSON.")
def evaluate(as_json: bool, methods: str, **settings: Any) -> None:
    """Measure restored pictures next to earlier methods, with or without references.

    With --video, measure how much a video flickers.

    \b
    Example: cli evaluate --out verdict
    Example: cli evaluate --video flight.mp4
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
@options_of(TrainOptions, "runs")
@NEWEST
@options_of(RestoreOptions, "epoch")
@click.option("-o", "--out", type=FILE, help="File to write.  [default: <run>_F.safetensors]")
@click.option(
    "--network",
    type=click.Choice(["F", "G"]),
    default="F",
    show_default=True,
    help="F restores, G adds over-exposure.",
)
def export(runs: Path, run: str, epoch: str, out: Path | None, network: str) -> None:
    """Write a trained network as one file: .safetensors, or .onnx for restoring without torch.

    \b
    Example: cli export -o restorer.safetensors
    """
    from model.restoring.export import save_release
    from model.runs import newest_run

    say(save_release(newest_run(runs, run), out, network, epoch))


@main.command()
@options_of(TrainOptions, "data", "runs", "device")
@NEWEST
@options_of(RestoreOptions, "epoch")
@click.option("--out", type=FOLDER, help="Folder to write to.  [default: figures/ in the run]")
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
@options_of(GameOptions)
@options_of(ShotOptions)
def game(hdr: str | None, out: Path, viewpoints: int, **settings: Any) -> None:
    """Play the embedded game: an aircraft, and a sun that you can move.

    \b
    Example: cli game --hud
    Example: cli game --hdr exr -o shots
    """
    shooting, playing = ("out", "viewpoints"), ("autopilot", "hold_s", "hud", "duration_s")
    way = "HDR shots: add --hdr exr or --hdr jxr" if hdr is None else "playing: leave it out"
    if unused := [each for each in (shooting if hdr is None else playing) if given(each)]:
        raise UserError(f"--{unused[0].removesuffix('_s')} is for {way}.")
    if hdr is not None:
        from capture.game.hdr_shots import save_shots

        shots = ShotOptions(hdr, out, viewpoints)
        with progress("rendering", "shot") as update:
            files = save_shots(GameOptions(**settings), shots, update)
        echo(f"{len(files)} HDR shots: {out}")
        return
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
    help="Folder to write to; an earlier demo is replaced.",
)
@click.option("--seed", default=0, show_default=True, help="Random seed of game and training.")
def demo(minutes: float, out: Path, seed: int) -> None:
    """Everything in one command: game, recording, labels, split, two trainings, both compared.

    \b
    Example: cli demo --minutes 12
    """
    from capture.game.record import record_game
    from model.evaluation.demo import make_demo

    def record(folder: Path, minutes: float, update: Callable[[int, int], None]) -> int:
        return record_game(StageOptions(out=folder, seed=seed, minutes=minutes), update)

    with lasting():
        echo_result(make_demo(out, minutes, seed, record), as_json=False)
        echo(f"open {out / 'index.html'}")


def train_options(
    preset: str, runs: Path, run: str, resume: bool, settings: dict[str, Any]
) -> tuple[TrainOptions, str]:
    """The preset with what was asked to be different, and a line on one that was chosen.

    A resumed run keeps its own settings.
    """
    chosen = ""
    asked = {key: value for key, value in settings.items() if value is not None}
    if resume:
        from model.training.run_folder import resumed_options

        allowed = {"data", "pairs", "epochs", "steps", "device"}
        allowed |= {"checkpoint_every", "checkpoint_minutes"}
        explicit = {key for key in asked if given(key)}
        if explicit - allowed:
            names = ", ".join(sorted("--" + key.replace("_", "-") for key in explicit - allowed))
            raise UserError(f"A resumed run keeps its settings; leave out {names}.")
        return resumed_options(runs, run, {key: asked[key] for key in explicit}), chosen
    if preset == "auto":
        from model.devices import pick_device

        on_gpu = pick_device(settings["device"] or "auto").type != "cpu"
        preset, options = automatic_preset(on_gpu, asked)
        length = f" for {options.minutes:g} minutes" if options.minutes else ""
        chosen = f"preset {preset}{length} (choose with --preset{' and --minutes' * bool(length)})"
    else:
        options = PRESETS[preset]()
    shape = {each.name for each in fields(NetworkOptions)} & asked.keys()
    network = replace(options.network, **{name: asked.pop(name) for name in shape})
    return replace(options, runs=runs, run=run, network=network, **asked), chosen


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

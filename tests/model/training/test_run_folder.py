"""A run belongs to one process, goes on with its own frames, and outlasts its terminal."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import ROOT
from helpers.processes import Process
from helpers.tiny_runs import SMALL, make_data, tiny_options
from helpers.waiting import SOON_S, soon

from dataset.errors import UserError
from model.runs import NOTE_FILE, STATE_FILE
from model.training.run_folder import FINGERPRINT_FILE, RUN_LOCK, open_run, resumed_options
from model.training.train import StopRequest, train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def begun(measured_once: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set and a run that was stopped in its second epoch; tests copy it."""
    root = tmp_path_factory.mktemp("begun")
    make_data(root)
    train(tiny_options(root, steps=4, samples=1))
    return root


@pytest.fixture
def root(begun: Path, tmp_path: Path) -> Path:
    """A copy of it elsewhere, as on another machine: with other times of its files."""
    shutil.copytree(begun, tmp_path / "copy", copy_function=shutil.copyfile)
    return tmp_path / "copy"


def resume(root: Path, said: list[str] | None = None) -> int:
    options = resumed_options(root / "runs", "tiny", {"data": root / "data"})
    return train(options, on_message=(said if said is not None else []).append).steps


def everything(folder: Path) -> dict[str, bytes]:
    files = (each for each in folder.rglob("*") if each.is_file())
    return {str(each.relative_to(folder)): each.read_bytes() for each in files}


def change(root: Path, **values: Any) -> None:
    """Change what ``options.json`` says; None takes it away."""
    path = root / "runs" / "tiny" / "options.json"
    facts = json.loads(path.read_text(encoding="utf-8")) | values
    kept = {key: value for key, value in facts.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def options_of(root: Path) -> dict[str, Any]:
    values = json.loads((root / "runs/tiny/options.json").read_text(encoding="utf-8"))
    return dict(values["options"])


def test_a_copied_run_goes_on_with_copied_frames(root: Path) -> None:
    facts = json.loads((root / "runs/tiny/options.json").read_text(encoding="utf-8"))
    assert (facts["frames"]["X"], facts["frames"]["Y"]) == (6, 6)
    shutil.rmtree(root / "data" / ".cache")
    said: list[str] = []
    assert resume(root, said) == 6
    assert not any("differ" in line or "nothing tells" in line for line in said)


def data_in(root: Path) -> tuple[str, str]:
    options = json.loads((root / "runs/tiny/options.json").read_text("utf-8"))["options"]
    return options["data"], options["runs"]


def go_on(runs: Path, **changed: Any) -> list[str]:
    said: list[str] = []
    assert train(resumed_options(runs, "tiny", changed), on_message=said.append).steps == 6
    return said


@pytest.mark.parametrize("made", ["now", "relative"])
def test_a_run_goes_on_from_any_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    if made == "relative":  # as runs of earlier versions have it
        change(root, options=options_of(root) | {"data": "data", "runs": "runs"})
    else:
        places = {"data": str(root / "data"), "runs": str(root / "runs")}
        change(root, options=options_of(root) | places)
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "data" / "trainA").mkdir(parents=True)  # another data set
    monkeypatch.chdir(elsewhere)
    said = go_on(Path("..", "copy", "runs"))
    assert not any("the same as before" in line for line in said)
    assert data_in(root) == (str(root / "data"), str(root / "runs"))


def test_a_project_that_was_moved_goes_on_and_says_so(root: Path, tmp_path: Path) -> None:
    change(root, options=options_of(root) | {"data": "/old/data", "runs": "/old/runs"})
    (told,) = [line for line in go_on(root / "runs") if "the same as before" in line]
    assert told == (
        f"{root / 'runs/tiny'} goes on with the frames of {root / 'data'}: the same as before in "
        f"{Path('/old/data')}"
    )
    assert data_in(root) == (str(root / "data"), str(root / "runs"))


def test_a_data_set_that_was_moved_is_named_once(root: Path, tmp_path: Path) -> None:
    (root / "data").rename(tmp_path / "moved")
    for gone in ("Q:/data", f"{root}/data"):  # on Windows, another drive than the run's
        change(root, options=options_of(root) | {"data": gone, "runs": f"{root}/runs"})
        with pytest.raises(UserError, match=r"not there any more\. Name its new place with --data"):
            go_on(root / "runs")
    said = go_on(root / "runs", data=tmp_path / "moved")
    assert any(f"frames of {tmp_path / 'moved'}: the same" in line for line in said)
    more = train(resumed_options(root / "runs", "tiny", {"epochs": 3}), on_message=said.append)
    assert more.steps == 9
    assert sum("the same as before" in line for line in said) == 1


def test_what_somebody_wrote_into_the_settings_stays(root: Path) -> None:
    change(root, note="mine", options=options_of(root) | {"data": "data", "runs": "runs"})
    go_on(root / "runs")
    facts = json.loads((root / "runs/tiny/options.json").read_text("utf-8"))
    assert facts["note"] == "mine"
    assert facts["options"]["steps"] == 4  # as the run was begun


def test_a_finished_run_says_so_at_once_and_changes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on(root / "runs")
    gc.collect()  # Windows deletes no file whose frames this process still maps
    shutil.rmtree(root / "data")
    before = everything(root / "runs")
    monkeypatch.setattr("model.training.autotune.pick_config", None)  # nothing is measured
    run = root / "runs" / "tiny"
    told = f"{run} is finished: 2 epochs, 6 steps. --epochs N, with more than 2, goes on"
    assert go_on(root / "runs") == [told]
    assert everything(root / "runs") == before


def test_a_run_that_was_killed_before_its_networks_were_written_is_not_finished(
    root: Path,
) -> None:
    go_on(root / "runs")
    note = root / "runs/tiny/checkpoints" / NOTE_FILE
    note.write_text('{"steps": 3}')
    assert not any("is finished" in line for line in go_on(root / "runs"))
    assert json.loads(note.read_text()) == {"steps": 6}


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("fewer", "2 missing"),
        ("more", "1 added"),
        ("edited", "1 changed"),
        ("renamed", "1 added, 1 missing"),
        ("no list", "now 4 X and 6 Y"),
    ],
)
def test_a_run_does_not_go_on_with_other_frames(root: Path, fault: str, told: str) -> None:
    frames = root / "data" / "trainA"
    if fault in ("fewer", "no list"):
        (frames / "000.png").unlink()
        (frames / "003.png").unlink()
    elif fault == "more":
        shutil.copyfile(root / "data/testA/002.png", frames / "900.png")
    elif fault == "edited":
        shutil.copyfile(root / "data/testA/002.png", frames / "001.png")
    else:
        (frames / "001.png").rename(frames / "901.png")
    if fault == "no list":
        (root / "runs/tiny" / FINGERPRINT_FILE).unlink()
    before = everything(root / "runs")
    with pytest.raises(UserError, match=told) as caught:
        resume(root)
    assert caught.value.exit_code == 1
    assert "another --run" in str(caught.value)
    assert everything(root / "runs") == before


def test_a_run_of_an_older_version_goes_on_and_says_what_it_does_not_know(root: Path) -> None:
    change(root, frames=None)
    (root / "runs/tiny" / FINGERPRINT_FILE).unlink()
    said: list[str] = []
    assert resume(root, said) == 6
    assert any("nothing tells" in line for line in said)


def test_a_run_without_a_fingerprint_ends_where_its_steps_do_not_fit(root: Path) -> None:
    change(root, frames=None)
    for folder in ("trainA", "trainB"):
        for number in (1, 2, 3, 4, 5):
            (root / "data" / folder / f"{number:03d}.png").unlink()
    with pytest.raises(UserError, match="begun with others"):
        resume(root)


def test_another_torch_is_mentioned(root: Path) -> None:
    change(root, torch="2.0.1")
    said: list[str] = []
    resume(root, said)
    assert any("torch 2.0.1" in line and torch.__version__ in line for line in said)


def options_with(**values: Any) -> str:
    settings = {"data": "data", "runs": "runs", "network": {}} | values
    return json.dumps({"options": settings, "speed": {}})


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "null", "{" * 100_000, '{"options": ' + "[" * 100_000),
        *('{"options": null, "speed": {}}', '{"options": {}, "speed": null}', "\0"),
        '{"options": {}, "speed": {"bf16": "yes"}}',
        *(options_with(network={"generator_blocks": 10**9}), options_with(network={"wings": 2})),
        *(options_with(batch_size=0), options_with(size=10**12), options_with(epochs="many")),
        *(options_with(data=None), options_with(keep_epochs=7), options_with(gan="none")),
        options_with(seed=10**400),
    ],
)
def test_options_that_nobody_wrote_so_are_told(root: Path, text: str) -> None:
    (root / "runs/tiny/options.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"options\.json cannot be read"):
        resume(root)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
@pytest.mark.parametrize("name", ["options.json", "log.jsonl"])
def test_a_pipe_in_a_run_is_not_waited_for(root: Path, name: str) -> None:
    (root / "runs/tiny" / name).unlink()
    os.mkfifo(root / "runs/tiny" / name)
    with pytest.raises(UserError, match=name):
        resume(root)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("name", ["log.jsonl", "samples", "tensorboard", RUN_LOCK])
def test_a_run_writes_through_no_link(root: Path, name: str) -> None:
    path, victim = root / "runs/tiny" / name, root / "victim"
    path.rename(victim)
    path.symlink_to(victim)
    before = everything(victim) if victim.is_dir() else victim.read_bytes()
    with pytest.raises(UserError):
        resume(root)
    assert (everything(victim) if victim.is_dir() else victim.read_bytes()) == before


HOLDS = """
import sys
from pathlib import Path
from dataset.locks import hold_folder
with hold_folder(Path("runs", sys.argv[1]), sys.argv[2], "nobody else"):
    print(flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("run", ["tiny", "new"])
def test_a_run_that_another_process_trains_is_left_to_it(root: Path, run: str) -> None:
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLDS, run, RUN_LOCK]
    with Process(command, cwd=root, env=environment, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        before = everything(root)
        try:
            for again in {run == "tiny", False}:
                with pytest.raises(UserError, match="trained by another process") as caught:
                    train(tiny_options(root, run=run, resume=again))
                assert caught.value.exit_code == 1
            assert everything(root) == before
        finally:
            process.communicate(timeout=60)
    assert (root / "runs" / "new").exists() is False


def test_two_real_trainings_of_one_run_do_not_meet(tmp_path: Path) -> None:
    make_data(tmp_path)
    command = [sys.executable, str(ROOT / "cli.py"), *TRAINS]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run = tmp_path / "runs" / "long"
    with Process([*command, "--epochs", "5000"], cwd=tmp_path, **quiet) as first:
        try:
            soon(lambda: first.poll() is not None or (run / "checkpoints" / STATE_FILE).exists())
            for again in ([*command, "--epochs", "2"], [*command[:2], "train", "--resume"]):
                second = subprocess.run(
                    again, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
                )
                assert second.returncode == 1
                assert "is being trained by another process" in second.stderr
            assert first.poll() is None
        finally:
            first.send_signal(signal.SIGINT)
        assert first.wait(SOON_S) == 130
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert not list(run.rglob("*.part"))


def test_what_a_killed_training_was_writing_is_removed_by_the_next(root: Path) -> None:
    run = root / "runs" / "tiny"
    for folder in ("", "samples", "checkpoints"):
        (run / folder / ".something.png.99999999.part").write_bytes(b"half")
    (root / "data" / ".cache" / ".trainA-0123456789abcdef.frames.99999999.part").write_bytes(b"")
    for _ in range(2):  # the second time there is no step left
        resume(root)
        assert not list(run.rglob("*.part"))
        (run / "checkpoints" / ".something.pth.99999999.part").write_bytes(b"half")


def test_two_runs_without_a_name_get_two_folders(root: Path) -> None:
    options = tiny_options(root, run="")
    with open_run(options) as first, open_run(options) as second:
        assert first != second
    assert not first.exists()
    assert not second.exists()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="has no such signal")
def test_a_terminal_that_closes_is_a_wish_to_stop_however_often_it_says_so() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with StopRequest() as stop:
        assert not stop.wanted
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.wanted
    assert signal.getsignal(signal.SIGHUP) == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="has no such signal")
def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.wanted
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_same_signal_twice_interrupts() -> None:
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.wanted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


TRAINS = ["train", "--preset", "cpu", "--run", "long", "--batch-size", "1", *SMALL]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="has no such signal")
def test_a_closed_terminal_leaves_a_checkpoint_to_go_on_from(tmp_path: Path) -> None:
    make_data(tmp_path)
    command = [sys.executable, str(ROOT / "cli.py"), *TRAINS, "--epochs", "5000"]
    outer, inner = os.openpty()
    with Process(command, cwd=tmp_path, stdout=inner, stderr=inner, stdin=inner) as run:
        os.close(inner)
        log = tmp_path / "runs" / "long" / "log.jsonl"
        os.set_blocking(outer, False)

        def is_logged() -> bool:
            with suppress(OSError):  # there is nothing to read yet
                os.read(outer, 1 << 16)
            return run.poll() is not None or (log.exists() and log.read_bytes().count(b"\n") >= 4)

        soon(is_logged)
        os.close(outer)  # whatever it writes now fails
        run.send_signal(signal.SIGHUP)
        assert run.wait(SOON_S) == 130
    state = torch.load(log.parent / "checkpoints" / STATE_FILE, weights_only=True)["position"]
    assert state["done"] == (state["epoch"] - 1) * 6 + state["step"] >= 12


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no such device")
def test_training_goes_on_when_nobody_can_read_what_it_says(tmp_path: Path) -> None:
    make_data(tmp_path)
    command = [sys.executable, str(ROOT / "cli.py"), *TRAINS, "--steps", "3"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=full, timeout=240)
    assert done.returncode == 0
    assert (tmp_path / "runs/long/log.jsonl").read_bytes()

"""Training that is killed and resumed, beside the same training uninterrupted, to the bit.

Every training is a real ``cli train`` of small networks on the CPU. One goes through. Another is
killed outright (kill -9) at random moments, from its start to the middle of a save, and resumed
each time; when it is through and kills are left, one more is begun. The last gets SIGTERM, as on a
machine that is taken away, and is timed until its process has ended. Networks, averages,
optimizers, pools, position, sample grids and the log must be the same in all of them, except
times. Exit code 1 where they are not. The number of threads is the same for all, as others may
round otherwise. Needs a POSIX system.

Example: python benchmarks/model/resuming.py --kills 4
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from dataset.pictures.hashing import sha256
from dataset.pictures.images import Image, write_png
from model.runs import OPTIONS_FILE, STATE_FILE, STATE_FILES
from model.state_files import fingerprint, is_whole, read_state

CLI = [sys.executable, str(Path(__file__).resolve().parents[2] / "cli.py")]
FRAMES, SIDE = 24, 40  # pictures of each domain, and their side in pixels
SQUARE, BATCH = 32, 2  # side of the squares to train on in pixels, frames of each domain in a step
STEPS_PER_EPOCH = FRAMES // BATCH
NETWORKS = ["--filters", "4", "--blocks", "1", "--ema", "0.99"]
# What is measured at the start of a run may come out otherwise in the next.
PINNED = ["--precision", "fp32", "--memory-format", "contiguous", "--compile", "off"]
# In the log and in the position: no two runs share them.
TIMES = {"pairs_per_s", "tflop_per_s", "waited", "memory_gb", "seconds"}
PATIENCE_S = 300.0  # for anything to happen
SHOWN = 8  # results that differ


@dataclass(frozen=True)
class Setting:
    """What all trainings of this benchmark have in common."""

    folder: Path
    epochs: int
    every: int  # steps between two checkpoints
    seed: int

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name

    def command(self, name: str, every: int | None = None) -> list[str]:
        """``cli train`` of this name, from the start or resumed."""
        place = ["--runs", str(self.folder / "runs"), "--run", name]
        if (self.run(name) / OPTIONS_FILE).is_file():
            return [*CLI, "train", *place, "--resume"]
        size = ["--size", str(SQUARE), "--batch-size", str(BATCH), "--epochs", str(self.epochs)]
        saving = ["--checkpoint-every", str(self.every if every is None else every)]
        where = ["--data", str(self.folder / "data"), "--preset", "cpu", "--device", "cpu"]
        seed = ["--seed", str(self.seed)]
        return [*CLI, "train", *place, *where, *size, *saving, *seed, *NETWORKS, *PINNED]


@dataclass(frozen=True)
class Pace:
    """How long an uninterrupted training takes here, seconds."""

    startup: float  # until its first checkpoint
    whole: float


def picture(seed: int, light: float) -> Image:
    """Soft stripes in three colours that clip for much light: (40, 40, 3)."""
    drawn = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    waves = [np.sin(6 * (a * rows + b * columns) + c) for a, b, c in drawn.random((3, 3))]
    scene = 0.4 + 0.3 * np.stack(waves, axis=2)
    return (np.clip(scene * light, 0, 1) * 255).round().astype(np.uint8)


def make_data(folder: Path) -> None:
    """X under little light, Y under much, in CycleGAN's folders."""
    rooms = {"trainA": (0.9, 0), "trainB": (2.5, 100), "testA": (0.9, 200), "testB": (2.5, 200)}
    for room, (light, first) in rooms.items():
        (folder / room).mkdir(parents=True)
        for number in range(FRAMES):
            write_png(folder / room / f"{number:03d}.png", picture(first + number, light))


def start(command: list[str], output: Path) -> subprocess.Popen[bytes]:
    """A training, whose words go to a file."""
    with open(output, "ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def finish(setting: Setting, name: str) -> float:
    """Train on until all is done; seconds. Stops the benchmark where training fails."""
    begin, output = time.monotonic(), setting.folder / f"{name}.txt"
    with start(setting.command(name), output) as process:
        check_end(process.wait(), output)
    return time.monotonic() - begin


def check_end(code: int, output: Path) -> None:
    """Stop the benchmark where a training failed by itself: its last words say why."""
    if code:
        words = output.read_text(encoding="utf-8", errors="replace")
        sys.exit(f"cli train ended with exit code {code}:\n{words[-2000:]}")


def wait_until(happens: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Look often, until it happens or the process ends; give up after `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while not happens() and process.poll() is None:
        if time.monotonic() > end:
            process.kill()
            raise TimeoutError("it never happened")
        time.sleep(0.002)


def train_through(setting: Setting) -> Pace:
    """The uninterrupted training, and how long it took."""
    begin, output = time.monotonic(), setting.folder / "whole.txt"
    state = setting.run("whole") / "checkpoints" / STATE_FILE
    with start(setting.command("whole"), output) as process:
        wait_until(state.is_file, process)
        startup = time.monotonic() - begin
        check_end(process.wait(), output)
    return Pace(startup, time.monotonic() - begin)


def read_newest(run: Path) -> dict[str, Any]:
    """The newest whole state of a run; empty where it has none yet."""
    paths = [run / "checkpoints" / name for name in STATE_FILES]
    whole = [path for path in paths if path.is_file() and is_whole(path)]
    return read_state(whole[0], torch.device("cpu")) if whole else {}


def describe_left(run: Path) -> str:
    """What a process left that was ended: its newest state, and what it was writing."""
    state = read_newest(run)
    words = f"state of step {state['position']['done']}" if state else "no state"
    parts = sorted(path.name.split(".")[1] for path in run.rglob(".*.part"))
    return f"{words}, in the middle of {', '.join(parts)}" if parts else words


def results(run: Path) -> dict[str, str]:
    """What must be the same in every training, each as a fingerprint or as words."""
    state = read_newest(run)
    found = {f"state: {key}": fingerprint({key: each}) for key, each in state["model"].items()}
    position = {key: each for key, each in state["position"].items() if key not in TIMES}
    found["position"] = str(position)
    for path in sorted((run / "checkpoints").glob("*net_*.pth")):
        found[path.name] = fingerprint(read_state(path, torch.device("cpu")))
    for path in sorted((run / "samples").glob("*.png")):
        found[path.name] = sha256(path.read_bytes())
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(map(json.loads, lines), 1):
        for key in line.keys() - TIMES:
            found[f"line {number} of the log: {key}"] = repr(line[key])
    return found


def compare(setting: Setting, name: str) -> list[str]:
    """What is not the same as in the uninterrupted training."""
    wanted, found = results(setting.run("whole")), results(setting.run(name))
    return [key for key in {**wanted, **found} if wanted.get(key) != found.get(key)]


def judge(setting: Setting, name: str) -> int:
    """A line on a training that is through; 1 where it is not as it should be."""
    wrong = compare(setting, name)
    same = f"all {len(results(setting.run('whole')))} results are the same to the bit"
    words = f"{len(wrong)} DIFFER: {', '.join(sorted(wrong)[:SHOWN])}" if wrong else same
    print(f"{name:10}{'through':>20}  {words}", flush=True)
    return int(bool(wrong))


def pick_moment(pace: Pace, kills: int) -> float:
    """Seconds after which to kill: a quarter of them before the first step, the others later."""
    if random.random() < 0.25:
        return random.uniform(0, pace.startup)
    return pace.startup + random.uniform(0, 3 * (pace.whole - pace.startup) / kills)


def kill_and_resume(setting: Setting, pace: Pace, kills: int) -> int:
    """Kill so often; how many trainings have results that differ."""
    wrong, training = 0, 1
    left = kills - kill(setting, "killed-1", None)
    while left:
        name = f"killed-{training}"
        if kill(setting, name, pick_moment(pace, kills)):
            left -= 1
        else:  # it was through before
            wrong += judge(setting, name)
            training += 1
    finish(setting, f"killed-{training}")
    return wrong + judge(setting, f"killed-{training}")


def kill(setting: Setting, name: str, after_s: float | None) -> bool:
    """Train on and kill outright after so long; False where it was through before.

    None: as soon as the run has begun, when there is no checkpoint yet.
    """
    output, begin = setting.folder / f"{name}.txt", time.monotonic()
    with start(setting.command(name), output) as process:
        if after_s is None:
            wait_until((setting.run(name) / OPTIONS_FILE).is_file, process)
        else:
            with suppress(subprocess.TimeoutExpired):
                process.wait(after_s)
        code = process.poll()
        if code is not None:
            check_end(code, output)
            return False
        process.kill()
    what = f"kill -9 at {time.monotonic() - begin:.2f} s"
    print(f"{name:10}{what:>20}  {describe_left(setting.run(name))}", flush=True)
    return True


def terminate_and_resume(setting: Setting, pace: Pace, times: int) -> int:
    """SIGTERM so often, checkpoints only at the end of epochs; how many things are wrong."""
    name, wrong = "stopped", 0
    for _ in range(times):
        after_s = random.uniform(0, (pace.whole - pace.startup) / times / 2)
        wrong += terminate(setting, name, after_s)
    finish(setting, name)
    return wrong + judge(setting, name)


def terminate(setting: Setting, name: str, after_s: float) -> int:
    """SIGTERM so long after a training has saved anything; 1 where it does not save once more."""
    state, begin = setting.run(name) / "checkpoints" / STATE_FILE, time.time()

    def saved_since(moment: float) -> bool:
        # The clock of files lags behind by some milliseconds.
        return state.is_file() and state.stat().st_mtime > moment - 0.02

    with start(setting.command(name, every=10**6), setting.folder / f"{name}.txt") as process:
        wait_until(lambda: saved_since(begin), process)
        time.sleep(after_s)
        process.terminate()
        sent = time.time()
        code = process.wait(PATIENCE_S)
        took_s = time.time() - sent
    saved = saved_since(sent)
    words = f"ended after {took_s:.2f} s with exit code {code}, {describe_left(setting.run(name))}"
    what = f"SIGTERM at {sent - begin:.2f} s"
    print(f"{name:10}{what:>20}  {words}{'' if saved else ', NOT SAVED'}", flush=True)
    return int(not saved)


def main() -> int:
    """Let all of it happen; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20, help="kill -9; the first is early")
    parser.add_argument("--stops", type=int, default=3, help="SIGTERM")
    parser.add_argument("--epochs", type=int, default=25, help=f"of {STEPS_PER_EPOCH} steps")
    parser.add_argument("--every", type=int, default=5, help="steps between two checkpoints")
    parser.add_argument("--threads", type=int, default=1, help="of each training")
    parser.add_argument("--seed", type=int, default=0, help="of training and of the moments")
    asked = parser.parse_args()
    random.seed(asked.seed)
    os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    with tempfile.TemporaryDirectory() as name:
        setting = Setting(Path(name), asked.epochs, asked.every, asked.seed)
        make_data(setting.folder / "data")
        pace = train_through(setting)
        print(
            f"torch {torch.__version__}, {platform.machine()}, {asked.threads} threads; "
            f"{asked.epochs * STEPS_PER_EPOCH} steps, a checkpoint every {asked.every}; "
            f"uninterrupted {pace.whole:.1f} s, first checkpoint after {pace.startup:.1f} s\n"
        )
        print(f"{'training':10}{'what happened':>20}  what was left", flush=True)
        wrong = kill_and_resume(setting, pace, asked.kills)
        wrong += terminate_and_resume(setting, pace, asked.stops)
    print("SOMETHING DIFFERS" if wrong else "nothing differs")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

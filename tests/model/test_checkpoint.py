"""A run that is cut off at any moment goes on as if it had not been; nothing whole is lost."""

from __future__ import annotations

import errno
import itertools
import os
import pickle
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.processes import Process

from dataset.errors import UserError
from model.checkpoint import (
    Position,
    keep_epoch,
    load_checkpoint,
    load_generator,
    save_checkpoint,
)
from model.cyclegan import CycleGAN
from model.networks import build_networks
from model.options import NetworkOptions, TrainOptions
from model.runs import (
    STATE_FILE,
    STATE_FILES,
    generator_path,
    has_checkpoint,
    newest_run,
    write_options,
)
from model.state_files import bare_state, fingerprint, is_whole, on_cpu

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SHAPE = NetworkOptions(4, 1, 4, residual=True)


def new_model(ema: bool = True, shape: NetworkOptions = SHAPE) -> CycleGAN:
    """Small networks with full pools after two steps."""
    decay = 0.9 if ema else 0.0
    options = TrainOptions(network=shape, ema=decay, pool_size=3, identity_weight=0.5)
    return CycleGAN(options, CPU)


def learn(model: CycleGAN, steps: int) -> None:
    """Steps on noise of the process's own random numbers."""
    for _ in range(steps):
        x, y = torch.rand(2, 2, 3, 32, 32) * 2 - 1
        model.train_step(x, y)


class Killed(BaseException):
    """What no ``except Exception`` holds up, as nothing holds up kill -9."""


class FailingDisk:
    """Raises an error in place of the n-th call, from 0, that changes the disk."""

    def __init__(self, patch: pytest.MonkeyPatch, moment: int, error: BaseException) -> None:
        self.calls, self.moment, self.error = 0, moment, error
        for name in ("fsync", "replace", "unlink"):
            patch.setattr(os, name, self.counted(getattr(os, name)))

    def counted(self, call: Callable[..., None]) -> Callable[..., None]:
        def counting(*arguments: Any, **named: Any) -> None:
            self.calls += 1
            if self.calls == self.moment + 1:
                raise self.error
            call(*arguments, **named)

        return counting


def at(done: int) -> Position:
    return Position(epoch=1, step=done, done=done, epochs=2, seconds=done / 3)


def saved(run: Path, steps: int = 2, **settings: Any) -> CycleGAN:
    """A run of this many checkpoints, each a step after the one before."""
    model = new_model()
    for done in range(1, steps + 1):
        learn(model, 1)
        save_checkpoint(run, model, at(done), **settings)
    return model


def load(run: Path) -> tuple[Position, str, list[str]]:
    """Position, fingerprint and messages of what a run goes on with."""
    model, said = new_model(), list[str]()
    position = load_checkpoint(run, model, CPU, said.append)
    return position, fingerprint(model.train_state()), said


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_resumed_model_equals_the_uninterrupted_one_to_the_bit(tmp_path: Path) -> None:
    torch.manual_seed(1)
    whole = new_model()
    learn(whole, 5)
    torch.manual_seed(1)
    cut = new_model()
    learn(cut, 2)
    save_checkpoint(tmp_path, cut, at(2))
    torch.manual_seed(2)
    resumed = new_model()
    assert load_checkpoint(tmp_path, resumed, CPU) == at(2)
    learn(resumed, 3)
    assert fingerprint(resumed.train_state()) == fingerprint(whole.train_state())
    assert fingerprint(resumed.train_state()) != fingerprint(cut.train_state())


def test_a_position_comes_back_exactly(tmp_path: Path) -> None:
    position = Position(epoch=3, step=1, done=7, epochs=9, seconds=12.3456789)
    save_checkpoint(tmp_path, new_model(), position)
    assert load_checkpoint(tmp_path, new_model(), CPU) == position


def test_random_numbers_go_on_where_they_stood(tmp_path: Path) -> None:
    def draw() -> tuple[float, ...]:  # of normals one, so that NumPy has another in hand
        return torch.rand(()).item(), random.random(), np.random.rand(), np.random.randn()

    draw()
    save_checkpoint(tmp_path, new_model(), at(1))
    wanted = draw()
    draw()
    load(tmp_path)
    assert draw() == wanted


def test_the_networks_lie_there_bare_under_cyclegans_names(tmp_path: Path) -> None:
    model = saved(tmp_path)
    folder = tmp_path / "checkpoints"
    files = {
        "latest_net_G_A.pth": model.networks.G,
        "latest_net_G_B.pth": model.networks.F,
        "latest_net_D_A.pth": model.networks.D_Y,
        "latest_net_D_B.pth": model.networks.D_X,
        "latest_ema_net_G_A.pth": model.networks.ema_or_G,
        "latest_ema_net_G_B.pth": model.networks.ema_or_F,
    }
    there = {path.name for path in folder.iterdir()}
    assert there == files.keys() | {*STATE_FILES[:2], "latest_networks.json"}
    for name, network in files.items():
        state = torch.load(folder / name, weights_only=True)
        assert list(state) == list(network.state_dict())
        assert all(value.dtype == torch.float32 for value in state.values())
        assert all(value.is_contiguous() for value in state.values())
        assert fingerprint(state) == fingerprint(network)
    assert fingerprint(model.networks.F) != fingerprint(model.networks.ema_or_F)


def test_wrappers_half_precision_and_memory_formats_do_not_show_in_the_files() -> None:
    network = build_networks(SHAPE)[1].to(memory_format=torch.channels_last)
    wrapped = {f"module._orig_mod.{key}": value for key, value in network.state_dict().items()}
    state = bare_state(wrapped | {"module.model.2.running_mean": torch.zeros(4)})
    assert fingerprint(state) == fingerprint(network)
    assert all(value.is_contiguous() for value in state.values())
    assert bare_state({"a": torch.zeros(1, dtype=torch.bfloat16)})["a"].dtype == torch.float32


def test_wherever_a_save_is_killed_a_whole_state_is_left(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    model = saved(before)
    wanted = {2: fingerprint(model.train_state())}
    learn(model, 1)
    wanted[3] = fingerprint(model.train_state())
    seen = []
    for moment in itertools.count():
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(before, after)
        try:
            with pytest.MonkeyPatch.context() as patch:
                FailingDisk(patch, moment, Killed())
                save_checkpoint(after, model, at(3))
            break  # it came to its end: every call has had its turn
        except Killed:
            position, found, _ = load(after)
            seen.append(position.done)
            assert found == wanted[position.done]
            save_checkpoint(after, model, at(4))
            assert load(after)[0].done == 4
            assert not list((after / "checkpoints").glob(".*"))
    # Five calls before the new state stands under its name; then three a network, and more.
    assert seen == [2] * 5 + [3] * (len(seen) - 5)
    assert len(seen) > 20


def keep_saving(run: Path) -> None:
    """Save again and again, all weights equal to the number of steps. Another process does this."""
    model = new_model(shape=NetworkOptions(16, 2, 16))
    for done in itertools.count(1):
        for value in model.networks.F.parameters():
            value.data.fill_(done)
        save_checkpoint(run, model, at(done), with_networks=False)
        print(done, flush=True)


def test_a_process_killed_outright_leaves_a_whole_state(tmp_path: Path) -> None:
    code = "import sys, pathlib, test_checkpoint as t; t.keep_saving(pathlib.Path(sys.argv[1]))"
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests", Path(__file__).parent)))
    command = [sys.executable, "-c", code, str(tmp_path)]
    for delay_s in (0.03, 0.11, 0.29):
        with Process(
            command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay_s)
            process.kill()
            last = max([1, *map(int, process.stdout.read().split())])
        model = new_model(shape=NetworkOptions(16, 2, 16))
        position = load_checkpoint(tmp_path, model, CPU)
        assert position.done in (last, last + 1)
        assert all(
            (value == position.done).all() for value in model.networks.F.state_dict().values()
        )
        shutil.rmtree(tmp_path / "checkpoints")


@pytest.mark.parametrize("moment", range(4))
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, moment: int) -> None:
    model = saved(tmp_path)
    wanted = fingerprint(model.train_state())
    with pytest.MonkeyPatch.context() as patch:
        FailingDisk(patch, moment, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(UserError, match=r"latest_state\.pth: No space left"):
            save_checkpoint(tmp_path, model, at(3))
    position, found, _ = load(tmp_path)
    assert found == wanted
    assert position.done in (2, 3)  # 3: the new one was there, and its folder not yet on the disk
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_a_disk_that_really_fills_up_keeps_the_checkpoint_before(small_disk: Path) -> None:
    model = saved(small_disk)
    wanted = fingerprint(model.train_state())
    free = shutil.disk_usage(small_disk).free
    (small_disk / "filler").write_bytes(b"\0" * (free - 20_000))
    with pytest.raises(UserError, match=r"latest_state\.pth: No space left"):
        save_checkpoint(small_disk, model, at(3))
    assert load(small_disk)[:2] == (at(2), wanted)


@pytest.mark.parametrize("damage", ["cut", "bit", "zeros", "empty"])
def test_a_damaged_state_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    saved(tmp_path)
    path = tmp_path / "checkpoints" / STATE_FILE
    size = path.stat().st_size
    if damage == "cut":
        os.truncate(path, size - 100)
    elif damage == "bit":
        flip_a_bit(path)
    else:
        path.write_bytes(b"\0" * (size if damage == "zeros" else 0))
    position, _, said = load(tmp_path)
    assert position == at(1)
    (message,) = said
    assert "latest_state.pth is damaged" in message
    assert "previous_state.pth" in message
    # The damaged one must not take the place of the whole one when the next is saved.
    with pytest.MonkeyPatch.context() as patch:
        FailingDisk(patch, 1, Killed())
        with pytest.raises(Killed):
            save_checkpoint(tmp_path, new_model(), at(2))
    assert load(tmp_path)[0] == at(1)


def test_a_flipped_bit_anywhere_in_the_tensors_is_seen(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    path = tmp_path / "checkpoints" / STATE_FILE
    assert is_whole(path)
    flip_a_bit(path)
    assert not is_whole(path)
    torch.load(path, weights_only=True)  # which is why the checksums are looked at


def test_a_missing_state_is_told_and_the_one_before_is_used(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "checkpoints" / STATE_FILE).unlink()
    position, _, said = load(tmp_path)
    assert position == at(1)
    assert "latest_state.pth is missing" in said[0]
    assert has_checkpoint(tmp_path)


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_the_last_states_are_kept_in_their_order(tmp_path: Path, keep: int) -> None:
    saved(tmp_path, 5, keep=keep, with_networks=False)
    folder = tmp_path / "checkpoints"
    kept = [folder / name for name in STATE_FILES if (folder / name).exists()]
    done = [torch.load(path, weights_only=True)["position"]["done"] for path in kept]
    assert done == [5, 4, 3, 2, 1][:keep]


def test_nothing_whole_to_resume_from_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No checkpoint .*latest_state\.pth.*cli train"):
        load(tmp_path)
    assert not has_checkpoint(tmp_path)
    saved(tmp_path)
    for name in STATE_FILES[:2]:
        flip_a_bit(tmp_path / "checkpoints" / name)
    with pytest.raises(UserError, match=r"latest_state\.pth is damaged"):
        load(tmp_path)
    assert (tmp_path / "checkpoints" / STATE_FILE).exists()


def test_a_state_of_another_program_or_an_old_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / STATE_FILE
    path.parent.mkdir()
    torch.save({"epoch": 2, "step": 1, "networks": {}}, path)
    with pytest.raises(UserError, match="not written by this version"):
        load(tmp_path)


def test_pickled_objects_are_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "sprung",)

    path = tmp_path / "checkpoints" / STATE_FILE
    path.parent.mkdir()
    torch.save({"format": 2, "position": Trap()}, path, pickle_module=pickle)
    with pytest.raises(UserError, match=r"latest_state\.pth"):
        load(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_other_settings_do_not_fit(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(UserError, match=r"does not fit these settings \(.*size mismatch|does not"):
        load_checkpoint(tmp_path, new_model(shape=NetworkOptions(8, 1, 4, residual=True)), CPU)


def test_only_what_can_be_read_again_is_written() -> None:
    for value in (Path("a"), np.float64(1), {"deep": [object()]}):
        with pytest.raises(TypeError, match="cannot be part of a checkpoint"):
            on_cpu(value)
    part = torch.zeros(1000)[:10]
    assert on_cpu({"part": part})["part"].untyped_storage().nbytes() == 40


def test_networks_are_left_alone_between_epochs_once_they_are_there(tmp_path: Path) -> None:
    first = saved(tmp_path, 1, with_networks=False)
    file = tmp_path / "checkpoints" / "latest_net_G_B.pth"
    before = file.read_bytes()
    learn(first, 1)
    save_checkpoint(tmp_path, first, at(2), with_networks=False)
    assert file.read_bytes() == before
    save_checkpoint(tmp_path, first, at(3))
    assert file.read_bytes() != before


def test_the_average_restores_where_there_is_one(tmp_path: Path) -> None:
    write_options(tmp_path, TrainOptions(network=SHAPE), {})
    model = saved(tmp_path)
    keep_epoch(tmp_path, model, 3)
    assert fingerprint(load_generator(tmp_path, CPU)) == fingerprint(model.networks.ema_or_F)
    assert fingerprint(load_generator(tmp_path, CPU, epoch=3)) == fingerprint(
        model.networks.ema_or_F
    )
    plain = new_model(ema=False)
    save_checkpoint(tmp_path, plain, at(4))
    assert generator_path(tmp_path, "F").name == "latest_net_G_B.pth"
    assert fingerprint(load_generator(tmp_path, CPU)) == fingerprint(plain.networks.F)


def test_the_newest_run_may_have_nothing_but_a_state(tmp_path: Path) -> None:
    saved(tmp_path / "old")
    saved(tmp_path / "new")
    for path in (tmp_path / "new" / "checkpoints").glob("latest_*"):
        path.unlink()
    os.utime(tmp_path / "new" / "checkpoints" / "previous_state.pth", (2e9, 2e9))
    assert newest_run(tmp_path).name == "new"


def test_a_fingerprint_sees_every_bit_and_no_order() -> None:
    def state(**changed: Any) -> dict[str, Any]:
        return {"a": torch.arange(6.0), "deep": [{"b": 1}, torch.tensor(2)], **changed}

    one = fingerprint(state())
    assert one == fingerprint(dict(reversed(state().items())))
    bit = torch.arange(6.0)
    bit.view(torch.int32)[3] ^= 1
    others = [
        state(a=bit),
        state(a=torch.arange(6.0).reshape(2, 3)),
        state(a=torch.arange(6.0).double()),
        state(deep=[{"b": 2}, torch.tensor(2)]),
        state(c=None),
    ]
    assert len({one, *map(fingerprint, others)}) == 6
    channels_last = torch.rand(1, 3, 4, 4).to(memory_format=torch.channels_last)
    assert fingerprint({"a": channels_last}) == fingerprint({"a": channels_last.contiguous()})

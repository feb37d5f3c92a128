"""Networks that somebody else wrote: one sentence that names the file, no hang, little memory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import ROOT
from helpers.odd_networks import damage, refusal, release_bytes
from hypothesis import given, settings
from hypothesis import strategies as some
from safetensors.torch import load, load_file
from torch import Tensor

from dataset.errors import UserError
from model.checkpoint import (
    Position,
    load_checkpoint,
    load_generator,
    save_checkpoint,
)
from model.cyclegan import CycleGAN
from model.evaluation.inception import open_features
from model.networks import Generator
from model.options import (
    MOST_BLOCKS,
    MOST_FILTERS,
    NetworkOptions,
    RestoreOptions,
    TrainOptions,
)
from model.restoring.export import pack, save_release
from model.restoring.methods import open_method
from model.restoring.network import NetworkRestorer
from model.runs import STATE_FILE, read_options, read_run_facts, write_options
from model.state_files import bare_state, is_whole
from model.weights import load_network, load_release, read_network

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
SHAPE = {"generator_filters": 4, "generator_blocks": 1, "residual": True}
STATE = bare_state(Generator(4, 1, residual=True).state_dict())
ONE = torch.zeros(1)


def quantized(shape: tuple[int, ...]) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.zeros(shape), 1.0, 0, torch.qint8)


def with_first(value: Tensor) -> dict[str, Any]:
    return {**STATE, "model.1.weight": value}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (with_first(ONE.expand(10_000_000, 3, 7, 7)), "more numbers than the file holds"),
        ({**STATE, "model.1.bias": ONE.expand(200_000, 200_000)}, "more numbers than the file"),
        (with_first(torch.zeros(4, 3, 7, 7).to_sparse()), "is sparse"),
        (with_first(quantized((4, 3, 7, 7))), "is quantized"),
        (with_first(torch.zeros(4, 3, 7, 7, device="meta")), "is empty of memory"),
        (with_first(torch.zeros(4, 3, 7, 7, dtype=torch.complex64)), "complex64"),
        (with_first(torch.zeros(4, 3, 7, 7, dtype=torch.bool)), "holds bool"),
        (with_first(torch.zeros(4, 3, 7, 7, dtype=torch.int8)), "holds int8"),
        (with_first(torch.zeros(0, 3, 7, 7)), "a size that is not read"),
        (with_first(torch.zeros(MOST_FILTERS + 1, 1, 1, 1)), "a size that is not read"),
        (with_first(torch.full((4, 3, 7, 7), float("nan"))), "not finite"),
        (with_first(torch.full((4, 3, 7, 7), 1e300, dtype=torch.float64)), "not finite"),
        ({5: ONE}, "not all that it holds has a name"),
        ({"": ONE}, "not all that it holds has a name"),
        ({"a": {"b": ONE}}, "not the file of one network"),
        ({f"model.{10 + n}.conv_block.1.weight": ONE for n in range(30_000)}, "names more"),
        ([1, 2], "it holds a list"),
    ],
    ids=lambda each: each[:20] if isinstance(each, str) else "",
)
def test_odd_tensors_are_refused_in_a_sentence(tmp_path: Path, state: Any, words: str) -> None:
    path = tmp_path / "odd_net_G_B.pth"
    torch.save(state, path)
    assert words in refusal(lambda: read_network(path, CPU), "odd_net_G_B.pth")


def compressed(size: int) -> bytes:
    """An archive of torch whose numbers are packed."""
    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save({"model.1.weight": torch.zeros(size)}, plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return packed.getvalue()


def test_an_archive_that_is_compressed_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    path.write_bytes(compressed(20_000_000))
    assert path.stat().st_size < 500_000
    assert "it is compressed" in refusal(lambda: read_network(path, CPU), "bomb.pth")
    assert not is_whole(path)


def test_old_files_that_name_too_much_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    state = {f"k{n}": ONE for n in range(40_000)}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert "more values than it may" in refusal(lambda: read_network(path, CPU), "old.pth")
    path.write_bytes(b"S'" + b"a" * (4 << 20))
    assert "names more" in refusal(lambda: read_network(path, CPU), "old.pth")


@settings(max_examples=150)
@given(some.data())
def test_damage_anywhere_breaks_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    buffer = io.BytesIO()
    torch.save(STATE, buffer)
    made = {".pth": buffer.getvalue(), ".safetensors": release_of()}
    suffix = data.draw(some.sampled_from(sorted(made)))
    damaged = bytearray(made[suffix])
    for _ in range(data.draw(some.integers(1, 6))):
        place = data.draw(some.integers(0, 3000) | some.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(some.integers(0, 255))
    path = tmp_path_factory.mktemp("damage") / f"a{suffix}"
    path.write_bytes(damaged)
    with contextlib.suppress(UserError):
        load_network(path.parent, str(path), CPU)


def release_of(state: dict[str, Tensor] | None = None, **facts: Any) -> bytes:
    """A file to give away, with what it says of itself changed."""
    return release_bytes(state or STATE, **{"options": SHAPE, "side": 128, **facts})


@pytest.mark.parametrize(
    "facts",
    [
        *({"options": {**SHAPE, "generator_filters": each}} for each in (10**9, 0, -4, "4", None)),
        *({"options": {**SHAPE, "generator_filters": each}} for each in ([4], 10**30, 3000)),
        *({"options": {**SHAPE, "generator_blocks": each}} for each in (10**9, MOST_BLOCKS + 1)),
        *({"options": each} for each in ("[]", "[" * 100_000, '{"generator_filters": NaN}')),
        {"options": {**SHAPE, "colour": "red"}},
        {"options": {**SHAPE, "residual": "no"}},
        *({"side": each} for each in ("Infinity", "abc", "-5", "[]", "0.5", "null", "9" * 5000)),
        {"side": 10**12},
        *({"exposure": each} for each in ("[" * 100_000, "5", '{"weights": [], "constant": 0}')),
        {"exposure": {"weights": [float("nan")] * 12, "constant": 0}},
        {"exposure": {"weights": [10**400] * 12, "constant": 0}},
    ],
    ids=lambda facts: str(facts)[:50],
)
def test_what_a_release_says_of_itself_is_typed_and_limited(
    tmp_path: Path, facts: dict[str, Any]
) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(release_of(**facts))
    refusal(lambda: load_release(path, CPU), "odd.safetensors")
    refusal(lambda: load_network(tmp_path, str(path), CPU), "odd.safetensors")


def headed(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + body


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\0" * 8, struct.pack("<Q", 2**63) + b"{}", headed(b" " * (2 << 20) + b"{}")),
        *(headed(b"\xff\xff"), headed(b'{"a":' * 50_000 + b"1" + b"}" * 50_000), headed(b"[]")),
        headed(b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
        release_of({**STATE, "evil": ONE}),
        release_of({key: value for key, value in STATE.items() if key != "model.1.bias"}),
        release_of({key: value.to(torch.int8) for key, value in STATE.items()}),
        release_of({key: torch.full_like(value, float("inf")) for key, value in STATE.items()}),
    ],
    ids=range(12),
)
def test_a_release_whose_header_or_tensors_do_not_fit_is_refused(
    tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(data)
    refusal(lambda: load_release(path, CPU), "odd.safetensors")


def test_halves_and_doubles_are_weights_as_well(tmp_path: Path) -> None:
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        path = tmp_path / "a.safetensors"
        path.write_bytes(release_of({key: value.to(kind) for key, value in STATE.items()}))
        network = load_release(path, CPU).generator
        assert all(each.dtype == torch.float32 for each in network.parameters())


def test_weights_that_overflow_give_an_error_and_no_black_picture() -> None:
    network = Generator(4, 1, residual=True)
    for value in network.parameters():
        value.data.fill_(3e38)
    with pytest.raises(UserError, match="is not finite") as caught:
        NetworkRestorer(network)(np.full((20, 30, 3), 0.5, np.float32))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("flag", ["threshold", "strength"])
def test_nan_is_no_setting(flag: str) -> None:
    method = "cielab" if flag == "threshold" else "network"
    with pytest.raises(UserError, match=f"--{flag} nan"):
        open_method(RestoreOptions(method=method, **{flag: float("nan")}))


def make_run(root: Path, text: str | bytes = "") -> Path:
    run = root / "runs" / "mine"
    (run / "checkpoints").mkdir(parents=True)
    torch.save(STATE, run / "checkpoints" / "latest_net_G_B.pth")
    if text:
        data = text if isinstance(text, bytes) else text.encode()
        (run / "options.json").write_bytes(data)
    else:
        write_options(run, TrainOptions(network=NetworkOptions(4, 1, 4, True)), {"torch": "2"})
    return run


def written(network: Any = SHAPE, load_size: Any = 128) -> str:
    return json.dumps({"options": {"network": network, "load_size": load_size}})


@pytest.mark.parametrize(
    "text",
    [
        *(written({**SHAPE, "generator_filters": each}) for each in (10**9, 3000, "4", 0)),
        *(written({**SHAPE, "generator_blocks": each}) for each in (10**8, -1)),
        *(written(load_size=each) for each in (float("inf"), -7, 10**12, "x", None)),
        *("[" * 100_000, "null", "{}", b"\xff\xfe{"),
    ],
    ids=range(15),
)
def test_a_runs_settings_are_typed_and_limited(tmp_path: Path, text: str | bytes) -> None:
    run = make_run(tmp_path, text)
    refusal(lambda: load_generator(run, CPU), "options.json")
    refusal(lambda: read_options(run), "options.json")
    refusal(lambda: save_release(run, tmp_path / "a.safetensors"), "options.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_in_place_of_any_file_of_a_run_is_not_waited_for(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for name in ("options.json", "exposure.json", "checkpoints/latest_net_G_B.pth"):
        path = run / name
        kept = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        refusal(lambda: save_release(run, tmp_path / "a.safetensors"), name)
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)
    os.mkfifo(run / "checkpoints" / "latest_networks.json")
    assert save_release(run, tmp_path / "a.safetensors").steps is None


def test_settings_that_cannot_be_read_are_named_for_pages_too(tmp_path: Path) -> None:
    assert read_run_facts(make_run(tmp_path))["torch"] == "2"
    run = make_run(tmp_path / "other", "[" * 100_000)
    refusal(lambda: read_run_facts(run), "options.json")
    with pytest.raises(UserError):
        read_options(tmp_path)


def test_a_run_of_the_largest_shape_takes_no_memory_before_its_file_fits(tmp_path: Path) -> None:
    run = make_run(
        tmp_path,
        written({"generator_filters": MOST_FILTERS, "generator_blocks": MOST_BLOCKS}),
    )
    assert "another shape" in refusal(lambda: load_generator(run, CPU), "latest_net_G_B.pth")


def new_model() -> CycleGAN:
    return CycleGAN(TrainOptions(network=NetworkOptions(4, 1, 4), pool_size=2), CPU)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(position={"epoch": "x"}),
        lambda state: state.update(position=None),
        lambda state: state["position"].update(step=-1),
        lambda state: state["position"].update(seconds=float("nan")),
        lambda state: state["position"].update(done=2**62),
        lambda state: state.update(model=None),
        lambda state: state["model"].update(networks=[1]),
        lambda state: state["model"]["networks"].update(F=None),
        lambda state: state["model"]["networks"]["F"].update({"model.1.bias": ONE[0]}),
        lambda state: state["model"]["networks"]["F"]["model.1.bias"].fill_(float("nan")),
        lambda state: state["model"].update(generator_optimizer={}),
        lambda state: state["model"].update(steps="many"),
        lambda state: state["model"].update(pool_X=5),
        lambda state: state.update(random={}),
        lambda state: state["random"].update(torch=ONE),
        lambda state: state.update(more=ONE.expand(10**6, 10**6)),
        lambda state: state.update(more=ONE.to_sparse()),
        lambda state: state.update(more=nested(40)),
    ],
    ids=range(18),
)
def test_a_learning_state_of_other_values_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    save_checkpoint(tmp_path, new_model(), Position(1, 1, 1, 2, 0.5))
    damage(tmp_path, change)
    refusal(lambda: load_checkpoint(tmp_path, new_model(), CPU), STATE_FILE)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_a_damaged_state_is_set_aside_beside_an_older_damaged_one(tmp_path: Path) -> None:
    model, folder = new_model(), tmp_path / "checkpoints"
    for done in (1, 2):
        save_checkpoint(tmp_path, model, Position(1, done, done, 2, 0.5))
    (folder / "latest_state.damaged").write_bytes(b"from before")
    (folder / STATE_FILE).write_bytes(b"cut")
    assert load_checkpoint(tmp_path, new_model(), CPU).done == 1
    assert (folder / "latest_state.damaged").read_bytes() == b"from before"
    assert (folder / "latest_state-2.damaged").read_bytes() == b"cut"


def test_inception_is_read_with_the_same_care(tmp_path: Path) -> None:
    pytest.importorskip("torch_fidelity", reason="pip install 'unclip[metrics]'")
    path = tmp_path / "inception.pth"
    path.write_bytes(compressed(1000))
    refusal(lambda: open_features(path), "inception.pth")
    path.write_bytes(pickle.dumps({"a": Path("b")}))
    refusal(lambda: open_features(path), "inception.pth")


def test_a_release_has_the_bytes_of_its_network_and_facts_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    code = (
        "import sys\nfrom pathlib import Path\nfrom model.restoring.export import save_release\n"
        "save_release(Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    made = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.safetensors"
        command = [sys.executable, "-c", code, str(run), str(out)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=300)
        made.append(out.read_bytes())
    assert made[0] == made[1]
    found = load_file(tmp_path / "1.safetensors")
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


@given(
    some.dictionaries(some.text("abc.", min_size=1), some.lists(some.integers(0, 3), max_size=3))
)
def test_the_library_reads_what_is_packed(shapes: dict[str, list[int]]) -> None:
    state = {key: torch.rand(shape) for key, shape in shapes.items()}
    found = load(pack(state, {"b": "값", "a": ""}))
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)

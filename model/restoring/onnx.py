"""An ONNX file and a picture of any size -> the restored picture, without torch.

Reads what `export` wrote, checked by ``onnx_graph``, and runs it with onnxruntime: a network for
whole pictures, or one of preset physical for small copies. Nothing here may import torch, not even
by way of another module: a machine that only restores needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np

from dataset import gate
from dataset.errors import UserError
from dataset.memory import free_memory, ran_out, room_for
from dataset.pictures.pixels import Pixels, check_finite, pad_reflected
from model.belief import Proposals
from model.facts import parse_gain_error, parse_shape, parse_side, parse_stride
from model.restoring import full_size
from model.restoring.full_size import Plane
from model.restoring.onnx_graph import check_graph
from model.restoring.small_copy import SmallCopyRestorer
from model.small_size import CHANNELS, SMALL_SIDE, THUMBNAIL

ONNX_INPUT, ONNX_OUTPUT = "picture", "restored"  # names inside the file
# Of preset physical, whose file holds two chains.
THUMBNAIL_INPUT, SMALL_INPUT, GAINS_INPUT = "thumbnail", "small", "gains"
PROPOSALS, CONTENT = "proposals", "content"
LEAST_INPUTS = {  # for the chain that is not run
    THUMBNAIL_INPUT: np.zeros((1, CHANNELS, *[SMALL_SIDE // THUMBNAIL] * 2), np.float32),
    SMALL_INPUT: np.zeros((1, CHANNELS, SMALL_SIDE, SMALL_SIDE), np.float32),
    GAINS_INPUT: np.zeros((1, 3, SMALL_SIDE, SMALL_SIDE), np.float32),
}
PROVIDERS = {  # --device -> onnxruntime's names, the quickest first
    "auto": ("CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider"),
    "cuda": ("CUDAExecutionProvider",),
    "directml": ("DmlExecutionProvider",),
    "cpu": ("CPUExecutionProvider",),
}
ONNX_PIXEL_BYTES = 30  # per pixel and filter, measured: peak of onnxruntime on a CPU
MOST_ONNX_BYTES = 1 << 31  # ONNX files cannot be larger
ONNX_STOP_S = 5.0  # how long to wait for onnxruntime to stop after Ctrl-C

Result = TypeVar("Result")


class OnnxRestorer:
    """Restores pictures by a network of an ONNX file.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        (1, 3, H, W) fp32 in [-1, 1] -> the same.
    facts : dict
        The file's ``metadata_props``.
    path : Path
        Its name in error messages.

    Attributes
    ----------
    provider : str
        onnxruntime's execution provider, such as ``CPUExecutionProvider``.
    side : int
        Shorter side of the training frames, pixels; 0: any.

    Raises
    ------
    UserError
        The facts do not describe a network of ours.
    """

    def __init__(self, session: Any, facts: dict[str, str], path: Path) -> None:
        self.facts, self.path = facts, path
        self.provider: str = session.get_providers()[0]
        self._session = session
        try:
            self._stride = parse_stride(facts["stride"])
            self._filters = parse_shape(facts["options"]).generator_filters
            self.side = parse_side(facts.get("side", "0"))
        except ValueError as error:
            raise _misdescribed(path, error) from error

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore one picture, (H, W, 3) float32 in [0, 1], of any size -> the same shape.

        Raises
        ------
        UserError
            There is not enough memory, or the output is not a picture of the same size.
        """
        height, width = pixels.shape[:2]
        needed, free = 0, 0
        if self.provider == "CPUExecutionProvider":  # other devices do not report free memory
            needed, free = ONNX_PIXEL_BYTES * self._filters * height * width, free_memory()
        with room_for(width, height, needed, free):
            return self._run(pixels)

    def _run(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        padded = pad_reflected(pixels, self._stride)
        picture = np.ascontiguousarray((padded * 2 - 1).transpose(2, 0, 1)[None], np.float32)
        made = infer(self._session, self.path, {ONNX_INPUT: picture}, (ONNX_OUTPUT,))[0]
        restored = self._checked(made, picture.shape)[0]
        cropped = restored[:, :height, :width].transpose(1, 2, 0)
        result = np.ascontiguousarray(((cropped + 1) / 2).clip(0, 1), np.float32)
        return check_finite(result, str(self.path))

    def _checked(self, found: Any, shape: tuple[int, ...]) -> Any:
        """The output, if it is a picture of the input's size."""
        if not isinstance(found, np.ndarray) or found.dtype.kind != "f" or found.shape != shape:
            sides = "x".join(map(str, getattr(found, "shape", ()))) or "a single value"
            wanted = "x".join(map(str, shape))
            raise UserError(
                f"{self.path} is no network of ours: it makes {sides} of a picture of {wanted}. "
                "Name a file of `cli export`.",
                1,
            )
        return found


class OnnxFinder:
    """A `small_copy.Finder` by a network of preset physical; parameters as of `OnnxRestorer`.

    One file holds two chains, of which a run takes one: thumbnail -> proposals, and small copy and
    gains -> content.
    """

    def __init__(self, session: Any, facts: dict[str, str], path: Path) -> None:
        self.path, self.source = path, str(path)
        self._session = session
        try:
            self.linear = parse_shape(facts["options"]).linear
            self.gain_error = parse_gain_error(facts.get("gain_error", ""))
        except ValueError as error:
            raise _misdescribed(path, error) from error

    def free_bytes(self) -> int:
        return free_memory()

    def propose(self, small: Plane) -> Proposals:
        rows, columns = (each // THUMBNAIL for each in small.shape[2:])
        parts = small.reshape(1, CHANNELS, rows, THUMBNAIL, columns, THUMBNAIL)
        thumbnail = np.asarray(parts.mean((3, 5)), np.float32)
        found = self._infer(PROPOSALS, {THUMBNAIL_INPUT: thumbnail})
        if not _is_planes(found, 4, rows, columns):
            raise self._foreign()
        return found

    def draw(self, small: Plane, gains: Plane) -> Plane:
        size = small.shape[2:]
        large = [full_size.enlarge(gains[0, n % gains.shape[1]], size) for n in range(3)]
        wide = np.stack([np.broadcast_to(each, size) for each in large])[None]
        found = self._infer(CONTENT, {SMALL_INPUT: small, GAINS_INPUT: wide})
        if not _is_planes(found, 3, *size) or found.shape[2:] != size:
            raise self._foreign()
        return found

    def _infer(self, wanted: str, given: dict[str, Plane]) -> Any:
        others = {name: planes for name, planes in LEAST_INPUTS.items() if name not in given}
        return infer(self._session, self.path, {**others, **given}, [wanted])[0]

    def _foreign(self) -> UserError:
        return UserError(
            f"{self.path} is no network of ours: what it finds on a small copy is of another "
            "shape. Name a file of `cli export`.",
            1,
        )


def _is_planes(found: Any, channels: int, rows: int, columns: int) -> bool:
    """Whether an output is (1, channels, up to rows, up to columns) of floats."""
    return (
        isinstance(found, np.ndarray)
        and found.dtype == np.float32
        and found.ndim == 4
        and found.shape[:2] == (1, channels)
        and 1 <= found.shape[2] <= rows
        and 1 <= found.shape[3] <= columns
    )


class OnnxSmallCopyRestorer(SmallCopyRestorer):
    """Restores pictures by a network of preset physical; parameters as of `OnnxRestorer`."""

    def __init__(
        self, session: Any, facts: dict[str, str], path: Path, on_progress: full_size.Report | None
    ) -> None:
        super().__init__(OnnxFinder(session, facts, path), on_progress)
        self.facts, self.provider = facts, str(session.get_providers()[0])


def infer(session: Any, path: Path, given: dict[str, Any], wanted: Sequence[str]) -> list[Any]:
    """Run a session; Ctrl-C interrupts it, and a failure is a ``UserError`` that names the file."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = True

    def stop() -> None:
        options.terminate = True

    try:
        return interruptible(lambda: list(session.run(list(wanted), given, options)), stop)
    except _faults() as error:
        if ran_out(error):
            raise
        raise UserError(
            f"{path} cannot be run on a picture ({_short(error)}). Export it again.", 1
        ) from error


def open_onnx(
    path: Path,
    device: str = "auto",
    threads: int = 0,
    on_progress: full_size.Report | None = None,
) -> OnnxRestorer | OnnxSmallCopyRestorer:
    """The restorer in a file that ``write_onnx`` wrote.

    Parameters
    ----------
    path : Path
        The file.
    device : str
        auto (the quickest that this onnxruntime has), cpu, cuda or directml.
    threads : int
        CPU threads per operation; 0: one per core.
    on_progress : callable, optional
        Called with the share of the current picture that is done, where that is known.

    Returns
    -------
    OnnxRestorer or OnnxSmallCopyRestorer
        Pixels (H, W, 3) float32 in [0, 1] -> the same shape.

    Raises
    ------
    UserError
        The file is missing, damaged or not ours, or there is no such device.
    """
    providers = pick_providers(device)
    session = open_session(path, providers, threads)
    if device != "auto" and session.get_providers()[0] != providers[0]:
        raise UserError(
            f"--device {device} cannot be started: onnxruntime lacks its driver or libraries. "
            "Leave it out to take what there is, or say --device cpu."
        )
    facts = dict(session.get_modelmeta().custom_metadata_map)
    ours = facts.get("written_by", "").startswith("unclip ")
    if not ours or not {"stride", "options"} <= facts.keys():
        raise UserError(f"{path} was not written by `cli export`. Name a file that was.")
    if _ends(session) == ([*LEAST_INPUTS], [PROPOSALS, CONTENT]):
        return OnnxSmallCopyRestorer(session, facts, path, on_progress)
    if _ends(session) == ([SMALL_INPUT], [GAINS_INPUT, CONTENT]):
        raise UserError(f"{path} is of an earlier version. Export its run again: `cli export`.")
    if _ends(session) != ([ONNX_INPUT], [ONNX_OUTPUT]):
        raise UserError(
            f"{path} is no network of ours: it does not make one picture, {ONNX_OUTPUT}, of "
            f"another, {ONNX_INPUT}. Name a file of `cli export`."
        )
    return OnnxRestorer(session, facts, path)


def _ends(session: Any) -> tuple[list[str], list[str]]:
    """Names of inputs and outputs; another type than float takes the place of a name."""
    inputs, outputs = (
        [each.name if each.type == "tensor(float)" else each.type for each in ends]
        for ends in (session.get_inputs(), session.get_outputs())
    )
    return inputs, outputs


def _misdescribed(path: Path, error: Exception) -> UserError:
    return UserError(
        f"{path} does not say correctly how to run it ({gate.plain(error)}). Export it again."
    )


def open_session(path: Path, providers: Sequence[str], threads: int) -> Any:
    """An onnxruntime session; ``UserError`` if the file is missing, damaged or no plain chain."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Between the frames of a video, threads that spin take a fifth of the processors' time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # silent: its errors are raised as well
    if "DmlExecutionProvider" in providers:  # DirectML runs in order and shares no memory plan
        options.enable_mem_pattern = False
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    try:
        data = gate.read_regular(path, MOST_ONNX_BYTES)
        check_graph(data)
        # As bytes, so that names in any script work, and a file cannot point to other files.
        return interruptible(
            lambda: onnxruntime.InferenceSession(data, options, list(providers)), lambda: None
        )
    except FileNotFoundError as error:
        raise UserError(f"No such file: {path}. `cli export` writes one.") from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except _faults(ValueError) as error:
        raise UserError(
            f"{path} is damaged or no ONNX file that this onnxruntime can read "
            f"({_short(error)}). Export it again, or update onnxruntime."
        ) from error


def interruptible(work: Callable[[], Result], stop: Callable[[], None]) -> Result:
    """Run something in another thread, so that Ctrl-C interrupts the wait.

    Python cannot handle a signal while onnxruntime computes.

    Parameters
    ----------
    work : callable
        What to do.
    stop : callable
        Called on Ctrl-C; the work then has a few seconds to finish.
    """
    done: list[Result] = []
    failed: list[BaseException] = []
    ended = Event()

    def attempt() -> None:
        try:
            done.append(work())
        except BaseException as error:  # raised in the waiting thread
            failed.append(error)
        finally:
            ended.set()

    try:
        Thread(target=attempt, daemon=True).start()
        while not ended.wait(0.5):  # without a limit, Windows would not wake up for Ctrl-C
            pass
    except BaseException:
        stop()
        ended.wait(ONNX_STOP_S)
        raise
    if failed:
        raise failed[0]
    return done[0]


def _faults(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Everything that onnxruntime raises, and others."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    found: list[type[Exception]] = [RuntimeError, *others]
    for each in vars(state).values():
        if isinstance(each, type) and issubclass(each, Exception):
            found.append(each)
    return tuple(found)


def _short(error: Exception) -> str:
    return gate.plain(str(error)[:160])


def pick_providers(device: str) -> list[str]:
    """onnxruntime's providers for ``--device``; the CPU is the fallback for what others lack."""
    import onnxruntime

    there = onnxruntime.get_available_providers()
    found = [name for name in PROVIDERS.get(device, ()) if name in there]
    if not found:
        raise UserError(
            f"--device {device} is not usable with this onnxruntime, which has "
            f"{', '.join(key for key in list(PROVIDERS)[1:] if PROVIDERS[key][0] in there)}. "
            "Leave it out to take what there is, or say --device cpu."
        )
    return list(dict.fromkeys([*found, "CPUExecutionProvider"]))

"""An ONNX file and a picture of any size -> the restored picture, without torch.

Reads what `onnx_export` wrote and runs it with onnxruntime. Nothing here may import torch, not even
by way of another module: a machine that only restores needs none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from dataset.errors import UserError
from model.memory import free_memory, room_for
from model.pixels import Pixels, pad_reflected

INPUT, OUTPUT = "picture", "restored"  # names inside the file
PROVIDERS = {  # --device -> onnxruntime's names, the quickest first
    "auto": ("CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider"),
    "cuda": ("CUDAExecutionProvider",),
    "directml": ("DmlExecutionProvider",),
    "cpu": ("CPUExecutionProvider",),
}
TAKEN_BYTES = 30  # a pixel and filter, measured: the peak of onnxruntime on a CPU


class OnnxRestorer:
    """Restores pictures by a network of an ONNX file.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        (1, 3, H, W) fp32 in [-1, 1] -> the same.
    facts : dict
        The file's ``metadata_props``.

    Attributes
    ----------
    provider : str
        What onnxruntime computes on: ``CPUExecutionProvider`` and the like.
    """

    def __init__(self, session: Any, facts: dict[str, str]) -> None:
        self.facts = facts
        self.provider: str = session.get_providers()[0]
        self._session, self._stride = session, int(facts["stride"])
        self._filters = int(json.loads(facts["options"])["generator_filters"])

    def __call__(self, pixels: Pixels) -> Pixels:
        """Restore one picture, (H, W, 3) float32 in [0, 1], of any size; the same comes back.

        Raises
        ------
        UserError
            There is not enough memory.
        """
        height, width = pixels.shape[:2]
        needed, free = 0, 0
        if self.provider == "CPUExecutionProvider":  # what other devices have left is not told
            needed, free = TAKEN_BYTES * self._filters * height * width, free_memory()
        with room_for(width, height, needed, free):
            return self._run(pixels)

    def _run(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        padded = pad_reflected(pixels, self._stride)
        picture = np.ascontiguousarray((padded * 2 - 1).transpose(2, 0, 1)[None], np.float32)
        restored = self._session.run([OUTPUT], {INPUT: picture})[0][0]
        cropped = restored[:, :height, :width].transpose(1, 2, 0)
        return np.ascontiguousarray(((cropped + 1) / 2).clip(0, 1), np.float32)


def open_onnx(path: Path, device: str = "auto", threads: int = 0) -> OnnxRestorer:
    """The restorer in a file that ``write_onnx`` wrote.

    Parameters
    ----------
    path : Path
        The file.
    device : str
        auto (the quickest that this onnxruntime has), cpu, cuda or directml.
    threads : int
        Threads of the CPU for one operation; 0: as many as cores.

    Returns
    -------
    OnnxRestorer
        Called with pixels (H, W, 3) float32 in [0, 1], gives as many back.

    Raises
    ------
    UserError
        onnxruntime or the file is missing, the file is damaged or not ours, or there is no such
        device.
    """
    need_packages("onnxruntime")
    if not path.is_file():
        raise UserError(f"No such file: {path}. `cli export` writes one.")
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
    return OnnxRestorer(session, facts)


def open_session(path: Path, providers: Sequence[str], threads: int) -> Any:
    """An onnxruntime session; ``UserError`` where the file is damaged."""
    import onnxruntime  # optional: pip install 'unclip[onnx]'
    from onnxruntime.capi import onnxruntime_pybind11_state as faults

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # none: its errors are raised too, where they can be told
    if "DmlExecutionProvider" in providers:  # DirectML runs in order and shares no memory plan
        options.enable_mem_pattern = False
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    damage = (OSError, faults.InvalidProtobuf, faults.InvalidArgument, faults.InvalidGraph,
              faults.NotImplemented, faults.Fail)  # fmt: skip
    try:
        # As bytes, so that names in any script work, and a file cannot point to other files.
        return onnxruntime.InferenceSession(path.read_bytes(), options, list(providers))
    except damage as error:
        raise UserError(
            f"{path} is damaged or no ONNX file that this onnxruntime can read "
            f"({str(error)[:160]}). Export it again, or update onnxruntime."
        ) from error


def pick_providers(device: str) -> list[str]:
    """onnxruntime's providers for ``--device``; the CPU stands behind each, for what it lacks."""
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


def need_packages(*names: str) -> None:
    """``UserError`` where one of the optional packages is missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise UserError(
            f"ONNX files need {' and '.join(missing)}. Install with: pip install 'unclip[onnx]'"
        )

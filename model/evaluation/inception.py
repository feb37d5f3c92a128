"""Features of a picture for KID, from the Inception network of torch-fidelity.

torch-fidelity is the extra ``metrics``. Its weights are a file, or are downloaded once; reading
them cannot run code. The distance itself is ``metrics.kernel_distance``.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import torch

from dataset.errors import UserError
from dataset.own_program import how_to_install
from dataset.pictures.images import Image
from model.metrics import Values
from model.state_files import STATE_LIMITS, load_tensors

LAYER = "2048"  # the last pooled features, as in the publication of KID
REMEDY = "Download it yourself and name the file with --inception-weights, or do without KID."


def open_features(
    weights: Path | None = None, device: torch.device | None = None
) -> Callable[[Image], Values]:
    """Open the network.

    Parameters
    ----------
    weights : Path, optional
        torch-fidelity's ``weights-inception-2015-12-05-6726825d.pth``. Downloaded into torch's
        cache (91 MB) if left out and not there yet.
    device : torch.device, optional
        Where it runs; the CPU if left out.

    Returns
    -------
    callable
        RGB uint8 (H, W, 3) of any size -> float64 (2048,).

    Raises
    ------
    UserError
        The extra is not installed, or the weights cannot be downloaded or read.
    """
    try:
        from torch_fidelity import feature_extractor_inceptionv3 as inception
    except ImportError as error:
        raise UserError(
            f"KID needs torch-fidelity, the extra `metrics`. {how_to_install('metrics')}"
        ) from error
    state = _read(weights) if weights else _download(inception.URL_INCEPTION_V3)
    try:
        # It unpickles whatever file it is given, so it gets a copy of checked tensors.
        network = inception.FeatureExtractorInceptionV3("inception", [LAYER], _in_memory(state))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(
            f"{weights or 'The download'} holds no Inception weights. {REMEDY}"
        ) from error
    network = network.to(device or torch.device("cpu"))

    def features(image: Image) -> Values:
        picture = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
        with torch.inference_mode():
            found = network(picture.to(device or "cpu"))[0]
        return np.asarray(found[0].cpu(), np.float64)

    return features


def _read(path: Path) -> Any:
    try:
        return load_tensors(path, STATE_LIMITS, torch.device("cpu"))
    except Exception as error:  # torch raises many kinds of errors for a damaged or foreign file
        raise UserError(f"Cannot read Inception's weights from {path}. {REMEDY}") from error


def _download(address: str) -> Any:
    try:
        return torch.hub.load_state_dict_from_url(
            address, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, URLError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(f"Cannot download Inception's weights from {address}. {REMEDY}") from error


def _in_memory(state: Any) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return buffer

"""Settings of the long operations of ``model``. Standard library only: help loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class NetworkOptions:
    """What it takes to build the four networks again from a checkpoint."""

    generator_filters: int = 64  # channels of the generator's first layer
    generator_blocks: int = 9  # residual blocks between the two stride-2 layers and their mirror
    discriminator_filters: int = 64  # channels of the discriminator's first layer
    residual: bool = False  # the generator corrects its input (gain, offset), else draws anew
    resize: bool = False  # upsample and convolve instead of CycleGAN's transposed convolutions


@dataclass(frozen=True)
class TrainOptions:
    """Settings of one training run. The defaults are the paper's.

    Where the paper is silent (lambda, pool, Adam's beta2) they are those of CycleGAN.
    """

    data: Path = Path("data")  # folder with trainA (X) and trainB (Y)
    runs: Path = Path("runs")  # folder of the runs
    run: str = ""  # name of this run's folder; empty: the time of the start
    epochs: int = 200  # passes over the larger domain
    constant_share: float = 0.5  # of the epochs, before the rate falls linearly to 0
    batch_size: int = 4  # frames of each domain in one step
    size: int = 256  # side of the square that the networks see in training, pixels
    load_size: int = 256  # shorter side of the stored frames, area-averaged; 0: as recorded
    steps: int = 0  # stop after so many steps in all; 0: no such limit
    minutes: float = 0.0  # plan the epochs so that training takes about this long; 0: as given
    learning_rate: float = 2e-4  # Adam, all four networks
    beta1: float = 0.5  # Adam, the paper's momentum
    beta2: float = 0.999  # Adam
    cycle_weight: float = 10.0  # lambda of equation (1)
    identity_weight: float = 0.0  # L1 of F(x) - x and G(y) - y; the paper has none
    gan: str = "log"  # log: equations (2) and (3); least-squares: Mao et al., as CycleGAN's code
    minimax: bool = False  # the literal log(1 - D) for the generators; off: -log D
    discriminator_rate: float = 1.0  # the discriminators' learning rate / the generators'
    discriminator_every: int = 1  # generator steps to one discriminator step
    ema: float = 0.0  # decay a step of the generators' average, less at first; 0: none is kept
    pool_size: int = 50  # generated frames kept for each discriminator; 0: none
    flip: bool = True  # mirror half of the frames
    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    precision: str = "auto"  # auto (measured at the start), fp32 or bf16
    memory_format: str = "auto"  # auto (measured), contiguous or channels_last
    compile: str = "auto"  # auto (measured where it can pay), on or off: torch.compile
    graphs: str = "auto"  # auto (measured on CUDA), on or off: the whole step as one CUDA graph
    seed: int = 0  # of the weights, the order of the frames, the crops and the pools
    resume: bool = False  # go on with the newest checkpoint of the run
    init: Path | None = None  # folder with CycleGAN's network files to start from; None: anew
    checkpoint_every: int = 0  # steps between two checkpoints; 0: by time
    checkpoint_minutes: float = 5.0  # minutes between two checkpoints, and one after each epoch
    samples: int = 4  # frames of each domain in a sample grid
    sample_every: int = 1  # epochs between two sample grids
    keep_epochs: tuple[int, ...] = (1, 5, 10, 14, 18)  # Figure 3's epochs keep their F
    network: NetworkOptions = NetworkOptions()

    @property
    def constant_epochs(self) -> int:
        """The number of epochs at the full rate (paper: 100 of 200)."""
        return int(self.epochs * self.constant_share)


def paper_preset() -> TrainOptions:
    """The paper's settings."""
    return TrainOptions()


def cpu_preset() -> TrainOptions:
    """Small residual networks on crops, for a machine without a GPU (trials: docs/LOG.md)."""
    return replace(
        TrainOptions(),
        epochs=20,
        batch_size=4,
        size=128,
        learning_rate=1e-4,
        constant_share=0.25,
        network=NetworkOptions(
            generator_filters=16,
            generator_blocks=6,
            discriminator_filters=32,
            residual=True,
            resize=True,
        ),
    )


def best_preset() -> TrainOptions:
    """The paper's losses with the networks, squares and rate that restored best (docs/LOG.md)."""
    return replace(
        TrainOptions(),
        size=128,
        learning_rate=1e-4,
        constant_share=0.25,
        ema=0.999,
        network=NetworkOptions(residual=True, resize=True),
    )


PRESETS = {"paper": paper_preset, "cpu": cpu_preset, "best": best_preset}


@dataclass(frozen=True)
class RestoreOptions:
    """Settings of ``cli restore``."""

    out: Path | None = None  # file (one input) or folder; None: beside the input
    suffix: str = "_restored"  # after the name of an input
    ext: str = "auto"  # auto: the input's format; png, jpg, webp, tiff
    overwrite: bool = False  # replace an output that exists; an input is never replaced
    skip_existing: bool = False  # leave out inputs whose output exists
    recursive: bool = False  # folders with all that lies below them
    compare: bool = False  # also write input and output side by side
    reference: Path | None = None  # third in the comparison
    method: str = "network"  # or what came before: cielab, ycbcr, gamma
    threshold: float | None = None  # of cielab and ycbcr; None: as published
    strength: float | None = None  # share of the correction, 0 to 1; None: as a picture needs
    detail: str = "auto"  # pictures larger than in training: native, carried, mixed (whole.py)
    runs: Path = Path("runs")  # folder of the runs
    run: str = ""  # name of the run, or a file of weights; empty: the newest with a checkpoint
    onnx: Path | None = None  # a file of `cli export`, run by onnxruntime instead of torch
    device: str = "auto"  # auto, cpu, cuda, mps


@dataclass(frozen=True)
class EvaluateOptions:
    """What is compared, on which pictures, and where the page goes."""

    data: Path = Path("data")  # a data set: pairs.csv, testA (X), testB (Y)
    pairs: Path | None = None  # columns over_exposed,reference; None: pairs.csv of the data set
    over_exposed: Path | None = None  # folder of Y; None: testB where there are no pairs
    well_exposed: Path | None = None  # folder of X; None: testA where testB is taken
    methods: tuple[str, ...] = ("network", "cielab", "ycbcr", "gamma")  # the first is judged
    oracles: bool = True  # best factor and best gamma with the reference in hand, too
    runs: Path = Path("runs")  # folder of the runs
    run: str = ""  # name of the run, or a file of weights; empty: the newest
    device: str = "auto"  # auto, cpu, cuda, mps
    detail: str = "auto"  # as in RestoreOptions
    strength: float | None = None  # as in RestoreOptions
    frames: int = 0  # at most so many pairs, and frames of each domain, evenly spread; 0: all
    inception_weights: Path | None = None  # for KID; None: torch-fidelity's download
    out: Path | None = None  # folder for page, JSON and CSV; None: nothing is written
    swept: int = 24  # pairs that are restored at every threshold for the page; 0: none

"""Settings of training, restoring and evaluating; each field's help text is the option's help.

Standard library only: ``--help`` must not load torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from dataset.errors import UserError
from dataset.setting import setting
from model.built_in import BUILTIN

METHOD_NAMES = ("network", "cielab", "ycbcr", "gamma", "reconstruct")
EXTENSIONS = ("auto", "png", "jpg", "webp", "tiff")
DETAIL_MODES = ("auto", "native", "guided", "mixed")
OLD_DETAIL_MODES = {"carried": "guided"}
KEPT = ("nothing", "unclipped")
TONE_NAMES = ("auto", "bt2390", "reinhard", "hable", "clip")
MOST_STOPS = 20.0  # of exposure, up or down
ON_OFF = ("auto", "on", "off")
MOST_FILTERS = 1024  # channels of a first layer; the paper's networks have 64
MOST_BLOCKS = 64  # residual blocks; the paper's networks have 9
MOST_SIDE = 65_536  # pixels of a training frame
RELEASE_SUFFIX = ".safetensors"  # of an exported network's weights
NEW_WEIGHTS = "none"  # of `TrainOptions.init`
MOST_HELD_OUT = 1024  # frames: they stay in memory, twice
HELD_OUT = 48  # frames, of presets other than the paper's
TOGETHER_HELP = (
    "The pictures are frames of one session, over-exposed alike: how much is found with all of "
    "them in view. For a run of preset physical."
)
RUN_HELP = "Name of a run, a weights file, or builtin: the network that comes with the package."
EPOCH_HELP = "Epoch of the run: best, latest, or a kept one."


@dataclass(frozen=True)
class NetworkOptions:
    """Everything needed to build the networks again from a checkpoint."""

    generator_filters: int = setting(
        64, "Channels of a generator's first layer.", flag="filters", least=1, most=MOST_FILTERS
    )
    generator_blocks: int = setting(
        9, "Residual blocks of a generator.", flag="blocks", least=0, most=MOST_BLOCKS
    )
    discriminator_filters: int = setting(
        64, "Channels of a discriminator's first layer.", least=1, most=MOST_FILTERS
    )
    residual: bool = setting(False, "Predict gain and offset of the input, not a new picture.")
    resize: bool = setting(
        False, "Upsample and convolve instead of transposed convolutions: no checkerboard."
    )
    physical: bool = setting(False)  # F inverts the formation of ``formation``; no discriminators
    linear: bool = setting(
        True,
        "For preset physical: more light multiplies linear light, as a sun or a camera's exposure "
        "does; --no-linear: encoded values, as a brightness filter does.",
    )


@dataclass(frozen=True)
class TrainOptions:
    """Settings of one training run. The defaults are the paper's.

    Where the paper is silent (lambda, pool, Adam's beta2) they are those of CycleGAN.
    """

    data: Path = setting(Path("data"), "Data set with trainA (X) and trainB (Y).", folder=True)
    runs: Path = setting(Path("runs"), "Folder of the runs.", folder=True)
    run: str = setting("", "Name of the run.", shown="the start time")
    epochs: int = setting(200, "Passes over the larger domain.", least=1)
    constant_share: float = setting(0.5)  # share of the epochs before the learning rate decays
    batch_size: int = setting(4, "Frames of each domain per step.", least=1)
    size: int = setting(
        256, "Side of the square training crops, in pixels.", least=32, most=MOST_SIDE
    )
    load_size: int = setting(
        256, "Shorter side that frames are downscaled to; 0: as recorded.", least=0, most=MOST_SIDE
    )
    steps: int = setting(0, "Stop after this many steps in total.", shown="no limit", least=0)
    minutes: float = setting(
        0.0, "Plan the epochs so that training takes about N minutes.", shown="off", least=0
    )
    learning_rate: float = setting(2e-4, "Adam's learning rate.", least=0)
    beta1: float = setting(0.5)  # Adam; the paper's momentum
    beta2: float = setting(0.999)  # Adam
    cycle_weight: float = setting(
        10.0, "Weight of the cycle loss: lambda of equation (1).", least=0
    )
    identity_weight: float = setting(0.0, "Weight of the identity loss; the paper: 0.", least=0)
    gan: str = setting("log", "Adversarial loss; the paper: log.", choices=("log", "least-squares"))
    minimax: bool = setting(False, "Generators minimize log(1 - D) instead of -log D.")
    discriminator_rate: float = setting(
        1.0, "Discriminators' learning rate, relative to the generators'.", least=0
    )
    discriminator_every: int = setting(1, "Generator steps per discriminator step.", least=1)
    ema: float = setting(0.0, "Keep an EMA of the weights; decay per step.", least=0, below=1)
    pool_size: int = setting(50, least=0)  # generated frames kept for each discriminator; 0: none
    flip: bool = setting(True)  # mirror half of the frames
    held_out: int = setting(
        0,
        "Most frames of X that are held out of training (about 5 %), to choose the best epoch by; "
        "0: none, and the last epoch restores.",
        least=0,
        most=MOST_HELD_OUT,
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, mps.")
    precision: str = setting(
        "auto", "Precision of the convolutions; auto: the faster.", choices=("auto", "fp32", "bf16")
    )
    memory_format: str = setting(
        "auto",
        "Memory format of the tensors; auto: the faster.",
        choices=("auto", "contiguous", "channels_last"),
    )
    compile: str = setting("auto", "torch.compile; auto: where it is faster.", choices=ON_OFF)
    graphs: str = setting(
        "auto", "Whole step as one CUDA graph; auto: where faster.", choices=ON_OFF
    )
    seed: int = setting(0, "Random seed.", least=0)  # weights, order of frames, crops, pools
    pairs: Path | None = setting(
        None,
        "For preset physical: learn from the true pairs of this CSV (over_exposed,reference) "
        "instead of DATA. Supervised: an upper bound to compare with.",
        shown="none: unpaired",
    )
    resume: bool = setting(False, "Resume a run: the newest, or --run.")
    init: str | None = setting(
        None,
        "Where the weights start: none (new ones); for preset physical builtin (the network that "
        "comes with the package) or a .safetensors file of `cli export`; for the others a folder "
        "of CycleGAN's networks.",
        metavar="WHERE",
        shown="physical: builtin, others: none",
    )
    checkpoint_every: int = setting(0, "Steps between checkpoints.", shown="by time", least=0)
    checkpoint_minutes: float = setting(
        5.0, "Minutes between checkpoints; each epoch ends with one, too.", least=0
    )
    samples: int = setting(4, least=1)  # frames of each domain in a sample grid
    sample_every: int = setting(1, least=1)  # epochs between sample grids
    keep_epochs: tuple[int, ...] = setting(
        (1, 5, 10, 14, 18)
    )  # epochs of Figure 3, whose F is kept
    network: NetworkOptions = setting(NetworkOptions())

    @property
    def constant_epochs(self) -> int:
        """The number of epochs at the full rate (paper: 100 of 200)."""
        return int(self.epochs * self.constant_share)


def paper_preset() -> TrainOptions:
    """The paper's settings: all of X is learned from, and the last epoch restores."""
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
        held_out=HELD_OUT,
        network=NetworkOptions(
            generator_filters=16,
            generator_blocks=6,
            discriminator_filters=32,
            residual=True,
            resize=True,
        ),
    )


def best_preset() -> TrainOptions:
    """The paper's losses with the networks, crops and rate that restored best (docs/LOG.md)."""
    return replace(
        TrainOptions(),
        size=128,
        learning_rate=1e-4,
        constant_share=0.25,
        ema=0.999,
        held_out=HELD_OUT,
        network=NetworkOptions(residual=True, resize=True),
    )


def physical_preset() -> TrainOptions:
    """No discriminators: F learns to invert the formation of over-exposed frames (docs/LOG.md)."""
    return replace(
        TrainOptions(),
        batch_size=32,
        size=224,
        learning_rate=1e-3,
        beta1=0.9,
        beta2=0.99,
        constant_share=0.25,
        ema=0.998,
        held_out=HELD_OUT,
        pool_size=0,
        compile="off",
        graphs="off",
        network=NetworkOptions(generator_filters=32, generator_blocks=0, physical=True),
    )


PRESETS = {
    "paper": paper_preset,
    "cpu": cpu_preset,
    "best": best_preset,
    "physical": physical_preset,
}
# Settings that mean nothing to a training without discriminators and cycle.
CYCLEGAN_SETTINGS = (
    *("cycle_weight", "identity_weight", "gan", "minimax", "graphs"),
    *("discriminator_rate", "discriminator_every", "discriminator_filters"),
    *("generator_blocks", "residual", "resize"),
)
LENGTHS = ("epochs", "steps", "minutes")  # settings that say how long a training is
MINUTES = 30.0  # of a training on a CPU of which none of them was said


def automatic_preset(on_gpu: bool, asked: Mapping[str, Any]) -> tuple[str, TrainOptions]:
    """Name and settings of ``--preset auto``: the paper's on a GPU, else what restores best soon.

    Parameters
    ----------
    on_gpu : bool
        Whether the training has a GPU.
    asked : mapping
        Settings that were asked for, by name. Those of CycleGAN's rule out `physical`, and a start
        from a network of its kind asks for it.
    """
    start = asked.get("init")
    if start == BUILTIN or str(start).endswith(RELEASE_SUFFIX):
        on_gpu = False
    if on_gpu:
        return "paper", paper_preset()
    if not asked.keys().isdisjoint(CYCLEGAN_SETTINGS) or _is_folder(start):
        return "cpu", cpu_preset()
    options = physical_preset()
    has_length = not asked.keys().isdisjoint(LENGTHS)
    return "physical", options if has_length else replace(options, minutes=MINUTES)


def _is_folder(start: str | None) -> bool:
    """Whether a training starts from a folder of CycleGAN's networks."""
    return start not in (None, NEW_WEIGHTS, BUILTIN) and not str(start).endswith(RELEASE_SUFFIX)


def check_settings(options: TrainOptions) -> None:
    """Refuse what the chosen kind of training does not have, rather than pass over it.

    Raises
    ------
    UserError
        A setting of CycleGAN's that preset physical lacks, or the other way round.
    """
    if not options.network.physical:
        if options.pairs is not None:
            raise UserError(
                "--pairs belongs to --preset physical, the only one that can learn from true "
                "pairs. Leave it out, or add that."
            )
        if not options.network.linear:
            raise UserError("--no-linear belongs to --preset physical. Leave it out, or add that.")
        return
    usual = [_settings_of(each) for each in (TrainOptions(), physical_preset())]
    asked = _settings_of(options)
    odd = [name for name in CYCLEGAN_SETTINGS if asked[name] not in [each[name] for each in usual]]
    if odd:
        raise UserError(
            "Preset physical has no discriminators and no cycle, and its networks have one form: "
            f"leave out {', '.join(map(_flag, odd))}, or choose another --preset."
        )


def _settings_of(options: TrainOptions) -> dict[str, Any]:
    return {**vars(options.network), **vars(options)}


def _flag(name: str) -> str:
    every = (*fields(NetworkOptions), *fields(TrainOptions))
    about = next(each.metadata for each in every if each.name == name)
    return "--" + about.get("flag", name).replace("_", "-")


@dataclass(frozen=True)
class RestoreOptions:
    """Settings of ``cli restore``."""

    out: Path | None = setting(
        None, "Output file (one input) or folder.", shown="beside the input", short=("-o",)
    )
    suffix: str = setting("_restored", "Appended to the name of an input.")
    ext: str = setting("auto", "Output format; auto: the input's.", choices=EXTENSIONS)
    overwrite: bool = setting(False, "Replace existing outputs; inputs are never replaced.")
    skip_existing: bool = setting(False, "Skip inputs whose output exists.")
    resume: bool = setting(
        False, "Go on with videos that were stopped; skip inputs whose output exists."
    )
    recursive: bool = setting(False, "Include subfolders.")
    compare: bool = setting(False, "Also write input and output side by side.")
    reference: Path | None = setting(None, "Third picture of the comparison.")
    method: str = setting("network", "The network, or an earlier method.", choices=METHOD_NAMES)
    threshold: float | None = setting(
        None, "Threshold of cielab (L* 0-100) or ycbcr (Y' 0-255).", shown="as published"
    )
    strength: float | None = setting(
        None, "Share of the correction, 0 to 1.", shown="what each picture needs", least=0, most=1
    )
    keep: str = setting(
        "nothing",
        "What stays as it is. nothing: the whole picture gets its right light; unclipped: only "
        "clipped areas are filled.",
        choices=KEPT,
    )
    together: bool = setting(False, TOGETHER_HELP)
    exposure: float = setting(
        0.0, "HDR files: stops brighter, darker below 0.", least=-MOST_STOPS, most=MOST_STOPS
    )
    tone: str = setting(
        "auto",
        "HDR files: the curve that rolls highlights off. auto: bt2390 where the file says how "
        "bright its white is, reinhard where not.",
        choices=TONE_NAMES,
    )
    detail: str = setting(
        "auto",
        "How pictures larger than in training are restored.",
        choices=DETAIL_MODES,
        old_choices=OLD_DETAIL_MODES,
    )
    runs: Path = setting(Path("runs"), "Folder of the runs.", folder=True)
    run: str = setting("", RUN_HELP, shown="the newest run; without any, builtin")
    epoch: str = setting("", EPOCH_HELP, shown="best if there is one, else latest")
    onnx: Path | None = setting(None, "Use this .onnx file of `cli export`, with onnxruntime.")
    device: str = setting("auto", "auto, cpu, cuda, mps.")


@dataclass(frozen=True)
class EvaluateOptions:
    """What is compared, on which pictures, and where the page goes."""

    data: Path = setting(Path("data"), "Data set: pairs.csv, testA (X), testB (Y).", folder=True)
    pairs: Path | None = setting(
        None, "CSV with columns over_exposed,reference[,gain].", shown="DATA/pairs.csv"
    )
    over_exposed: Path | None = setting(
        None, "Over-exposed pictures (Y).", shown="testB if there are no pairs", folder=True
    )
    well_exposed: Path | None = setting(
        None,
        "Well-exposed pictures (X), which should not change.",
        shown="testA, with testB",
        folder=True,
    )
    video: Path | None = setting(
        None,
        "Measure instead how much this video flickers, as it is and restored.",
    )
    methods: tuple[str, ...] = setting(METHOD_NAMES, "Methods to compare; the first one is judged.")
    oracles: bool = setting(True, "Also bounds that know the reference: best factor, true k.")
    runs: Path = setting(Path("runs"), "Folder of the runs.", folder=True)
    run: str = setting("", RUN_HELP, shown="the newest run; without any, builtin")
    epoch: str = setting("", EPOCH_HELP, shown="best if there is one, else latest")
    device: str = setting("auto", "auto, cpu, cuda, mps.")
    detail: str = setting(
        "auto",
        "How pictures larger than in training are restored.",
        choices=DETAIL_MODES,
        old_choices=OLD_DETAIL_MODES,
    )
    together: bool = setting(False, TOGETHER_HELP)
    strength: float | None = setting(
        None, "Share of the correction, 0 to 1.", shown="what each picture needs", least=0, most=1
    )
    frames: int = setting(
        0, "Most pairs, and most pictures per domain, evenly spaced.", shown="all", least=0
    )
    inception_weights: Path | None = setting(
        None, "Inception weights for KID.", shown="torch-fidelity's download"
    )
    out: Path | None = setting(None, "Folder for a page with pictures, JSON and CSV.", folder=True)
    swept: int = setting(24, "Pairs in the page's threshold sweep; 0: no sweep.", least=0)

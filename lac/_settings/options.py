"""The choices of training: losses, presets, and the options of a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import lac.losses
from lac._hints import did_you_mean

_PRESETS = files("lac") / "configs"
LOSSES = {
    name.removesuffix("Loss").lower(): f"lac.losses.{name}"
    for name in lac.losses.__all__
    if name.endswith("Loss") and name != "Loss"
}
DEFAULT_LOSS = "across"  # as `EmbeddingModule` has it
TRAINER_DEFAULTS: Mapping[str, Any] = {
    "max_epochs": 30,
    "devices": 1,
    "deterministic": "warn",  # exact on the CPU; some CUDA kernels have no such form
    "gradient_clip_val": 1.0,
    "use_distributed_sampler": False,  # the data's own sampler divides the clips
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}
NOT_OURS = ("optimizer", "lr_scheduler")  # Lightning's: refused where all settings are there


@dataclass(frozen=True)
class RunOptions:
    """The options of a run beside the settings of its parts.

    Parameters
    ----------
    run : Path, optional
        Run directory (default: the next runs/SOURCE-N). Started again with it, a run goes on.
    threads : int
        Threads of torch on the CPU; more help large models on idle cores alone.
    protocol : {"ours", "carl", "tcc"}
        How the run is evaluated at its end.
    patience : int, optional
        Stop after this many epochs without a lower validation loss, and evaluate the best
        checkpoint (default: train to the end, and evaluate the last).
    ema : float, optional
        Decay of an exponential moving average of the weights, by step; the average is what is
        validated, kept and evaluated (default: none).
    figures_every : int
        Epochs between figures in TensorBoard and `figures/`; 0 for none.

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    run: Path | None = None
    threads: int = 1
    protocol: Literal["ours", "carl", "tcc"] = "ours"
    patience: int | None = None
    ema: float | None = None
    figures_every: int = 10

    def __post_init__(self) -> None:
        """Check the options."""
        for name, least in (("threads", 1), ("patience", 1), ("figures_every", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"`{name}` must be >= {least}, got {value}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"`ema` must be in (0, 1), got {self.ema}")


def loss_class(name: str) -> str:
    """Return the dotted name of a loss by any of its names; other dotted names as they are.

    Raises
    ------
    ValueError
        If there is no such loss.

    Examples
    --------
    >>> loss_class("scl"), loss_class("TccLoss")
    ('lac.losses.SclLoss', 'lac.losses.TccLoss')
    """
    package, _, own = name.rpartition(".")
    if package not in ("", "lac.losses"):
        return name
    short = own.lower().removesuffix("loss")
    if short not in LOSSES:
        raise ValueError(
            f"`model.loss` must be one of {', '.join(LOSSES)} or a class by its dotted name,"
            f" got {name!r}{did_you_mean(short, LOSSES)}"
        )
    return LOSSES[short]


def find_preset(name: str) -> str:
    """Return the path of a configuration file, or of a preset of that name.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    if Path(name).is_file():
        return name
    preset = _PRESETS / Path(name).with_suffix(".yaml").name
    own = Path(name).parent in (Path(), Path("lac/configs"))
    if own and preset.is_file():
        return str(preset)
    raise FileNotFoundError(
        f"`config` must be a file or one of {', '.join(presets())},"
        f" got {name!r}{did_you_mean(Path(name).stem, presets())}"
    )


def presets() -> list[str]:
    """Return the names of the presets."""
    return sorted(Path(str(file)).stem for file in _PRESETS.iterdir())


def refuse_what_cannot_train(setting: Callable[[str], Any]) -> None:
    """Refuse settings that training cannot use, or that would make it fail late.

    Parameters
    ----------
    setting : callable
        From a dotted name to the value.

    Raises
    ------
    ValueError
        If there are such.
    """
    for name in NOT_OURS:
        if setting(name) is not None:
            raise ValueError(
                f"`{name}` must be null, as training has its own (see `model.learning_rate`,"
                f" `model.weight_decay`, `model.warmup`), got {setting(name)}"
            )
    for name in ("trainer.fast_dev_run", "trainer.barebones"):
        if setting(name):
            raise ValueError(
                f"`{name}` must be false, as it keeps no checkpoint to evaluate,"
                f" got {setting(name)}"
            )
    steps, epochs = setting("trainer.max_steps"), setting("trainer.max_epochs")
    accumulated = setting("trainer.accumulate_grad_batches")
    if accumulated < 1:
        raise ValueError(f"`trainer.accumulate_grad_batches` must be >= 1, got {accumulated}")
    if steps < 1 and (epochs or 1) < 1:
        raise ValueError(
            "`trainer.max_epochs` must be >= 1 unless `trainer.max_steps` is, as the learning"
            f" rate falls to the end, got {epochs}"
        )
    source, backbone = setting("data.source"), setting("model.encoder.backbone")
    if (source == "features") != (backbone == "none"):
        raise ValueError(
            "`model.encoder.backbone` must be 'none' for `data.source` 'features' and for no"
            f" other, got {backbone!r} for {source!r}"
        )


def changed(run: Path, name: str, before: Any, now: Any) -> str:
    """Say that a run cannot go on with another setting."""
    return (
        f"`{name}` must be as the run {run} was started, {before}, got {now}; choose another --run"
    )

"""From the command line or a run directory to module, data and trainer."""

import argparse
import logging
import warnings
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

import torch
import yaml
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from lac._checkpoint import AtomicCheckpointIO
from lac._logging import FigureLogger, RunCSVLogger
from lac._run import RunDirectory, flat_settings, next_run
from lac._training import EmbeddingModule
from lac.data import ClipDataModule, read_features, read_source
from lac.data.sources import recognise

_PRESETS = files("lac") / "configs"
_COMMAND = "python -m lac.train"
_ANYWHERE = (
    *("--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.strategy=auto"),
    *("--trainer.num_nodes=1", "--trainer.precision=32-true", "--trainer.plugins=null"),
)


def quiet_lightning() -> None:
    """Silence Lightning's advertisements, and its notes on how it was called."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (".*LightningCLI's args parameter.*", ".*LeafSpec.*", ".*num_workers.*"):
        warnings.filterwarnings("ignore", message=message)


class RunCLI(LightningCLI):
    """Typed settings of module, data and trainer, and the run directory they belong to.

    Parameters
    ----------
    args : sequence of str
        The command line. With `--run` of a run that has been started, its settings come first.
    name : str, optional
        What a run without `--run` is called, its number apart; its source if absent.

    Attributes
    ----------
    run : RunDirectory
        Where the run is, or will be.
    settings : str
        The resolved configuration, YAML.

    Raises
    ------
    FileNotFoundError
        If a configuration file is missing.
    ValueError
        If a setting is out of range, or differs from those that the run was started with.
    """

    def __init__(self, args: Sequence[str], *, name: str | None = None):
        """Parse, check, and build everything; write nothing."""
        self._name = name
        first = argparse.ArgumentParser(prog=_COMMAND, add_help=False, allow_abbrev=False)
        first.add_argument("--run", type=Path)
        first.add_argument("--config", "-c", action="append", default=[])
        known, rest = first.parse_known_args(list(args))
        presets = [_find_preset(name) for name in known.config]
        self.run = RunDirectory(known.run) if known.run else None
        self._started = self.run is not None and self.run.config.exists()
        if self.run is not None and self._started:
            self.run.read_settings()  # that they are whole
            presets.insert(0, str(self.run.config))
        super().__init__(
            EmbeddingModule,
            ClipDataModule,
            args=[*(word for preset in presets for word in ("--config", preset)), *rest],
            run=False,
            seed_everything_default=0,
            save_config_callback=None,
            trainer_defaults={
                "max_epochs": 30,
                # A GPU of CUDA if there is one; fastsw has no kernels for other accelerators.
                "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
                "devices": 1,
                "deterministic": "warn",  # exact on the CPU; some CUDA kernels have no such form
                "gradient_clip_val": 1.0,
                "use_distributed_sampler": False,  # the data's own sampler divides the clips
                "num_sanity_val_steps": 0,
                "log_every_n_steps": 1,
                "enable_model_summary": False,
                "enable_checkpointing": False,
            },
            parser_kwargs={
                "prog": _COMMAND,
                "description": "Train an embedding of the frames of videos, and evaluate it.",
            },
        )

    @classmethod
    def of_run(cls, run: RunDirectory, *, root: Path | None = None) -> Self:
        """Build what a run was started with, on other clips if `root` is given.

        Its trainer is one for this machine, which need not have what the run was trained on.
        """
        run.read_settings()  # that they are there and whole
        other = []
        if root is not None:
            other = ["--data.source", recognise(root) or "folder", "--data.root", str(root)]
        return cls(["--config", str(run.config), *_ANYWHERE, *other])

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Show the run directory in the help, and let one seed decide everything."""
        parser.add_argument(
            "--run", type=Path | None, help="run directory (default: the next runs/SOURCE-N)"
        )
        parser.add_argument(
            "--threads",
            type=PositiveInt,
            default=1,
            help="threads of torch on the CPU; more help large models on idle cores alone",
        )
        parser.add_argument(
            "--protocol",
            type=Literal["ours", "carl", "tcc"],
            default="ours",
            help="how the run is evaluated at its end",
        )
        parser.add_argument(
            "--patience",
            type=PositiveInt | None,
            help="stop after this many epochs without a lower validation loss, and evaluate the"
            " best checkpoint (default: train to the end, and evaluate the last)",
        )
        parser.add_argument(
            "--ema",
            type=OpenUnitInterval | None,
            help="decay of an exponential moving average of the weights, by step; the average is"
            " what is validated, kept and evaluated (default: none)",
        )
        parser.add_argument(
            "--figures_every",
            type=NonNegativeInt,
            default=10,
            help="epochs between similarity, posterior and embedding figures in TensorBoard; 0"
            " for none",
        )
        parser.link_arguments("seed_everything", "data.seed")

    def before_instantiate_classes(self) -> None:
        """Settle the run directory, and compare with the settings it was started with."""
        self._refuse_what_cannot_train()
        self._fit_encoder_to_features()
        config = self.config.clone()
        if config.data.root is not None:
            config.data.root = Path(config.data.root).resolve()
        for key in ("run", "config"):
            config.pop(key, None)
        self.settings = self.parser.dump(config, skip_unset=False, skip_validation=True)
        if self.run is None:
            self.run = RunDirectory(next_run(Path("runs"), self._name or self.config.data.source))
        elif self._started:
            _refuse_changes(self.run, yaml.safe_load(self.settings))

    def _refuse_what_cannot_train(self) -> None:
        """Refuse settings of Lightning that training has no place for, or would fail at late."""
        for name in ("optimizer", "lr_scheduler"):
            if self.config[name] is not None:
                raise ValueError(
                    f"`{name}` must be null, as training has its own (see `model.learning_rate`,"
                    f" `model.weight_decay`, `model.warmup`), got {self.config[name].class_path}"
                )
        trainer = self.config.trainer
        for name in ("fast_dev_run", "barebones"):
            if trainer[name]:
                raise ValueError(
                    f"`trainer.{name}` must be false, as it keeps no checkpoint to evaluate,"
                    f" got {trainer[name]}"
                )
        if trainer.accumulate_grad_batches < 1:
            raise ValueError(
                "`trainer.accumulate_grad_batches` must be >= 1,"
                f" got {trainer.accumulate_grad_batches}"
            )
        if trainer.max_steps < 1 and (trainer.max_epochs or 1) < 1:
            raise ValueError(
                "`trainer.max_epochs` must be >= 1 unless `trainer.max_steps` is, as the learning"
                f" rate falls to the end, got {trainer.max_epochs}"
            )

    def _fit_encoder_to_features(self) -> None:
        """For clips that are features: take the width of the encoder's input from them."""
        data, encoder = self.config.data, self.config.model.encoder.init_args
        given = data.source == "features"
        if given != (encoder.backbone == "none"):
            raise ValueError(
                "`model.encoder.backbone` must be 'none' for `data.source` 'features' and for no"
                f" other, got {encoder.backbone!r} for {data.source!r}"
            )
        if given and encoder.channels is None and data.root is not None:
            first = read_source("features", Path(data.root)).clips[0]
            encoder.channels = read_features(first.path).shape[1]

    def instantiate_classes(self) -> None:
        """Build everything; hold loss against data, and hand a frozen backbone to the data."""
        super().instantiate_classes()
        self.model.loss.check(
            frames=self.datamodule.views.frames, dimension=self.model.encoder.dimension
        )
        self.datamodule.extractor = self.model.encoder.extractor

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the trainer with the run's loggers, progress bar and safe checkpoints."""
        assert self.run is not None
        path = self.run.path
        kwargs.setdefault("plugins", [AtomicCheckpointIO()])
        kwargs.setdefault("callbacks", self._callbacks())
        kwargs.setdefault(
            "logger",
            [TensorBoardLogger(path, name="tensorboard", version=""), RunCSVLogger(path)],
        )
        return super().instantiate_trainer(**kwargs)

    def _callbacks(self) -> list[Callback]:
        """Return the callbacks that the settings ask for, the user's own first.

        Checkpoints hold what callbacks keep, so that must be plain numbers.
        """
        settings = self.config_init
        callbacks: list[Callback] = list(settings.trainer.callbacks or [])
        callbacks.append(RichProgressBar(leave=True))
        if settings.ema is not None:
            callbacks.append(EMAWeightAveraging(decay=float(settings.ema)))
        if settings.figures_every:
            callbacks.append(FigureLogger(every=settings.figures_every))
        if settings.patience is not None:
            callbacks.append(EarlyStopping("val/loss", patience=int(settings.patience)))
        return callbacks

    def add_checkpoints(self) -> None:
        """Keep the last epoch, and the best by validation loss if the data has such clips."""
        assert self.run is not None
        kept: list[Callback] = [
            ModelCheckpoint(
                dirpath=self.run.checkpoints,
                filename="last",
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        ]
        if self.datamodule.collection.select("val"):
            kept.insert(
                0,
                ModelCheckpoint(
                    dirpath=self.run.checkpoints,
                    filename="best",
                    monitor="val/loss",
                    save_on_train_epoch_end=True,
                    enable_version_counter=False,
                ),
            )
        self.trainer.callbacks += kept  # type: ignore[attr-defined]


def _find_preset(name: str) -> str:
    """Return the path of a configuration file, or of the package's own of that name."""
    if Path(name).exists():
        return name
    preset = _PRESETS / Path(name).with_suffix(".yaml").name
    own = Path(name).parent in (Path(), Path("lac/configs"))
    if own and preset.is_file():
        return str(preset)
    names = sorted(Path(str(file)).stem for file in _PRESETS.iterdir())
    raise FileNotFoundError(f"`config` must be a file or one of {', '.join(names)}, got {name!r}")


def _refuse_changes(run: RunDirectory, settings: Mapping[str, Any]) -> None:
    """Raise if a run would go on with other settings than it was started with."""
    before = dict(flat_settings(run.read_settings()))
    now = dict(flat_settings(settings))
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise ValueError(
                f"`{key}` must be as the run {run.path} was started, {before.get(key)},"
                f" got {now.get(key)}; choose another --run"
            )

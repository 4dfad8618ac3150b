"""From the command line or a run directory to module, data and trainer."""

import argparse
import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
import yaml
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import (
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from lac._callbacks import FigureLogger, PlainProgress, RunCSVLogger
from lac._checkpoint import AtomicCheckpointIO
from lac._hints import program
from lac._module import EmbeddingModule
from lac._run_directory import RunDirectory, flat_settings, next_run
from lac._settings.options import (
    TRAINER_DEFAULTS,
    RunOptions,
    changed,
    find_preset,
    loss_class,
    refuse_what_cannot_train,
)
from lac._settings.sketch import sketch
from lac.data import ClipDataModule, read_features, read_source
from lac.data.sources import recognise

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
        first = argparse.ArgumentParser(prog=program("train"), add_help=False, allow_abbrev=False)
        first.add_argument("--run", type=Path)
        first.add_argument("--config", "-c", action="append", default=[])
        known, rest = first.parse_known_args(list(args))
        presets = [find_preset(name) for name in known.config]
        self.run = RunDirectory(known.run) if known.run else None
        self._started = self.run is not None and self.run.config.exists()
        if self.run is not None and self._started:
            self.run.read_settings()  # that they are whole
            presets.insert(0, str(self.run.config))
        super().__init__(
            EmbeddingModule,
            ClipDataModule,
            args=[*(word for preset in presets for word in ("--config", preset)), *_in_full(rest)],
            run=False,
            seed_everything_default=0,
            save_config_callback=None,
            trainer_defaults={
                **TRAINER_DEFAULTS,
                # A GPU of CUDA if there is one; fastsw has no kernels for other accelerators.
                "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
            },
            parser_kwargs={
                "prog": program("train"),
                "exit_on_error": False,
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
        """Take the options of a run too, and let one seed decide everything."""
        described = sketch(RunOptions)
        for name, option in described.parameters.items():
            parser.add_argument(
                f"--{name}",
                type=option.annotation,
                default=option.default,
                help=described.descriptions[name],
            )
        parser.link_arguments("seed_everything", "data.seed")

    def before_instantiate_classes(self) -> None:
        """Determine the run directory, and compare with the settings it was started with."""
        RunOptions(**{name: self.config[name] for name in sketch(RunOptions).parameters})
        refuse_what_cannot_train(self._setting)
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

    def _setting(self, name: str) -> Any:
        """Return a setting by its dotted name without `init_args`."""
        value = self.config.get(name.replace("encoder.", "encoder.init_args."))
        return getattr(value, "class_path", value)

    def _fit_encoder_to_features(self) -> None:
        """Where clips are features, take the width of the encoder's input from them."""
        data, encoder = self.config.data, self.config.model.encoder.init_args
        if data.source == "features" and encoder.channels is None and data.root is not None:
            first = read_source("features", Path(data.root)).clips[0]
            encoder.channels = read_features(first.path).shape[1]

    def instantiate_classes(self) -> None:
        """Build everything; check the loss against the data, and give them the frozen backbone."""
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
        if settings.trainer.enable_progress_bar is not False:
            terminal = sys.stdout.isatty()
            callbacks.append(RichProgressBar(leave=True) if terminal else PlainProgress())
        if settings.ema is not None:
            callbacks.append(EMAWeightAveraging(decay=float(settings.ema)))
        if settings.figures_every:
            assert self.run is not None
            callbacks.append(FigureLogger(every=settings.figures_every, directory=self.run.figures))
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


def _in_full(args: Sequence[str]) -> list[str]:
    """Replace the short name of a loss on a command line by its dotted name."""
    words = list(args)
    for place, word in enumerate(words):
        name, assigned, value = word.partition("=")
        if name not in ("--model.loss", "--model.loss.class_path"):
            continue
        if assigned:
            words[place] = f"{name}={loss_class(value)}"
        elif place + 1 < len(words):
            words[place + 1] = loss_class(words[place + 1])
    return words


def _refuse_changes(run: RunDirectory, settings: Mapping[str, Any]) -> None:
    """Refuse to continue a run with other settings than it was started with."""
    before = dict(flat_settings(run.read_settings()))
    now = dict(flat_settings(settings))
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise ValueError(changed(run.path, key, before.get(key), now.get(key)))

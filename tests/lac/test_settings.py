"""What commands know of settings without importing what takes them is what that says itself."""

import inspect
from importlib import import_module
from pathlib import Path
from typing import Literal

import pytest
import yaml

import lac
from lac._run_directory import flat_settings
from lac._settings.kinds import convert
from lac._settings.options import LOSSES, loss_class, presets
from lac._settings.run_cli import RunCLI
from lac._settings.settings import Settings
from lac._settings.sketch import Unknown, sketch_of
from lac.cli import train

CLASSES = [
    ("lac._module", "EmbeddingModule"),
    ("lac.data", "ClipDataModule"),
    ("lac.encoder", "Encoder"),
    ("lac.encoder", "TemporalTransformer"),
    *(("lac.losses", name.rpartition(".")[2]) for name in LOSSES.values()),
]


@pytest.mark.parametrize(("module", "name"), [*CLASSES, ("lightning.pytorch", "Trainer")])
def test_a_sketch_has_the_settings_of_the_class(module, name):
    read = sketch_of(f"{module}.trainer.trainer" if name == "Trainer" else module, name)
    real = inspect.signature(getattr(import_module(module), name)).parameters
    assert list(read.parameters) == list(real)
    for own, parameter in read.parameters.items():
        if not isinstance(parameter.default, Unknown):
            assert parameter.default == real[own].default
        if "Unknown" not in str(parameter.annotation) and name != "Trainer":
            assert parameter.annotation == real[own].annotation
    if name != "Trainer":
        assert read.descriptions.keys() == read.parameters.keys()


@pytest.mark.parametrize(
    ("module", "name", "settings"),
    [
        ("lac._module", "EmbeddingModule", {"learning_rate": 0}),
        ("lac._module", "EmbeddingModule", {"warmup": 1}),
        ("lac.data", "ClipDataModule", {"workers": -1}),
        ("lac.data", "ClipDataModule", {"source": "nowhere"}),
        ("lac.data", "ClipDataModule", {"source": "grid"}),
        ("lac.data", "ClipDataModule", {"min_crop": 0}),
        ("lac.encoder", "Encoder", {"dimension": 0}),
        ("lac.encoder", "Encoder", {"stage": 2}),
        ("lac.encoder", "Encoder", {"channels": 3}),
        ("lac.encoder", "TemporalTransformer", {"width": 10, "heads": 4}),
        ("lac.losses", "LacLoss", {"gap_open": 0}),
        ("lac.losses", "LacLoss", {"alignment": "other"}),
        ("lac.losses", "TccLoss", {"pairs": "other"}),
        ("lac.losses", "GtaLoss", {"label_smoothing": 1}),
    ],
)
def test_a_sketch_refuses_what_the_class_refuses(module, name, settings):
    refusals = []
    for take in (sketch_of(module, name).check, getattr(import_module(module), name)):
        with pytest.raises(ValueError) as refusal:
            take(**settings)
        refusals.append(str(refusal.value))
    assert refusals[0] == refusals[1]


@pytest.mark.filterwarnings("ignore")  # Lightning's, of being called from Python
def test_settings_and_defaults_are_those_of_the_parser(tmp_path):
    parsed = RunCLI([f"--run={tmp_path}", "--trainer.accelerator=auto"]).settings
    real = {
        name.replace(".init_args", ""): value
        for name, value in flat_settings(yaml.safe_load(parsed))
        if not name.endswith("class_path")
    }
    known = Settings([])
    groups = {"data.augmentation", "data.rendered", "model.encoder", "model.loss"}
    names = {*known.names()} - groups - {"config", "help", "help-all", "print_config", "run"}
    assert names | {"optimizer", "lr_scheduler"} == real.keys()
    plain = {
        "data.augmentation.scale": list,
        "model.loss.ramp": list,
        "seed_everything": lambda _: 0,
    }
    for name in names:
        default = known[name]
        assert plain.get(name, lambda value: value)(default) == real[name], name
    (tmp_path / "printed.yaml").write_text(parsed)
    Settings(["--config", str(tmp_path / "printed.yaml")]).check()


@pytest.mark.parametrize("preset", presets())
def test_presets_are_let_pass(preset, tmp_path):
    settings = Settings(["--config", preset, f"--data.root={tmp_path}"])
    if preset == "rendered":
        settings.check()
    else:  # as far as the folder, which holds nothing
        with pytest.raises((ValueError, OSError), match=r"`root` must"):
            settings.check()


def test_files_may_hold_all_settings_in_any_order(tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "a.npy").touch()
    settings = {
        "seed_everything": True,
        "optimizer": None,
        "trainer": {"logger": {"class_path": "CSVLogger", "init_args": {"save_dir": "."}}},
        "model": {
            "loss": {"init_args": {"variance": 3}, "class_path": "lac.losses.SclLoss"},
            "encoder": {"init_args": {"backbone": "none", "channels": None}},
        },
        "data": {"source": "features", "root": str(tmp_path), "augmentation": None},
    }
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    read = Settings(["--config", str(tmp_path / "all.yaml")])
    read.check()
    assert read["model.loss.variance"] == 3 and read["data.augmentation"] is None


def test_a_loss_takes_over_what_it_shares_with_the_one_before():
    settings = Settings(["--config=pouring", "--model.loss=scl", "--model.loss.variance=3"])
    assert settings["model.loss.temperature"] == 0.1 and settings["model.loss.variance"] == 3
    assert settings["model.loss.sigma"] is None


def test_settings_of_other_classes_are_left_to_the_parser():
    settings = Settings(
        [
            *("--model.encoder", "mine.Encoder", "--model.encoder.depth", "3"),
            *("--model.loss=lac.losses.scl.SclLoss", "--model.loss.other=3"),
            *("--model.loss=mine.Loss", "--model.loss.init_args.weight=3"),
            *("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"),
        ]
    )
    settings.check()


@pytest.mark.filterwarnings("ignore")  # Lightning's, of being called from Python
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--trainer.logger=Mine", "`trainer.logger` must be of Logger, Iterable[Logger], bool"),
        ("--trainer.precision=8", "'64-true'], Literal['64', '32', '16', 'bf16'], NoneType, got 8"),
        ("--model.loss=mine.Loss", "`model.loss`: Problem with given class_path 'mine.Loss'"),
        ("--trainer.strategy=mine", "You selected an invalid strategy name"),
    ],
)
def test_what_lightning_refuses_is_one_line(option, message, tmp_path):
    with pytest.raises(SystemExit) as refusal:
        train.main([f"--run={tmp_path}", option])
    assert message in refusal.value.code and "\n" not in refusal.value.code
    assert not (tmp_path / "config.yaml").exists()


@pytest.mark.parametrize("name", ["scl", "SCL", "SclLoss", "sclloss", "lac.losses.SclLoss"])
def test_losses_have_short_names(name):
    assert loss_class(name) == "lac.losses.SclLoss"
    assert loss_class("mine.SclLoss") == "mine.SclLoss"


@pytest.mark.filterwarnings("ignore")  # Lightning's, of being called from Python
def test_a_short_name_chooses_the_loss(tmp_path):
    for words in (["--model.loss=tcc"], ["--model.loss", "tcc"], ["--model.loss.class_path=tcc"]):
        cli = RunCLI(["--config=rendered", f"--run={tmp_path}", *words])
        assert isinstance(cli.model.loss, lac.losses.TccLoss)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, int, 3),
        (3, float, 3.0),
        ("1e-3", float, 0.001),
        ("a", str, "a"),
        (7, str, "7"),
        ("a", Path | None, Path("a")),
        (None, Path | None, None),
        ([1, 2], tuple[float, float], (1.0, 2.0)),
        ([], tuple[int, ...], ()),
        (32, Literal["16", "32"], "32"),
        ({"a": 1}, Unknown, {"a": 1}),
    ],
)
def test_values_are_taken_as_their_type_has_them(value, kind, expected):
    found = convert(value, kind)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (True, int, "must be a whole number, got True"),
        (1.5, int | None, "must be a whole number or null, got 1.5"),
        ("x", float, "must be a number, got 'x'"),
        ([1], tuple[float, float], r"must be a list of numbers, got \[1\]"),
        ("c", Literal["a", "b"], "must be one of a, b, got 'c'"),
        ([1], str, r"must be a text, got \[1\]"),
        (None, bool, "must be true or false, got None"),
    ],
)
def test_values_of_another_type_are_refused(value, kind, message):
    with pytest.raises(TypeError, match=message):
        convert(value, kind)

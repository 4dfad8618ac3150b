"""The command line: a run is complete, survives a kill, and refuses what it cannot do."""

import inspect
import json
import math
import pickle
import shutil
import signal
import time
from types import SimpleNamespace

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import lac.losses
from lac._hints import call
from lac._module import EmbeddingModule
from lac._settings.run_cli import RunCLI
from lac.cli import compare, evaluate, train
from lac.data import ClipDataModule, Rendered, read_video
from tests.support.layouts import penn_action
from tests.support.training_runs import TINY, finish, load, logged, start


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for all runs."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def finished(cache, tmp_path_factory):
    """A run without interruption."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, finish(start(run, cache))


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_run_leaves_everything_behind(finished):
    run, output = finished
    assert "learned" in output
    assert "time only" in output
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["split"] == "val"
    assert {"learned", "time only"} <= metrics["metrics"].keys()
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    assert (run / "csv" / "metrics.csv").exists()
    assert list((run / "tensorboard").glob("events*"))
    figures = {p.name for p in (run / "figures").iterdir() if p.suffix == ".png"}
    assert figures == {"similarity.png", "posterior.png", "embedding.png"}
    assert "parameters" in output
    assert metrics["training"]["steps"] == load(run)["global_step"]
    tensorboard = EventAccumulator(str(run / "tensorboard")).Reload()
    assert {"similarity", "posterior", "embedding"} <= set(tensorboard.Tags()["images"])
    retrieval, aligned = (  # of two validation clips
        read_video(run / "figures" / f"{name}.mp4").frames for name in ("retrieval", "aligned")
    )
    assert retrieval.shape[3] == 2 * retrieval.shape[2]
    assert len(aligned) == len(retrieval) and aligned.shape[2] > 360 and aligned.shape[3] > 720


@pytest.mark.slow
@pytest.mark.subprocess
def test_training_lowers_the_loss_and_learns_the_penalties_without_decay(finished):
    run, _ = finished
    losses = logged(run, "train/loss")
    assert sum(losses[-3:]) < sum(losses[:3])
    state = load(run)
    penalties = state["state_dict"]["loss.raw_gap_open"], state["state_dict"]["loss.raw_gap_extend"]
    assert all(torch.isfinite(p) for p in penalties)
    groups = state["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] > 0 for group in groups] == [True, False, False]
    assert len(groups[2]["params"]) == len(penalties)


def kill_and_go_on(run, cache, *options):
    """Kill a run when its first checkpoint is there, start it again, and return both states."""
    process = start(run, cache, *options)
    deadline = time.monotonic() + 120
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stopped = load(run)
    (run / "checkpoints" / "last.ckpt.part").write_bytes(b"half a checkpoint")
    assert "Resuming" in finish(start(run, cache, *options))
    resumed = load(run)
    assert stopped["epoch"] < resumed["epoch"], "the run was over before it could be killed"
    return resumed


@pytest.fixture
def heeded_ctrl_c():
    """Processes heed Ctrl-C even where tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.usefixtures("heeded_ctrl_c")
def test_ctrl_c_says_how_to_go_on(cache, tmp_path):
    process = start(tmp_path / "a run", cache, "--trainer.max_epochs=100")
    deadline = time.monotonic() + 120
    while not (tmp_path / "a run" / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output.endswith(
        f"interrupted; go on with: {call('lac.train')} --run '{tmp_path}/a run'\n"
    )
    assert "Traceback" not in output


@pytest.mark.smoke(1)
@pytest.mark.filterwarnings("ignore")  # Lightning's, of being called from Python
@pytest.mark.parametrize(
    "during", ["lac.data.ClipDataModule.setup", "lac.cli._fit.train", "lac.cli.evaluate.evaluate"]
)
def test_ctrl_c_at_any_time_leaves_a_run_that_goes_on(during, cache, tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    small = [*TINY, "--trainer.max_epochs=1", f"--data.cache={cache}", f"--run={tmp_path / 'run'}"]
    with monkeypatch.context() as patch:
        patch.setattr(during, interrupt)
        with pytest.raises(SystemExit) as end:
            train.main(small)
    assert end.value.code == 130
    command = f"interrupted; go on with: {call('lac.train')} --run {tmp_path}/run"
    assert capsys.readouterr().err.endswith(f"{command}\n")
    resumed = RunCLI(["--run", str(tmp_path / "run")])
    assert resumed.config.data.frames == 12


def test_ctrl_c_while_lightning_loads_tells_the_command(tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "_build", interrupt)
    with pytest.raises(SystemExit) as end:
        train.main(["--run", str(tmp_path / "a run")])
    assert end.value.code == 130
    expected = f"begin with: {call('lac.train')} --run '{tmp_path}/a run'\n"
    assert capsys.readouterr().err.endswith(expected)


def assert_same_run(run, resumed, whole_run):
    whole = load(whole_run)
    assert resumed["global_step"] == whole["global_step"]
    for part in {"state_dict", "current_model_state"} & whole.keys():
        assert resumed[part].keys() == whole[part].keys()
        for name, weight in whole[part].items():
            assert torch.equal(resumed[part][name], weight), name
    metrics = [json.loads((r / "metrics.json").read_text())["metrics"] for r in (run, whole_run)]
    assert metrics[0] == metrics[1]
    for name in ("step", "train/loss", "val/loss"):
        assert logged(run, name) == logged(whole_run, name)  # one file, no step twice


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_killed_run_goes_on_to_bit_identical_weights(finished, cache, tmp_path):
    # Workers begin on the batches of an epoch before Lightning tells which; the whole run has none.
    resumed = kill_and_go_on(tmp_path, cache, "--data.workers=1")
    assert_same_run(tmp_path, resumed, finished[0])


@pytest.mark.slow
@pytest.mark.subprocess
def test_averages_and_accumulated_gradients_survive_a_kill(cache, tmp_path):
    options = ["--ema=0.5", "--trainer.accumulate_grad_batches=2", "--patience=20"]
    finish(start(tmp_path / "whole", cache, *options))
    resumed = kill_and_go_on(tmp_path / "killed", cache, *options)
    assert resumed["global_step"] == 6 * 2  # 3 batches an epoch, 2 steps
    assert_same_run(tmp_path / "killed", resumed, tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_finished_run_says_so_and_changes_nothing(finished, capsys):
    run, _ = finished
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}
    train.main(["--run", str(run)])
    output = capsys.readouterr().out
    assert "is finished" in output
    assert "learned" in output
    assert before == {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_run_is_evaluated_again_and_on_other_clips(finished, cache, capsys, tmp_path):
    run, _ = finished
    evaluate.main([str(run), "--split", "train", "--checkpoint", "best", "--protocol.crops", "1"])
    assert "train clips by protocol custom: 1 random crops" in capsys.readouterr().out
    recorded = json.loads((run / "evaluation.json").read_text())
    assert (recorded["split"], recorded["protocol"]["crops"]) == ("train", 1)
    assert recorded["protocol"]["name"] == "custom"
    evaluate.main([str(run), "--protocol", "carl"])
    assert "by protocol carl" in capsys.readouterr().out
    assert json.loads((run / "evaluation.json").read_text())["protocol"]["name"] == "carl"
    (drawn,) = (cache / "rendered").iterdir()
    other = tmp_path / "other"
    other.mkdir()
    (other / "clips").symlink_to(drawn / "clips")
    evaluate.main([str(run), "--data.root", str(other), "--split", "train"])
    assert "phase_accuracy, progression_r2, precision skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "nowhere.yaml"], "`config` must be a file or one of"),
        (["--data.source=folder", "--data.root=/nowhere"], "`root` must be a folder"),
        (["--model.learning_rate=-1"], "`learning_rate` must be > 0"),
        (["--model.encoder.width=10"], "`width` must be a multiple"),
        (["--data.frames=1"], "`frames` must be >= 2"),
        (["--model.encoder.dropout=1"], r"`dropout` must be in [0, 1)"),
        (["--optimizer=AdamW"], "`optimizer` must be null"),
        (["--trainer.accumulate_grad_batches=0"], "`trainer.accumulate_grad_batches` must be >= 1"),
        (["--trainer.fast_dev_run=true"], "`trainer.fast_dev_run` must be false"),
        (["--trainer.max_epochs=-1"], "`trainer.max_epochs` must be >= 1"),
        (
            ["--model.loss=lac", "--model.loss.penalties=table", "--model.loss.frames=8"],
            "`frames` of the table must be at least those of a view, 32, got 8",
        ),
        (
            ["--model.loss=lac", "--model.loss.penalties=embedding", "--model.loss.dimension=8"],
            "`dimension` must be that of embeddings, 64, got 8",
        ),
    ],
)
def test_bad_input_is_one_error_before_training(options, message, tmp_path):
    with pytest.raises(SystemExit) as refusal:
        train.main(["--run", str(tmp_path / "run"), *options])
    assert message in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_patience_needs_validation_clips(cache, tmp_path):
    options = [*TINY, "--patience=2", "--data.rendered.val=0", f"--data.cache={cache}"]
    with pytest.raises(SystemExit) as refusal:
        train.main(["--run", str(tmp_path / "run"), *options])
    assert "`patience` must be null without validation clips" in str(refusal.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_run_does_not_go_on_with_other_settings(finished):
    run, _ = finished
    with pytest.raises(SystemExit) as refusal:
        train.main(["--run", str(run), "--model.weight_decay", "0.5"])
    assert "`model.weight_decay` must be as the run" in str(refusal.value)


@pytest.mark.parametrize(
    "preset", ["rendered", "lac/configs/grid.yaml", "pouring", "penn_action", "features"]
)
def test_presets_are_found_wherever_lac_is_installed(preset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        train.main(["--config", preset, "--data.root", str(tmp_path), "--print_config"])
    assert end.value.code == 0
    assert "image_size" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.subprocess
def test_an_average_of_weights_is_what_is_kept_and_early_stopping_ends_and_resumes(cache, tmp_path):
    run = tmp_path / "run"
    options = ["--ema=0.5", "--patience=1", "--model.learning_rate=3", "--trainer.max_epochs=30"]
    output = finish(start(run, cache, *options, "--trainer.precision=bf16-mixed"))
    assert "stopped early" in output
    assert "Evaluating the best checkpoint" in output
    state = load(run)
    assert state["epoch"] < 29
    for name in ("encoder.embed.weight", "loss.raw_gap_open"):
        assert not torch.equal(state["state_dict"][name], state["current_model_state"][name])
        assert state["state_dict"][name].dtype == torch.float32
    assert all(map(math.isfinite, logged(run, "train/loss")))
    first = json.loads((run / "metrics.json").read_text())
    assert first["checkpoint"] == "best"

    (run / "metrics.json").unlink()  # as a kill between training and the end would leave it
    finish(start(run, cache, *options, "--trainer.precision=bf16-mixed"))
    again = json.loads((run / "metrics.json").read_text())
    assert again["metrics"] == first["metrics"]
    assert load(run)["global_step"] == state["global_step"]


@pytest.mark.slow
@pytest.mark.subprocess
def test_lower_precision_trains_about_the_same(finished, cache, tmp_path):
    finish(start(tmp_path, cache, "--trainer.precision=bf16-mixed"))
    losses = logged(tmp_path, "train/loss")
    assert losses != logged(finished[0], "train/loss")
    # bfloat16 keeps 8 bits, a relative error of 0.4 % in every layer.
    assert losses[0] == pytest.approx(logged(finished[0], "train/loss")[0], rel=0.02)


def test_a_backbone_may_learn_slower_than_the_rest():
    module = EmbeddingModule(backbone_learning_rate=1e-5, warmup=0.0)
    module.trainer = SimpleNamespace(estimated_stepping_batches=10)
    optimizer = module.configure_optimizers()["optimizer"]
    slow = {id(p) for p in module.encoder.backbone.parameters()}
    for group in optimizer.param_groups:
        backbone = {id(p) in slow for p in group["params"]}
        assert len(backbone) == 1
        assert (group["lr"] == 1e-5) is backbone.pop()
    counted = sum(len(group["params"]) for group in optimizer.param_groups)
    assert counted == len(list(module.parameters()))


@pytest.mark.filterwarnings("ignore")  # Lightning's, of being called from Python
@pytest.mark.parametrize(
    "name", ["LacLoss", "SclLoss", "TccLoss", "TcnLoss", "LavLoss", "GtaLoss", "AcrossLoss"]
)
def test_a_loss_chosen_by_name_has_its_own_defaults(name, tmp_path):
    """Settings of one class go over to another that has the same names: names must tell."""
    cli = RunCLI(["--config=rendered", f"--run={tmp_path}", f"--model.loss=lac.losses.{name}"])
    own = inspect.signature(getattr(lac.losses, name)).parameters
    assert cli.config.model.loss.init_args.as_dict() == {k: p.default for k, p in own.items()}


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_pouring_preset_runs_on_its_layout(cache, tmp_path):
    data = ClipDataModule(rendered=Rendered(train=3, val=2, size=32), cache=cache)
    data.setup()
    (tmp_path / "videos").mkdir()
    for split in ("train", "val"):
        entries = []
        for clip in data.collection.select(split):
            shutil.copy(clip.path, tmp_path / "videos")
            entries.append(
                {"name": clip.name, "seq_len": len(clip.phase), "frame_label": clip.phase}
            )
        (tmp_path / f"{split}.pkl").write_bytes(pickle.dumps(entries))
    small = ["--model.encoder.backbone=small", "--model.encoder.stage=-1", "--data.frames=12"]
    options = ["--config=pouring", f"--data.root={tmp_path}", *small, "--trainer.max_epochs=1"]
    assert "by protocol carl" in finish(start(tmp_path / "run", cache, *options))


@pytest.mark.slow
def test_the_penn_action_preset_evaluates_each_action(tmp_path, capsys):
    root = penn_action(
        tmp_path / "data",
        train=("squat", "bowl") * 2,
        val=("squat", "bowl") * 2,
        labels=lambda number: [0] * (9 + number) + [1] * 9,
    )
    small = [
        "--model.encoder.backbone=small",
        "--model.encoder.stage=-1",
        "--model.encoder.width=16",
    ]
    short = ["--trainer.max_epochs=1", "--data.frames=12", "--data.image_size=32"]
    where = [
        f"--data.root={root}",
        f"--run={tmp_path / 'run'}",
        f"--data.cache={tmp_path / 'cache'}",
    ]
    train.main(["--config=penn_action", *where, *small, *short])
    output = " ".join(capsys.readouterr().out.split())
    assert "protocol carl: whole; mean of 2 actions" in output and "embedding by action" in output
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert report["actions"].keys() == {"bowl", "squat"}
    compare.main([str(tmp_path / "run"), "-o", str(tmp_path / "out")])
    assert "mean of 2 actions" in (tmp_path / "out" / "comparison.md").read_text()


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_run_of_a_larger_machine_is_evaluated_on_this(finished, tmp_path, capsys):
    shutil.copytree(finished[0], tmp_path / "run")
    settings = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    settings["trainer"] |= {
        "accelerator": "cuda",
        "devices": 2,
        "strategy": "ddp",
        "precision": "16-mixed",
    }
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(settings))
    evaluate.main([str(tmp_path / "run")])
    assert "val clips by protocol ours" in capsys.readouterr().out
    measured = [
        json.loads((tmp_path / "run" / f"{name}.json").read_text())["metrics"]
        for name in ("metrics", "evaluation")
    ]
    assert measured[0] == measured[1]


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_damaged_run_is_named(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"damaged")
    with pytest.raises(SystemExit, match=r"last\.ckpt is not a checkpoint that can be read"):
        evaluate.main([str(tmp_path / "run")])
    (tmp_path / "run" / "config.yaml").write_text("]: [")
    for command, given in ((evaluate.main, []), (train.main, ["--run"])):
        with pytest.raises(SystemExit, match=r"config\.yaml is not valid YAML"):
            command([*given, str(tmp_path / "run")])


def test_evaluate_refuses_what_is_no_run(tmp_path):
    with pytest.raises(SystemExit) as refusal:
        evaluate.main([str(tmp_path)])
    assert "`run` must be a run directory" in str(refusal.value)

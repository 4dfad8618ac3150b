"""Trainings are processes of their own, which the server begins, watches, stops and finds again."""

import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("fcntl", reason="needs file locks")
import lac.app._state
from lac.app._trainings import Training, TrainingRefused, Trainings
from tests.lac.test_app_security import write_clip
from tests.support.served import served

TRAINER = (str(Path(__file__).parents[1] / "support" / "trainer.py"),)
OVER = ("finished", "stopped", "failed")


@pytest.fixture
def root(tmp_path):
    """A folder whose file `how` tells what a training does."""
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "how").write_text("wait")
    return folder


@pytest.fixture
def trainings(tmp_path, root):
    made = Trainings(tmp_path / "trainings", root, command=TRAINER)
    yield made
    for training in made.list():
        for _ in range(2):
            made.stop(training.id)
        until(made, training, *OVER)


def until(trainings, training, *states):
    """Wait until a training has come to one of some states."""
    deadline = time.monotonic() + 30
    while (state := trainings.state(trainings.get(training.id))) not in states:
        assert time.monotonic() < deadline, (state, trainings.log(training).read_text())
        time.sleep(0.02)
    return state


def begin(trainings, name="mine"):
    """A training that has begun."""
    training = trainings.start(name, ["--trainer.max_epochs=2"], shown={"epochs": 2})
    wait_for(trainings.run(training).figures / "embedding.png")
    return training


def wait_for(file):
    deadline = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_training_runs_to_its_end(trainings, root):
    training = begin(trainings)
    assert trainings.state(training) == "running"
    (root / "how").write_text("finish")
    assert until(trainings, training, *OVER) == "finished"
    asked = trainings.log(training).read_text()
    assert f"{root} --trainer.max_epochs=2 --run {root / 'runs' / 'mine'}" in asked
    with pytest.raises(TrainingRefused, match="mine is finished"):
        trainings.resume(training.id)


def test_a_training_is_stopped_and_goes_on_with_its_own_settings(trainings, root):
    training = begin(trainings)
    trainings.stop(training.id)
    assert until(trainings, training, *OVER) == "stopped"
    assert "interrupted" in trainings.log(training).read_text()
    (root / "how").write_text("finish")
    resumed = trainings.resume(training.id)
    assert resumed.pid != training.pid
    assert until(trainings, training, *OVER) == "finished"
    assert trainings.log(training).read_text().count("--trainer.max_epochs") == 1


def test_a_training_that_does_not_stop_is_ended_at_the_second_time(trainings, root):
    (root / "how").write_text("stubborn")
    training = begin(trainings)
    trainings.stop(training.id)
    assert trainings.state(trainings.get(training.id)) == "stopping"
    trainings.stop(training.id)
    assert until(trainings, training, *OVER) == "stopped"


def test_a_training_that_crashes_or_is_killed_has_failed_and_can_go_on(trainings, root):
    (root / "how").write_text("crash")
    training = trainings.start(None, [], shown={})
    assert training.name == "run-1"
    assert until(trainings, training, *OVER) == "failed"
    assert "must hold clips" in trainings.log(training).read_text()
    (root / "how").write_text("wait")
    trainings.resume(training.id)
    wait_for(trainings.run(training).figures / "embedding.png")
    os.kill(trainings.get(training.id).pid, signal.SIGKILL)
    assert until(trainings, training, *OVER) == "failed"


def test_another_server_finds_trainings_again(trainings, tmp_path, root):
    training = begin(trainings)
    other = Trainings(tmp_path / "trainings", root, command=TRAINER)
    (found,) = other.list()
    assert found == trainings.get(training.id) and other.state(found) == "running"
    with pytest.raises(TrainingRefused, match="one training runs at a time, and mine does"):
        other.start("other", [], shown={})
    other.stop(found.id)
    until(other, found, "stopped")
    assert Trainings(tmp_path / "trainings", root).state(other.get(found.id)) == "stopped"


def test_a_process_that_only_has_the_number_of_another_is_let_alone(trainings, tmp_path, root):
    training = begin(trainings)
    (root / "how").write_text("finish")
    until(trainings, training, "finished")
    bystander = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "600")
    try:
        trainings._set(Training(training.id, "mine", [], pid=bystander))
        (trainings.run(training).metrics).unlink()
        assert trainings.state(trainings.get(training.id)) == "failed"
        trainings.stop(training.id)
        assert os.waitpid(bystander, os.WNOHANG) == (0, 0)
    finally:
        os.kill(bystander, signal.SIGKILL)
        os.waitpid(bystander, 0)


def test_names_and_records_are_taken_care_of(trainings, tmp_path, root):
    training = begin(trainings)
    with pytest.raises(TrainingRefused, match="mine must be stopped first"):
        trainings.forget(training.id)
    (root / "how").write_text("finish")
    until(trainings, training, "finished")
    with pytest.raises(TrainingRefused, match="`name` must be a new one, got 'mine'"):
        trainings.start("mine", [], shown={})
    trainings.forget(training.id)
    assert trainings.list() == [] and trainings.run(training).last.exists()
    (tmp_path / "trainings" / "0").mkdir()
    (tmp_path / "trainings" / "0" / "training.json").write_text("damaged")
    assert Trainings(tmp_path / "trainings", root).list() == []


def test_runs_are_not_written_through_a_link_to_the_outside(trainings, tmp_path, root):
    (tmp_path / "outside").mkdir()
    (root / "runs").symlink_to(tmp_path / "outside")
    with pytest.raises(TrainingRefused, match="`runs` must not be a link"):
        trainings.start(None, [], shown={})
    assert not list((tmp_path / "outside").iterdir()) and trainings.list() == []


@pytest.fixture
def server(tmp_path, root, monkeypatch):
    """A server whose trainings are those of a process that stands in."""
    monkeypatch.setattr(lac.app._state, "Trainings", partial(Trainings, command=TRAINER))
    write_clip(root / "a.mp4")
    with served(root, tmp_path / "cache") as found:
        yield found


def train(server, **body):
    return server.get("/api/trainings", method="POST", body=body)


def told(server, training, *states):
    """What is told of a training once it has come to a state."""
    return server._until(
        lambda: server.get(f"/api/trainings/{training['id']}"),
        lambda found: found["state"] in states and found["figures"],
    )


def test_the_server_tells_how_a_training_goes(server, root):
    training = train(server, name="mine", backbone="small", loss="tcc", epochs=2)
    found = told(server, training, "running")
    assert found["curves"] == {"train/loss": [[0, 2.0], [2, 1.0], [3, 0.0]], "val/loss": [[1, 1.5]]}
    assert found["words"] == found["log"][-1] == "Training: epoch 1 of 2 in runs/mine"
    assert found["log"][0].startswith("called with ") and found["request"]["epochs"] == 2
    for setting in ("backbone=small", "loss=tcc", "max_epochs=2", "figures_every=1"):
        assert setting in found["log"][0]
    figure = f"/api/trainings/{training['id']}/figures"
    assert server.get(f"{figure}/embedding", raw=True) == b"a picture"
    assert server.ask(f"{figure}/posterior")[0] == 404
    assert server.ask("/api/trainings", method="POST", body={})[0] == 409
    (root / "how").write_text("finish")
    found = told(server, training, "finished")
    assert found["metrics"] == {"learned": {"kendall_tau": 0.9}}  # what is no number is left out
    assert found["verdict"] == ["It has learned.", "More than a clock knows."]
    assert [one["name"] for one in server.get("/api/trainings")] == ["mine"]
    assert server.ask(f"/api/trainings/{training['id']}", method="DELETE")[0] == 204
    assert server.get("/api/trainings") == []


def test_a_crash_is_told_by_its_last_words(server, root):
    (root / "how").write_text("crash")
    training = train(server)
    found = server._until(
        lambda: server.get(f"/api/trainings/{training['id']}"), lambda one: one["state"] == "failed"
    )
    assert found["words"] == "RuntimeError: `data.root` must hold clips, got nothing"
    assert "site-packages/torch/nn.py:7: warming up" in found["log"]
    assert server.get("/api/videos")["videos"]


def test_what_was_trained_is_an_encoder_and_its_run_no_video(server, root):
    training = train(server, name="mine")
    told(server, training, "running")
    assert server.get(f"/api/trainings/{training['id']}/stop", method="POST")["state"]
    found = told(server, training, "stopped")
    assert found["encoder"] == "runs/mine"
    encoders = [one["name"] for one in server.get("/api/encoders")]
    assert encoders[-1] == "runs/mine" and encoders[0] != "runs/mine"
    (root / "runs" / "mine" / "figures" / "aligned.mp4").write_bytes((root / "a.mp4").read_bytes())
    assert list(server.videos()) == ["a.mp4"]
    # Runs that lie in the folder and were not trained from here are not to be trusted.
    strange = root / "runs" / "strange"
    (strange / "checkpoints").mkdir(parents=True)
    (strange / "config.yaml").write_text("{}")
    (strange / "checkpoints" / "last.ckpt").write_bytes(b"weights")
    assert [one["name"] for one in server.get("/api/encoders")] == encoders
    video = server.videos()["a.mp4"]["id"]
    body = {"video": video, "begin": 0, "end": 0, "encoder": "runs/strange"}
    assert server.ask("/api/find", method="POST", body=body)[0] == 422


@pytest.mark.parametrize(
    "body",
    [
        {"name": "../outside"},
        {"name": "/etc"},
        {"name": ".hidden"},
        {"name": "a/b"},
        {"name": "-x"},
        {"name": "x" * 41},
        {"name": "a\nb"},
        {"backbone": "microsoft/resnet-50"},
        {"backbone": "--config=x"},
        {"loss": "os.system"},
        {"epochs": 0},
        {"epochs": 1e9},
    ],
)
def test_what_cannot_be_trained_is_refused(server, root, body):
    assert server.ask("/api/trainings", method="POST", body=body)[0] == 422
    assert not (root / "runs").exists()


def test_no_training_on_videos_outside_or_on_none(server, root, tmp_path):
    write_clip(tmp_path / "outside.mp4")
    (root / "link.mp4").symlink_to(tmp_path / "outside.mp4")
    status, _, answer = server.ask("/api/trainings", method="POST", body={})
    assert status == 422 and answer["detail"].endswith("links that lead out of it, got link")
    (root / "link.mp4").unlink()
    (root / "a.mp4").unlink()
    status, _, answer = server.ask("/api/trainings", method="POST", body={})
    assert status == 422 and "must hold videos" in answer["detail"]
    assert str(root) not in answer["detail"] and not (root / "runs").exists()


def test_every_loss_is_offered(server):
    losses = server.get("/api/losses")
    assert losses[0] == "across" and set(losses) >= {"lac", "tcc", "tcn", "lav", "gta", "scl"}


@pytest.mark.parametrize("identity", ["0" * 16, "..", "%2e%2e", "../../a"])
def test_trainings_that_are_not_there_are_not_found(server, identity):
    for method, path in (("GET", ""), ("POST", "/stop"), ("POST", "/resume"), ("DELETE", "")):
        status = server.ask(f"/api/trainings/{identity}{path}", method=method)[0]
        assert status in (404, 405)
    for figure in ("..%2f..%2fconfig.yaml", "config.yaml"):
        assert server.ask(f"/api/trainings/{identity}/figures/{figure}")[0] in (404, 422)

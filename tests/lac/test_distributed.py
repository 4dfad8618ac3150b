"""Several processes, accumulated gradients, and lower precision: the training one process does."""

import pytest

from tests.support.training_runs import finish, load, logged, start

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]

# Group norms and no dropout: nothing in a frame's embedding depends on how a batch is divided.
SETTINGS = [
    "--data.rendered.train=8",
    "--data.rendered.val=2",
    "--model.encoder.norm=group",
    "--model.encoder.dropout=0",
    "--trainer.max_epochs=3",
    "--trainer.gradient_clip_val=null",
    "--figures_every=0",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def alone(cache, tmp_path_factory):
    """One process, four clips in a batch."""
    run = tmp_path_factory.mktemp("runs") / "alone"
    finish(start(run, cache, *SETTINGS, "--data.batch_size=4"))
    return run


def test_two_processes_train_as_one_with_their_global_batch(alone, cache, tmp_path):
    run = tmp_path / "two"
    output = finish(
        start(
            run,
            cache,
            *SETTINGS,
            *("--data.batch_size=2", "--trainer.devices=2", "--trainer.strategy=ddp"),
        )
    )
    assert output.count("Starting") == 1
    assert "learned" in output
    assert load(run)["global_step"] == load(alone)["global_step"]
    # Sums in another order, in float32: 3e-7 was seen.
    for name in ("train/loss", "val/loss"):
        assert logged(run, name) == pytest.approx(logged(alone, name), rel=1e-5)


def test_accumulated_gradients_are_those_of_the_larger_batch(alone, cache, tmp_path):
    run = tmp_path / "accumulated"
    options = ["--data.batch_size=2", "--trainer.accumulate_grad_batches=2"]
    finish(start(run, cache, *SETTINGS, *options))
    assert load(run)["global_step"] == load(alone)["global_step"]
    # In another order too; the log has the second half of each batch alone in training.
    assert logged(run, "val/loss") == pytest.approx(logged(alone, "val/loss"), rel=1e-5)

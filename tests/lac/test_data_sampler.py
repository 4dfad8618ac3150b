"""The order of clips in an epoch, and batches of one action."""

from itertools import pairwise

import numpy as np
import pytest

from lac.data import ClipDataModule
from lac.data import sampler as of_lac
from lac.data.sampler import EpochSampler
from tests.support.layouts import penn_action

ACTIONS = [0, 1, 0, 2, 1, 0, 0, 1, 0, 2, 1, 0, 1, 0]  # 7 of the first, 5 and 2


def batched(clips, size):
    return [clips[i : i + size] for i in range(0, len(clips), size)]


def clips(sampler):
    return [clip for _, _, clip in sampler]


def test_without_actions_the_order_is_the_drawn_one():
    found = clips(EpochSampler(9, 1, 3, shuffle=True))
    assert found == np.random.default_rng([3, 0, 0]).permutation(9).tolist()


def test_batches_are_of_one_action_as_far_as_they_go():
    sampler = EpochSampler(14, 2, 0, shuffle=True, actions=ACTIONS, batch_size=3)
    found = clips(sampler)
    visits = [found[:14], found[14:]]
    assert visits[0] != visits[1]
    for visit in visits:
        assert sorted(visit) == list(range(14))
        seen = [{ACTIONS[clip] for clip in batch} for batch in batched(visit, 3)]
        assert [len(actions) for actions in seen[:3]] == [1, 1, 1]
        assert sorted(next(iter(actions)) for actions in seen[:3]) == [0, 0, 1]
        left = [ACTIONS[clip] for clip in visit[9:]]
        assert sum(a != b for a, b in pairwise(left)) == 2  # each together
    sampler.set_epoch(1)
    assert clips(sampler) != found
    assert found == clips(EpochSampler(14, 2, 0, shuffle=True, actions=ACTIONS, batch_size=3))


def test_processes_together_fill_a_batch_of_one_action(monkeypatch):
    shares = []
    for rank in range(2):
        monkeypatch.setattr(of_lac, "_processes", lambda rank=rank: (rank, 2))
        sampler = EpochSampler(14, 1, 0, shuffle=True, actions=ACTIONS, batch_size=2)
        shares.append(clips(sampler))
    for batch in zip(*(batched(share, 2)[:2] for share in shares), strict=True):
        assert len({ACTIONS[clip] for part in batch for clip in part}) == 1
    assert sorted(shares[0] + shares[1]) == list(range(14))


@pytest.fixture
def data(tmp_path):
    root = penn_action(tmp_path / "data", train=("squat", "bowl") * 3, val=("squat", "bowl"))

    def open_data(**settings):
        data = ClipDataModule(
            source="penn_action", root=root, image_size=16, cache=tmp_path, batch_size=3, **settings
        )
        data.setup()
        return data

    return open_data


def test_a_batch_tells_the_actions_of_its_clips(data):
    mixed = data()
    names = [clip.action for clip in mixed.collection.select("train")]
    for batch in mixed.train_dataloader():
        told = [("bowl", "squat")[action] for action in batch["action"].tolist()]
        assert told == [names[clip] for clip in batch["clip"].tolist()]
    for batch in data(batches="one_action").train_dataloader():
        assert len(set(batch["action"].tolist())) == 1
    (whole,) = data(action="bowl").train_dataloader()
    assert "action" not in whole


def test_other_kinds_of_batches_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"`batches` must be one of .* got 'some'"):
        ClipDataModule(batches="some")

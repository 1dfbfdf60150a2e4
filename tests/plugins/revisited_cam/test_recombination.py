import pytest
import torch

from wsoltool.errors import ConfigError, ShapeError
from wsoltool.functional.cams import class_activation_map
from wsoltool.models.builder import build_localizer
from wsoltool.plugin.manager import build
from wsoltool.testing import check_map_source
from wsoltool_plugins import revisited_cam
from wsoltool_plugins.revisited_cam.recombination import (
    RecombinedWeights,
    recombined_map,
    signed_maps,
)

HEADS = ["cam.CAMHead", "cam.ConvHead"]
SOURCE = {"type": "revisited_cam.RecombinedWeights"}


def head_of(kind, **settings):
    settings = {"type": kind, "num_classes": 5, **settings}
    return build("CAM head", settings, "model.head", channels={"pool1": 4, "last": 6})


def model_with(head):
    backbone = {"type": "SmallNet", "channels": (4, 6, 32)}
    return {"backbone": backbone, "head": {"num_classes": 3, **head}, "map_source": SOURCE}


def test_face_offers_the_source():
    assert revisited_cam.wsoltool_map_sources() == [RecombinedWeights]


def test_equations_20_and_21_on_four_by_four():
    # Two channels, a row of ones and a column of twos, weights 3 and -1.
    row, column = torch.zeros(4, 4), torch.zeros(4, 4)
    row[1], column[:, 2] = 1.0, 2.0
    features, weights = torch.stack([row, column])[None], torch.tensor([[3.0, -1.0]])
    class_ids = torch.tensor([[0]])
    positive, negative = signed_maps(features, weights, class_ids)
    assert torch.equal(positive[0, 0], 3 * row)
    assert torch.equal(negative[0, 0], -column)
    expected = torch.tensor([[0.0, 0, 2, 0], [3, 3, 5, 3], [0, 0, 2, 0], [0, 0, 2, 0]])
    assert torch.equal(recombined_map(features, weights, class_ids)[0, 0], expected)


def test_the_sum_of_both_is_the_cam_and_the_difference_the_recombined_map():
    torch.manual_seed(0)
    features, weights = torch.rand(2, 6, 4, 5), torch.randn(3, 6)
    class_ids = torch.tensor([[2, 0], [1, 1]])
    positive, negative = signed_maps(features, weights, class_ids)
    assert (positive >= 0).all()
    assert (negative <= 0).all()
    cam = class_activation_map(features, weights, class_ids)
    torch.testing.assert_close(positive + negative, cam)
    torch.testing.assert_close(positive - negative, recombined_map(features, weights, class_ids))


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("tap", ["pool1", "last"])
def test_contract(kind, tap, tiny_backbone):
    check_map_source(RecombinedWeights(), tiny_backbone, head_of(kind, tap=tap))


@pytest.mark.parametrize("kind", HEADS)
def test_positive_weights_give_the_heads_own_map_and_others_do_not(kind, tiny_backbone):
    torch.manual_seed(0)
    head, features = head_of(kind), {"last": torch.rand(2, 6, 4, 5), "pool1": torch.rand(1)}
    class_ids, images = torch.tensor([[4, 0], [2, 2]]), torch.zeros(2, 3, 8, 10)
    source = RecombinedWeights()
    with torch.no_grad():
        head.classifier.weight.abs_()
        maps = source.maps(tiny_backbone, head, images, features, class_ids)
        torch.testing.assert_close(maps, head.maps(features, class_ids))
        head.classifier.weight.flatten(1)[:, ::2] *= -1  # the map stays, the head's own does not
        own = head.maps(features, class_ids)["cam"]
        assert not torch.allclose(own, maps["cam"])
        torch.testing.assert_close(
            source.maps(tiny_backbone, head, images, features, class_ids), maps
        )


@pytest.mark.parametrize("kind", HEADS)
def test_mixed_precision_maps_are_those_of_full_precision(kind, tiny_backbone):
    torch.manual_seed(0)
    head, features = head_of(kind), {"last": torch.rand(2, 6, 4, 5)}
    class_ids, images = torch.tensor([[4], [2]]), torch.zeros(2, 3, 8, 10)
    arguments = tiny_backbone, head, images, features, class_ids
    with torch.no_grad():
        exact = RecombinedWeights().maps(*arguments)["cam"]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = RecombinedWeights().maps(*arguments)["cam"]
    torch.testing.assert_close(mixed.float(), exact, rtol=0.05, atol=0.01)


def test_a_class_that_is_not_there_is_an_error(tiny_backbone):
    with pytest.raises(ShapeError, match="class ids from 5"):
        RecombinedWeights().maps(
            tiny_backbone,
            head_of("cam.CAMHead"),
            torch.zeros(1, 3, 8, 8),
            {"last": torch.rand(1, 6, 2, 2)},
            torch.tensor([[5]]),
        )


@pytest.mark.parametrize("kind", HEADS)
def test_a_localizer_takes_it_with_linear_heads(kind):
    localizer = build_localizer(model_with({"type": kind}))
    assert isinstance(localizer.map_source, RecombinedWeights)


def test_a_head_without_class_weights_is_refused_before_training():
    with pytest.raises(ConfigError, match="no weights of classes in FAMHead") as caught:
        build_localizer(model_with({"type": "fam.FAMHead"}))
    assert caught.value.at == "model.map_source"
    assert "cam.CAMHead" in caught.value.hint

"""Part maps in predictions: whose they are, from which view, and that nobody else pays for them."""

import pytest
import torch

from wsoltool.models.fusion import SingleView
from wsoltool.models.heads import SingleTapHead
from wsoltool.structures import View


class Parts(SingleTapHead):
    """The first two channels as parts, of images in grey levels; counts how often it is asked."""

    asked = 0

    def logits(self, features):
        return features["last"].mean(dim=(2, 3))

    def maps(self, features, class_ids):
        return {"first": features["last"][:, :1].expand(-1, class_ids.shape[1], -1, -1)}

    def part_maps(self, features):
        self.asked += 1
        return features["last"][:, :2] / 255


def test_nobody_pays_for_part_maps_that_are_not_wanted(mirror, batch):
    model = mirror(head=Parts({"last": 3}, 3))
    (prediction,) = model.test_step(batch(1))
    assert prediction.part_maps is None
    assert model.head.asked == 0


@pytest.mark.parametrize("sizes", [None, [(6, 8), (4, 4)]])
def test_each_image_gets_its_own(mirror, batch, sizes):
    data = batch(1, 2, sizes=sizes)
    model = mirror(head=Parts({"last": 3}, 3))
    model.for_pictures = True
    for index, prediction in enumerate(model.test_step(data)):
        expected = torch.stack([data["inputs"][index][..., c] / 255 for c in (0, 1)])
        assert torch.equal(prediction.part_maps, expected)


def test_they_come_from_the_first_view_unmirrored(mirror, batch):
    class MirroredFirst(SingleView):
        def views(self):
            return (View(scale=0.5, flip=True, scores=False), View())

    data = batch(1)
    model = mirror(head=Parts({"last": 3}, 3), fusion=MirroredFirst())
    model.for_pictures = True
    (prediction,) = model.test_step(data)
    images = data["inputs"].permute(0, 3, 1, 2).float()
    expected = View(scale=0.5).apply(images.flip(-1)).flip(-1)[0, :2] / 255
    torch.testing.assert_close(prediction.part_maps, expected)
    assert model.head.asked == 1
    assert prediction.part_maps_at().shape == (2, 6, 8)


def test_half_precision_is_left_behind(mirror, batch):
    class Half(Parts):
        def part_maps(self, features):
            return super().part_maps(features).bfloat16()

    model = mirror(head=Half({"last": 3}, 3))
    model.for_pictures = True
    assert model.test_step(batch(1))[0].part_maps.dtype == torch.float32


def test_a_head_without_parts_answers_none(mirror, batch):
    model = mirror()
    model.for_pictures = True
    assert model.test_step(batch(1))[0].part_maps is None

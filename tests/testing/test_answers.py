import numpy as np
import pytest
import torch

from wsoltool.models.contracts import BoxExtractor, Fusion
from wsoltool.models.fusion import SingleView
from wsoltool.structures import Boxes, View
from wsoltool.testing import check_box_extractor, check_fusion


class NoViews(SingleView):
    def views(self):
        return ()


class NoScores(SingleView):
    def views(self):
        return (View(scores=False),)


class RawMaps(SingleView):
    def fuse(self, maps, size):
        return super().fuse(maps, size) * 2


class Half(SingleView):
    def fuse(self, maps, size):
        return super().fuse(maps, size).half()


class WrongSize(SingleView):
    def fuse(self, maps, size):
        return super().fuse(maps, (size[1], size[0]))


class OnesWhenConstant(SingleView):
    def fuse(self, maps, size):
        fused = super().fuse(maps, size)
        return fused if fused.any() else torch.ones_like(fused)


class InPlace(SingleView):
    def fuse(self, maps, size):
        for one in maps[0].branches.values():
            one.mul_(2)
        return super().fuse(maps, size)


class Pictured(SingleView):
    """Shows its own map, spoiled by ``change``."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def pictured(self, maps, size):
        return {"own": self.fuse(maps, size), "other": self.change(self.fuse(maps, size))}


class PicturedInPlace(SingleView):
    def pictured(self, maps, size):
        maps[0].branches["cam"].mul_(2)
        return {}


@pytest.mark.parametrize(
    ("fusion", "breach"),
    [
        (object(), "no Fusion"),
        (NoViews(), "no View"),
        (NoScores(), "class scores"),
        (RawMaps(), r"leaves \[0, 1\]"),
        (Half(), "float32"),
        (WrongSize(), "shape"),
        (OnesWhenConstant(), "constant maps"),
        (InPlace(), "changed in place"),
        (Pictured(lambda maps: maps * 2), r"pictured map 'other' leaves \[0, 1\]"),
        (Pictured(lambda maps: maps.half()), "pictured map 'other' is torch.float16"),
        (Pictured(lambda maps: maps[0]), "shape"),
        (PicturedInPlace(), "changed in place"),
    ],
)
def test_breaches_of_a_fusion_are_named(fusion, breach):
    with pytest.raises(AssertionError, match=breach):
        check_fusion(fusion)


def test_a_fusion_may_keep_the_contract():
    assert isinstance(SingleView(), Fusion)
    check_fusion(SingleView())
    check_fusion(Pictured(lambda maps: 1 - maps))


class Extractor(BoxExtractor):
    """One box round the positive pixels, spoiled by ``change`` before it is answered."""

    def __init__(self, change=lambda boxes: boxes):
        self.change = change

    def __call__(self, localization_map, context):
        ys, xs = np.nonzero(localization_map > 0.5)
        if not len(ys):
            return self.change(Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)))
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        return self.change(Boxes(np.array([box], np.float32), np.ones(1, np.float32)))


class ChangesTheMap(Extractor):
    def __call__(self, localization_map, context):
        localization_map /= 2
        return super().__call__(localization_map, context)


class NeedsFeatures(Extractor):
    features = ("last",)

    def __call__(self, localization_map, context):
        assert context.features["last"].shape[0] == 7
        fused = context.fused((7, 9))
        assert fused.shape == (7, 9)
        assert fused.dtype == np.float32
        assert localization_map.min() <= fused.min() <= fused.max() <= localization_map.max()
        return super().__call__(localization_map, context)


def shifted(boxes):
    return Boxes(boxes.xyxy + 50, boxes.scores)


def inverted(boxes):
    return Boxes(boxes.xyxy[:, ::-1], boxes.scores)


def at(thresholds):
    """An extractor whose boxes, each of them alone, say these thresholds."""
    return Extractor(lambda boxes: Boxes(boxes.xyxy, boxes.scores, thresholds[: len(boxes)]))


class Half(Extractor):
    """Says that it chooses, and that it always cuts at the same."""

    threshold = 0.5

    def __call__(self, localization_map, context):
        return at(np.float32([0.5]))(localization_map, context)


class ChoosesForSome(Extractor):
    def __call__(self, localization_map, context):
        boxes = super().__call__(localization_map, context)
        chosen = np.full(len(boxes), 0.5, np.float32)
        return Boxes(boxes.xyxy, boxes.scores, None if localization_map.min() == 1 else chosen)


def doubled(boxes):
    scores = np.arange(2 * len(boxes), dtype=np.float32)
    return Boxes(np.repeat(boxes.xyxy, 2, axis=0), scores)


@pytest.mark.parametrize(
    ("extractor", "breach"),
    [
        (object(), "no BoxExtractor"),
        (ChangesTheMap(), "map was changed"),
        (NeedsFeatures(), r"give channels of \['last'\]"),
        (Extractor(lambda boxes: boxes.xyxy), "not Boxes"),
        (Extractor(lambda boxes: Boxes(boxes.xyxy.ravel(), boxes.scores)), r"not \(N, 4\)"),
        (Extractor(lambda boxes: Boxes(boxes.xyxy.astype(int), boxes.scores)), "float32"),
        (Extractor(lambda boxes: Boxes(boxes.xyxy * np.float32("nan"), boxes.scores)), "finite"),
        (Extractor(shifted), "leaves the image"),
        (Extractor(inverted), "no area"),
        (Extractor(doubled), "surest first"),
        (
            at(np.float32([[0.5]])),
            r"thresholds of the one-blob map have shape \(1, 1\), not \(1,\)",
        ),
        (at(np.array([0.5])), "float64, not float32"),
        (at(np.float32([1.5])), "threshold of the one-blob map is outside"),
        (at(np.float32(["nan"])), "outside"),
        (Half(), "has an attribute `threshold` too"),
        (ChoosesForSome(), "for others they are None"),
    ],
)
def test_breaches_of_a_box_extractor_are_named(extractor, breach):
    with pytest.raises(AssertionError, match=breach):
        check_box_extractor(extractor)


def test_a_box_extractor_may_keep_the_contract():
    check_box_extractor(Extractor())
    check_box_extractor(NeedsFeatures(), {"last": 7})
    check_box_extractor(at(np.float32([0.5])))

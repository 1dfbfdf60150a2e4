"""What the gallery shows of a split: items, their parts, erasers and verdicts."""

import cv2
import numpy as np
import pytest
import torch

from wsoltool.datasets.creatures import Creatures
from wsoltool.engine.pictures import gallery_items, labels_and_predicted
from wsoltool.functional.boxes import box_iou
from wsoltool.models.builder import build_localizer
from wsoltool.models.contracts import BoxExtractor, MaskEraser
from wsoltool.models.insertion import Inserts
from wsoltool.structures import Boxes, Hiding, Sample
from wsoltool.transforms.crop import CenterCrop
from wsoltool.transforms.flip import RandomFlip
from wsoltool.visualization.gallery import draw_item
from wsoltool.visualization.overlay import enlarge

HEAD = {"type": "cam.CAMHead", "num_classes": 10}


@pytest.fixture(scope="module")
def creatures():
    return Creatures(split="test", length=7, image_size=32)


@pytest.fixture
def model():
    backbone = {"type": "SmallNet", "channels": (4, 4)}
    return build_localizer({"backbone": backbone, "head": HEAD})


def test_items_are_spread_over_the_split(creatures, model):
    model.train()
    names = [i.name for i in gallery_items(model, creatures, 3)]
    assert names == [creatures.image_ids[index] for index in (0, 3, 6)]
    assert not model.training
    assert len(list(gallery_items(model, creatures, 99))) == 7


def test_items_tell_the_labelled_class_truth_and_overlap(creatures, model):
    shown = next(gallery_items(model, creatures, 1))
    truth = creatures.truth(0)
    assert np.array_equal(shown.image, creatures.load(0))
    assert np.array_equal(shown.truth, truth.boxes)
    assert np.array_equal(shown.parts, truth.part_boxes)
    assert shown.localization_map.shape == (32, 32)
    assert creatures.classes[creatures.label(0)] in shown.caption
    overlap = box_iou(shown.predicted[:1], truth.boxes).max()
    assert shown.caption.endswith(f"IoU {overlap:.2f}")
    assert shown.correct is bool(overlap >= 0.5)


class NoBoxes(BoxExtractor):
    """Chooses thresholds, but never finds anything above them."""

    def __call__(self, localization_map, context):
        none = np.zeros(0, np.float32)
        return Boxes(np.zeros((0, 4), np.float32), none, none)


def test_items_tell_the_threshold_that_was_chosen_for_them(
    creatures, model, mean_boxes, monkeypatch
):
    monkeypatch.setattr(model, "boxes", mean_boxes)
    shown = next(gallery_items(model, creatures, 1))
    mean = shown.localization_map.mean()
    overlap = box_iou(shown.predicted[:1], shown.truth).max()
    assert shown.caption.endswith(f"IoU {overlap:.2f}, threshold {mean:.2f}")
    monkeypatch.setattr(model, "boxes", NoBoxes())
    assert next(gallery_items(model, creatures, 1)).caption.endswith("IoU 0.00")


def rising(features):
    """One part, stronger from left to right in the network's input."""
    return torch.linspace(0.25, 1, 4).expand(len(features["last"]), 1, 4, 4)


def test_items_show_the_heads_parts(creatures, model, monkeypatch):
    assert next(gallery_items(model, creatures, 1)).part_maps is None
    monkeypatch.setattr(model.head, "part_maps", rising)
    for shown in gallery_items(model, creatures, 2):
        assert not model.for_pictures  # also while the caller draws
        assert shown.part_maps.shape == (1, 32, 32)
        # Cell centres at 4 and 12 pixels: 0.25 from the border to the first, half between.
        assert shown.part_maps[0, 5, [0, 3, 31]].tolist() == [0.25, 0.25, 1]
        assert shown.part_maps[0, 5, [7, 8]].mean() == pytest.approx(0.375)


def test_a_test_that_is_cut_short_leaves_no_switch_behind(creatures, model, monkeypatch):
    def broken(features):
        raise ValueError("no parts")

    monkeypatch.setattr(model.head, "part_maps", broken)
    with pytest.raises(ValueError, match="no parts"):
        next(gallery_items(model, creatures, 1))
    assert not model.for_pictures


def test_parts_of_cropped_and_mirrored_inputs_are_put_back(model, monkeypatch):
    monkeypatch.setattr(model.head, "part_maps", rising)
    turned = (CenterCrop(16), RandomFlip(1.0))
    shown = next(gallery_items(model, Creatures("test", 1, image_size=32, pipeline=turned), 1))
    inside = shown.part_maps[0, 8:24, 8:24]
    assert inside.sum() == shown.part_maps.sum() > 0
    assert (np.diff(inside, axis=1) <= 0).all()
    assert inside[3, [0, -1]].tolist() == [1, 0.25]
    # Outside the picture is the grey image, whatever lies below the weakest part inside.
    image, picture = shown.image, draw_item(shown)[:, -224:]
    grey = cv2.cvtColor(enlarge(image, 224)[0], cv2.COLOR_RGB2GRAY)
    assert np.array_equal(picture[60:164, :50], np.repeat(grey[60:164, :50, None], 3, axis=2))


@pytest.fixture
def hiding():
    """A model whose eraser hides the strongest cell of its input's first channel."""

    class Peak(MaskEraser):
        fails = False
        cases = ("hidden",)
        meanings = {"hidden": "the peak is hidden"}

        def hide(self, features, samples):
            assert not self.fails, "no hiding"
            attention = features[:, 0] - features[:, 0].amin()
            kept = attention < attention.amax(dim=(1, 2), keepdim=True)
            return Hiding(kept, attention, torch.zeros(len(kept), dtype=torch.int64))

    torch.manual_seed(0)
    backbone = {"type": "SmallNet", "channels": (4, 4)}
    model = build_localizer({"backbone": backbone, "head": HEAD})
    model.inserts = Inserts(model.backbone, [("input", lambda *_: Peak())])
    return model


class Marked(Creatures):
    """Black images with a white pixel."""

    def load(self, index):
        image = np.zeros((32, 32, 3), np.uint8)
        image[12, 20] = 255
        return image


@pytest.mark.parametrize("wrapped", [False, True])
def test_items_show_what_erasers_would_hide(hiding, wrapped):
    turned = (CenterCrop(16), RandomFlip(1.0))
    for pipeline in ((), turned):
        dataset = Marked("test", 2, image_size=32, pipeline=pipeline)
        model = torch.nn.DataParallel(hiding) if wrapped else hiding
        for shown in gallery_items(model, dataset, 2):
            (found,) = shown.erasures.values()
            assert list(shown.erasures) == ["input"]
            assert np.argwhere(found.kept == 0).tolist() == [[12, 20]]
            assert np.argwhere(found.attention == 1).tolist() == [[12, 20]]
            assert (found.case, found.meaning) == ("hidden", "the peak is hidden")
            assert found.hidden == pytest.approx(1 / (256 if pipeline else 1024))
            assert draw_item(shown).shape == (224, 4 * 224 + 12, 3)
            assert not hiding.for_pictures
            assert not any(module.training for module in hiding.modules())
            assert hiding.inserts["input"].hiding is None


def test_an_eraser_that_fails_leaves_no_switch_behind(creatures, hiding):
    hiding.inserts["input"].fails = True
    with pytest.raises(AssertionError, match="no hiding"):
        next(gallery_items(hiding, creatures, 1))
    assert not hiding.for_pictures
    assert not any(module.training for module in hiding.modules())


def test_without_mask_erasers_pictures_stay_as_they_are(creatures):
    def items(inserts):
        torch.manual_seed(0)
        backbone = {"type": "SmallNet", "channels": (4, 4)}
        model = build_localizer({"backbone": backbone, "head": HEAD, "inserts": inserts})
        return list(gallery_items(model, creatures, 2))

    blocks = {"type": "DropBlock", "probability": 1.0, "block_size": 3}
    for plain, shown in zip(items(None), items([{"at": "stage2", "module": blocks}]), strict=True):
        assert shown.erasures == plain.erasures == {}
        assert np.array_equal(draw_item(shown), draw_item(plain))


@pytest.fixture
def several():
    return Creatures("test", length=12, image_size=64, instances=3, multi_label=True)


def test_every_label_is_shown_with_its_own_map_and_boxes(model, several):
    query = model.class_query
    for index, shown in enumerate(gallery_items(model, several, 12)):
        assert model.class_query is query, "also while the caller draws"
        truth, labels = several.truth(index), np.flatnonzero(several.label(index))
        rows = {row.title.rpartition(" 0.")[0]: row for row in shown.rows}
        assert set(list(rows)[: len(labels)]) == {several.classes[c] for c in labels}
        overlaps = []
        for class_id in labels:
            row = rows[several.classes[class_id]]
            assert np.array_equal(row.truth, truth.boxes[truth.labels == class_id])
            overlaps.append(box_iou(row.predicted[:1], row.truth).max(initial=0.0))
            assert f"{row.title}, IoU {overlaps[-1]:.2f}" in shown.caption
        assert shown.correct == all(overlap >= 0.5 for overlap in overlaps)
        extra = shown.rows[len(labels) :]
        assert ("also predicted" in shown.caption) == bool(extra)
        assert all(row.title.endswith(" (no label)") and not len(row.truth) for row in extra)
        height, width = 224 * len(shown.rows) + 4 * (len(shown.rows) - 1), 3 * 224 + 2 * 4
        assert draw_item(shown).shape == (height, width, 3)


def test_what_is_predicted_stands_behind_the_labels():
    def classes(label, *scores):
        sample = Sample("a", np.array(label), (1, 1), (0, 0, 1, 1))
        return labels_and_predicted(sample, torch.tensor(scores))

    assert classes([1, 0, 1, 0], 0.1, 0.2, 0.3, 0.1) == [2, 0], "labels, the surest first"
    assert classes([1, 0, 0, 0], 0.1, 0.2, 0.3, 0.1) == [0, 2], "and the surest of all"
    assert classes([0, 0, 0, 1], 0.6, 0.7, 0.2, 0.9) == [3, 1, 0], "and those from 0.5 up"
    assert classes([0] * 5, *[0.9] * 5) == [0, 1, 2], "but three at most"
    assert classes([0, 0], 0.1, 0.2) == [1]


def test_an_image_without_a_label_says_so(model, several, monkeypatch):
    monkeypatch.setattr(several, "label", lambda index: np.zeros(10, np.float32))
    shown = next(gallery_items(model, several, 1))
    assert ": no label; also predicted: " in shown.caption
    assert shown.correct is None


def test_without_boxes_nothing_is_claimed(model):
    weak = Creatures(split="train-weaksup", length=2, image_size=32)
    shown = next(gallery_items(model, weak, 1))
    assert shown.correct is None
    assert len(shown.truth) == len(shown.parts) == 0
    assert "IoU" not in shown.caption

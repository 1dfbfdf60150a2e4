import pickle

import numpy as np
import pytest

from wsoltool.config import plain
from wsoltool.datasets.base import LocalizationDataset
from wsoltool.datasets.creatures import Creatures
from wsoltool.datasets.image_data import Images
from wsoltool.engine.dataloaders import build_dataset, build_pipeline
from wsoltool.engine.input_size import size_at_test
from wsoltool.errors import ConfigError, DataError, SupervisionError
from wsoltool.preflight import check
from wsoltool.structures import Truth
from wsoltool.testing.voc_trees import write_voc_tree
from wsoltool_plugins import class_grouping
from wsoltool_plugins.class_grouping.grouped import GroupedClasses
from wsoltool_plugins.class_grouping.grouping import Grouping, write_groups


class Drawn(LocalizationDataset):
    """One image, three objects, all that a truth can hold."""

    classes = ("cat", "car", "dog", "bus")
    image_ids = ("one",)
    index_digest = "digest"

    def __init__(self, split="test", label=None):
        super().__init__(split)
        self.multi_label = label is None
        self._label = np.array([1, 0, 1, 1], np.float32) if label is None else label
        self.verified = 0

    def load(self, index):
        return np.zeros((4, 5, 3), np.uint8)

    def label(self, index):
        return self._label

    def read_truth(self, index):
        boxes = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 4]], np.float32)
        segments = np.array([[0, 1, 3, -1, 4]] * 4, np.int16)
        labels = np.array([0, 2, 3])
        return Truth(boxes, boxes.copy(), labels=labels, segments=segments, mask=segments > 0)

    def verify(self):
        self.verified += 1


@pytest.fixture
def groups(tmp_path):
    path = tmp_path / "groups.json"
    grouping = Grouping(Drawn.classes, ((0, 1, 0, 2), (0, 1, 0, 1)), (0, 0))
    write_groups(grouping, path)
    return path


def test_face_offers_the_data_set():
    assert class_grouping.wsoltool_datasets() == [GroupedClasses]


@pytest.mark.parametrize(
    ("level", "classes", "label", "labels", "segments"),
    [
        (0, Drawn.classes, [1, 0, 1, 1], [0, 2, 3], [0, 1, 3, -1, 4]),
        (1, ("{cat, dog}", "car", "bus"), [1, 0, 1], [0, 0, 2], [0, 1, 1, -1, 3]),
        (2, ("{cat, dog}", "{car, bus}"), [1, 1], [0, 0, 1], [0, 1, 1, -1, 2]),
    ],
)
def test_labels_boxes_and_segments_by_hand(groups, level, classes, label, labels, segments):
    grouped = GroupedClasses(Drawn(), groups, level)
    assert grouped.classes == classes
    image, sample = grouped[0]
    assert image.shape == (4, 5, 3)
    assert sample.label.tolist() == label
    assert sample.label.dtype == np.float32
    truth, single = sample.truth, Drawn().truth(0)
    assert np.array_equal(truth.boxes, single.boxes), "two objects of a group stay two boxes"
    assert truth.labels.tolist() == labels
    assert truth.labels.dtype == np.int64
    assert truth.segments.tolist() == [segments] * 4
    assert truth.segments.dtype == np.int16
    assert np.array_equal(truth.mask, single.mask)


@pytest.mark.parametrize(("label", "expected"), [(0, 0), (2, 0), (3, 2), (-1, -1)])
def test_one_label_an_image(groups, label, expected):
    grouped = GroupedClasses(Drawn(label=label), groups, 1)
    assert grouped.label(0) == expected
    assert not grouped.multi_label


def test_soft_labels_keep_the_largest(groups):
    soft = np.array([0.3, 0.0, 0.6, 0.1], np.float32)
    assert GroupedClasses(Drawn(label=soft), groups, 1).label(0).tolist() == pytest.approx(
        [0.6, 0.0, 0.1]
    )


def test_what_is_not_about_classes_is_passed_on(groups):
    inner = Drawn()
    grouped = GroupedClasses(inner, groups, 1)
    assert grouped.split == "test"
    assert grouped.image_ids == ("one",)
    assert len(grouped) == 1
    assert grouped.index_digest == "digest"
    assert grouped.multi_label
    assert grouped.provenance == inner.provenance
    grouped.verify()
    assert inner.verified == 1
    assert grouped.metainfo == {"classes": ["{cat, dog}", "car", "bus"]}


def test_training_reads_no_boxes(groups):
    grouped = GroupedClasses(Drawn("train-weaksup"), groups, 1)
    assert grouped[0][1].truth is None
    with pytest.raises(SupervisionError):
        grouped.truth(0)


def test_groups_of_other_classes_are_refused(groups):
    other = Drawn()
    other.classes = ("cat", "car", "dog", "cow")
    with pytest.raises(DataError, match="'bus' where the data set has 'cow'"):
        GroupedClasses(other, groups, 1)
    with pytest.raises(DataError, match="no level 3"):
        GroupedClasses(Drawn(), groups, 3)


@pytest.fixture
def creature_groups(tmp_path):
    path = tmp_path / "creatures.json"
    classes = tuple(Creatures(length=1, num_classes=4).classes)
    write_groups(Grouping(classes, ((0, 0, 1, 1),), (0,)), path)
    return path


def grouped_config(tiny_config, groups):
    config = tiny_config("cam/cam_small_creatures.py", model__head__num_classes=2)
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        inner = {**plain(config[loader].dataset), "num_classes": 4}
        outer = {"type": "class_grouping.GroupedClasses", "groups": str(groups), "level": 1}
        config[loader]["dataset"] = {**outer, "dataset": inner}
    return config


def test_commands_see_through_to_the_images(tiny_config, creature_groups):
    config = grouped_config(tiny_config, creature_groups)
    check(config, "train")
    (flip,) = build_pipeline(config, "train_dataloader")
    assert type(flip).__name__ == "RandomFlip"
    assert size_at_test(config).size == (32, 32)
    dataset = build_dataset(config, "train_dataloader")
    labels = {dataset.label(i) for i in range(len(dataset))}
    assert labels == {0, 1}
    assert len(dataset.pipeline) == 1


def test_a_reader_is_checked_wherever_it_stands(tiny_config, creature_groups):
    config = grouped_config(tiny_config, creature_groups)
    reader = {"type": "PascalVOC", "parts": {"train-weaksup": "Main/trainval"}}
    inner = {"type": "Images", "split": "test", "data_root": "there", "reader": reader}
    config.train_dataloader.dataset["dataset"] = inner
    with pytest.raises(ConfigError) as caught:
        check(config, "train")
    assert "train_dataloader.dataset.dataset.split" in str(caught.value)


def test_an_index_stays_out_of_what_workers_are_sent(tmp_path):
    write_voc_tree(tmp_path)
    from wsoltool.datasets.readers.voc import PascalVOC

    inner = Images("test", tmp_path, PascalVOC(years=("2007",), parts={"test": "Main/test"}))
    classes = tuple(inner.classes)
    write_groups(Grouping(classes, ((0,) * len(classes),), (0,)), tmp_path / "groups.json")
    grouped = GroupedClasses(inner, tmp_path / "groups.json", 1)
    assert "image_ids" not in vars(grouped)
    again = pickle.loads(pickle.dumps(grouped))
    assert list(again.image_ids) == list(inner.image_ids)
    truth = again.truth(0)
    assert set(truth.labels.tolist()) == {0}
    assert len(truth.labels) == len(inner.truth(0).labels)

"""The embedded data set: deterministic, exact, and with its class in the head alone."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from collections import Counter

import cv2
import numpy as np
import pytest

from wsoltool.datasets import creature_drawing, creatures
from wsoltool.datasets.creature_backgrounds import BACKGROUNDS
from wsoltool.datasets.creature_drawing import (
    COATS,
    KINDS,
    draw,
    figure,
    paint_coat,
    paint_head,
    pick,
)
from wsoltool.datasets.creature_shapes import EARS, HEAD_REACH, ears, lay_out, reach
from wsoltool.datasets.creatures import Creatures
from wsoltool.errors import ConfigError, SupervisionError


def digest(dataset: Creatures, indices: range) -> str:
    content = hashlib.sha256()
    for index in indices:
        content.update(dataset.load(index).tobytes())
        content.update(dataset.read_truth(index).boxes.tobytes())
        content.update(np.asarray(dataset.label(index)).tobytes())
    return content.hexdigest()


def extent(mask: np.ndarray) -> list[int]:
    """Smallest half-open xyxy box of a mask, the slow way."""
    ys, xs = np.nonzero(mask)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


class TestDeterminism:
    def test_instances_and_order_of_access_do_not_matter(self):
        first, second = Creatures("test", length=12), Creatures("test", length=12)
        backwards = [second.load(index) for index in reversed(range(12))][::-1]
        for index in range(12):
            assert np.array_equal(first.load(index), backwards[index])

    def test_another_process_draws_the_same(self):
        program = (
            "import sys; sys.path.insert(0, 'tests/datasets')\n"
            "from test_creatures import digest\n"
            "from wsoltool.datasets.creatures import Creatures\n"
            "print(digest(Creatures('test', instances=(1, 3), multi_label=True), range(5)))"
        )
        answer = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        here = digest(Creatures("test", instances=(1, 3), multi_label=True), range(5))
        assert answer.stdout.strip() == here

    def test_a_longer_set_begins_with_the_shorter_one(self):
        options = {"instances": (1, 3), "multi_label": True}
        short, long = (Creatures("test", length=n, **options) for n in (17, 60))
        assert digest(short, range(17)) == digest(long, range(17))
        assert [tuple(short.instance_labels(i)) for i in range(17)] == [
            tuple(long.instance_labels(i)) for i in range(17)
        ]

    def test_pickled_copies_agree(self):
        dataset = Creatures("test", length=3)
        dataset.load(1)
        assert digest(pickle.loads(pickle.dumps(dataset)), range(3)) == digest(dataset, range(3))

    def test_no_image_is_shared_by_splits_seeds_or_indices(self):
        drawn = [
            Creatures(split, length=40, seed=seed).load(index).tobytes()
            for split in ("train-weaksup", "train-fullsup", "test")
            for seed in (0, 1)
            for index in range(40)
        ]
        assert len(set(drawn)) == len(drawn)

    def test_shapes_of_the_splits_differ_too(self):
        boxes = [
            Creatures(split, length=30).read_truth(index).boxes.tobytes()
            for split in ("train-weaksup", "test")
            for index in range(30)
        ]
        assert len(set(boxes)) > 55


class TestTruth:
    @pytest.mark.parametrize("image_size", [32, 96, 150])
    def test_box_is_the_extent_of_the_mask(self, image_size):
        dataset = Creatures("test", length=40, image_size=image_size)
        for index in range(40):
            truth = dataset.truth(index)
            assert truth.boxes.tolist() == [extent(truth.mask)]
            assert truth.boxes.dtype == np.float32
            assert truth.mask.dtype == np.uint8
            assert truth.mask.shape == (image_size, image_size)
            assert set(np.unique(truth.mask)) == {0, 1}
            assert np.array_equal(truth.annotated_boxes, truth.boxes)

    def test_head_box_lies_inside_and_is_much_smaller(self):
        dataset = Creatures("test", length=200, instances=(1, 4))
        for index in range(200):
            truth = dataset.truth(index)
            assert (truth.part_boxes[:, :2] >= truth.boxes[:, :2]).all()
            assert (truth.part_boxes[:, 2:] <= truth.boxes[:, 2:]).all()
            head, whole = (
                np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
                for boxes in (truth.part_boxes, truth.boxes)
            )
            assert (head < 0.35 * whole).all()

    def test_paint_covers_exactly_the_mask(self):
        untouched = np.array([255, 0, 255], np.uint8)
        for seed in range(20):
            rng = np.random.default_rng(seed)
            (creature,) = lay_out(rng, 96, 1)
            shape = figure(creature, seed % 20, 96)
            image = np.tile(untouched, (96, 96, 1))
            paint_coat(rng, image, shape, COATS[seed % len(COATS)])
            paint_head(rng, image, creature, shape, seed % 20)
            assert np.array_equal((image != untouched).any(axis=2), shape.whole > 0)

    def test_truth_does_not_depend_on_what_was_loaded_before(self):
        dataset = Creatures("test", length=5)
        dataset.load(3)
        for index in (3, 0, 3):
            fresh = Creatures("test", length=5).truth(index)
            assert np.array_equal(dataset.truth(index).mask, fresh.mask)

    def test_an_item_is_laid_out_once_and_truth_is_not_painted(self, monkeypatch):
        calls = Counter()

        def counted(name):
            original = getattr(creatures, name)

            def call(*args):
                calls[name] += 1
                return original(*args)

            monkeypatch.setattr(creatures, name, call)

        counted("lay_out")
        counted("draw")
        dataset = Creatures("test", length=3)
        dataset[0]
        assert calls == {"lay_out": 1, "draw": 1}
        dataset.truth(1)
        assert calls == {"lay_out": 2, "draw": 1}

    def test_weak_supervision_has_no_truth(self):
        dataset = Creatures("train-weaksup", length=1)
        assert dataset[0][1].truth is None
        with pytest.raises(SupervisionError, match="creatures/train-weaksup/000000"):
            dataset.truth(0)

    def test_boxes_are_labelled(self):
        for options in ({}, {"instances": (1, 3)}, {"instances": (1, 3), "multi_label": True}):
            dataset = Creatures("test", length=20, **options)
            for index in range(20):
                truth = dataset.truth(index)
                assert truth.labels.dtype == np.int64
                assert len(truth.labels) == len(truth.boxes)
                assert np.array_equal(truth.labels, dataset.instance_labels(index))

    def test_segments_are_the_classes_of_the_mask(self):
        dataset = Creatures("test", length=30, instances=3, multi_label=True)
        for index in range(30):
            truth = dataset.truth(index)
            assert truth.segments.dtype == np.int16
            assert np.array_equal(truth.segments > 0, truth.mask == 1)
            for (x0, y0, x1, y1), label in zip(truth.boxes.astype(int), truth.labels, strict=True):
                own = truth.segments[y0:y1, x0:x1]
                assert set(np.unique(own)) == {0, label + 1}

    def test_without_several_labels_the_mask_needs_no_segments(self):
        assert Creatures("test", length=1, instances=3).truth(0).segments is None


class TestClassCue:
    @pytest.mark.parametrize("seed", range(12))
    def test_two_classes_differ_in_the_head_alone(self, seed):
        creature = lay_out(np.random.default_rng([seed, 0]), 96, 1)
        pair = [7 * seed % 20, (7 * seed + 1 + seed) % 20]
        shapes = [figure(creature[0], class_id, 96) for class_id in pair]
        images = [
            draw(np.random.default_rng([seed, 1]), creature, [shape], [class_id], 96)
            for shape, class_id in zip(shapes, pair, strict=True)
        ]
        assert np.array_equal(shapes[0].trunk, shapes[1].trunk)
        differs = (images[0] != images[1]).any(axis=2)
        # The camera's 3 x 3 blur carries the difference one pixel further.
        allowed = cv2.dilate(shapes[0].head | shapes[1].head, np.ones((3, 3), np.uint8)) > 0
        assert not differs[~allowed].any()
        assert differs[shapes[0].head > 0].mean() > 0.3

    @pytest.mark.parametrize("kind", EARS)
    def test_ears_stay_within_the_head_s_reach(self, kind):
        farthest = max(np.hypot(*ear.T).max() for ear in ears(kind))
        assert 1.5 < farthest < HEAD_REACH

    def test_a_creature_stays_in_its_place(self):
        for seed in range(100):
            for creature in lay_out(np.random.default_rng(seed), 96, 4):
                low, high = (corner.round(6) for corner in reach(creature))
                assert (low // 48 == high // 48).all()
                assert low.min() >= 0
                assert high.max() <= 95

    def test_all_pairs_of_heads_differ_clearly(self):
        (creature,) = lay_out(np.random.default_rng(5), 96, 1)
        heads = []
        for class_id in range(20):
            image, shape = np.full((96, 96, 3), 128, np.uint8), figure(creature, class_id, 96)
            paint_head(np.random.default_rng(0), image, creature, shape, class_id)
            heads.append(image.astype(int))
        area = (shape.head > 0).sum()
        for i in range(20):
            for j in range(i):
                changed = np.abs(heads[i] - heads[j]).max(axis=2) > 40
                assert changed.sum() > 0.08 * area, (KINDS[i], KINDS[j])

    def test_coats_and_backgrounds_ignore_the_class_by_default(self):
        kinds = [
            [pick(np.random.default_rng(seed), BACKGROUNDS, class_id, 0.0) for seed in range(20)]
            for class_id in range(10)
        ]
        assert all(row == kinds[0] for row in kinds)


class TestLabels:
    @pytest.mark.parametrize("num_classes", [2, 10, 20])
    def test_balanced_and_shuffled(self, num_classes):
        dataset = Creatures("train-weaksup", length=400, num_classes=num_classes)
        labels = [dataset.label(index) for index in range(400)]
        assert Counter(labels) == dict.fromkeys(range(num_classes), 400 // num_classes)
        assert labels[:num_classes] != labels[num_classes : 2 * num_classes] or num_classes == 2
        other = Creatures("train-weaksup", length=400, num_classes=num_classes, seed=1)
        assert labels != [other.label(index) for index in range(400)]

    def test_classes_have_distinct_names(self):
        names = Creatures("test", num_classes=20).classes
        assert len(set(names)) == 20
        assert names[0] == "round-blazed"

    def test_default_lengths_and_ids(self):
        lengths = [len(Creatures(s)) for s in ("train-weaksup", "train-fullsup", "test")]
        assert lengths == [2000, 200, 500]
        assert Creatures("test").image_ids[123] == "creatures/test/000123"


class TestOptions:
    def test_several_instances_have_places_of_their_own(self):
        dataset = Creatures("test", length=200, instances=(2, 9))
        counts = Counter()
        for index in range(200):
            truth = dataset.truth(index)
            counts[len(truth.boxes)] += 1
            cover = np.zeros_like(truth.mask)
            for x0, y0, x1, y1 in truth.boxes.astype(int):
                cover[y0:y1, x0:x1] += 1
                inside = truth.mask[y0:y1, x0:x1]
                assert extent(inside) == [0, 0, x1 - x0, y1 - y0]
            assert cover.max() == 1
            assert not truth.mask[cover == 0].any()
            assert len(truth.part_boxes) == len(truth.boxes) == len(dataset.instance_labels(index))
        assert set(counts) == set(range(2, 10))

    def test_without_multi_label_all_creatures_are_of_the_image_class(self):
        dataset = Creatures("test", length=20, instances=3)
        for index in range(20):
            assert dataset.instance_labels(index).tolist() == [dataset.label(index)] * 3

    def test_multi_label_is_the_union_of_the_creatures(self):
        dataset = Creatures("test", length=50, num_classes=5, instances=(1, 3), multi_label=True)
        several = 0
        for index in range(50):
            label = dataset.label(index)
            assert label.dtype == np.float32
            assert label.shape == (5,)
            assert set(np.flatnonzero(label)) == set(dataset.instance_labels(index).tolist())
            several += label.sum() > 1
        assert several > 15
        assert np.array_equal(dataset[7][1].label, dataset.label(7))

    @pytest.mark.parametrize(("option", "kinds"), [("background", BACKGROUNDS), ("coat", COATS)])
    def test_bias_ties_a_kind_to_the_class(self, option, kinds, monkeypatch):
        seen = []
        name, place = {"background": ("background", 1), "coat": ("paint_coat", 3)}[option]
        original = getattr(creature_drawing, name)

        def record(*args):
            seen.append(args[place])
            return original(*args)

        monkeypatch.setattr(creature_drawing, name, record)
        dataset = Creatures("test", length=30, **{f"{option}_bias": 1.0})
        for index in range(30):
            dataset.load(index)
        assert seen == [kinds[dataset.label(index) % len(kinds)] for index in range(30)]

    def test_classes_can_share_coats(self, monkeypatch):
        seen = []
        original = creature_drawing.paint_coat
        monkeypatch.setattr(
            creature_drawing,
            "paint_coat",
            lambda *args: seen.append(args[3]) or original(*args),
        )
        dataset = Creatures("test", length=40, num_classes=20, coat_bias=1.0, coats=5)
        for index in range(40):
            dataset.load(index)
        assert seen == [COATS[dataset.label(index) % 5] for index in range(40)]
        of_a_face = {
            face: {seen[i] for i in range(40) if KINDS[dataset.label(i)][1] == face}
            for _, face in KINDS
        }
        assert all(len(coats) == 1 for coats in of_a_face.values())
        assert len(set(seen)) == 5

    def test_bias_is_a_probability(self):
        rng = np.random.default_rng(0)
        tied = sum(pick(rng, BACKGROUNDS, 8, 0.7) == BACKGROUNDS[2] for _ in range(2000))
        assert abs(tied / 2000 - (0.7 + 0.3 / 6)) < 0.04

    def test_pipeline_is_applied(self):
        def darken(results):
            return {**results, "img": results["img"] // 2}

        plain, dark = Creatures("test", length=1), Creatures("test", length=1, pipeline=(darken,))
        assert np.array_equal(dark[0][0], plain[0][0] // 2)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"split": "train"}, "unknown split"),
            ({"length": 0}, "length"),
            ({"length": 2.5}, "length"),
            ({"num_classes": 1}, "num_classes"),
            ({"num_classes": 21}, "num_classes"),
            ({"image_size": 31}, "image_size"),
            ({"seed": -1}, "seed"),
            ({"instances": 0}, "instances"),
            ({"instances": (3, 2)}, "instances"),
            ({"instances": (1, 2, 3)}, "instances"),
            ({"instances": "two"}, "instances"),
            ({"instances": 10}, "instances"),
            ({"instances": 2, "image_size": 63}, "instances"),
            ({"background_bias": 1.1}, "background_bias"),
            ({"coat_bias": -0.1}, "coat_bias"),
            ({"coat_bias": "much"}, "coat_bias"),
            ({"coats": 0}, "coats"),
            ({"coats": 21}, "coats"),
        ],
    )
    def test_values_out_of_range_are_refused(self, options, message):
        with pytest.raises(ConfigError, match=message):
            Creatures(**options)


class TestImages:
    def test_image_statistics(self):
        dataset = Creatures("test", length=200)
        images = np.stack([dataset.load(index) for index in range(200)]).astype(float)
        assert images.shape == (200, 96, 96, 3)
        assert 110 < images.mean() < 145
        assert images.std(axis=(1, 2, 3)).min() > 12
        assert 15 < images.mean(axis=(1, 2, 3)).std() < 40

    def test_sizes_and_poses_vary(self):
        dataset = Creatures("test", length=300)
        truths = [dataset.truth(index) for index in range(300)]
        boxes, heads = (
            np.concatenate([getattr(truth, name) for truth in truths])
            for name in ("boxes", "part_boxes")
        )
        share = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / 96**2
        assert 0.06 < share.min() < 0.12
        assert 0.5 < share.max() < 0.65
        left = heads[:, [0, 2]].mean(axis=1) < boxes[:, [0, 2]].mean(axis=1)
        assert 0.4 < left.mean() < 0.6

    def test_head_is_about_a_fifth_of_the_creature(self):
        shares = []
        for seed in range(200):
            (creature,) = lay_out(np.random.default_rng(seed), 96, 1)
            shape = figure(creature, seed % 20, 96)
            shares.append((shape.head > 0).sum() / (shape.whole > 0).sum())
        assert 0.18 < np.mean(shares) < 0.23
        assert np.percentile(shares, 5) > 0.15
        assert np.percentile(shares, 95) < 0.26

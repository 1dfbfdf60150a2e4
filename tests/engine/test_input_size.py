"""What a config's pipelines make of a photo, found without any file."""

from __future__ import annotations

import numpy as np
import pytest

from wsoltool.config import bundled_configs, load_config
from wsoltool.engine.dataloaders import build_pipeline
from wsoltool.engine.input_size import (
    PHOTO,
    parse_size,
    pipeline_size,
    size_at_test,
    size_in_training,
)
from wsoltool.errors import ConfigError, DataError, UnknownComponentError
from wsoltool.transforms.flip import RandomFlip
from wsoltool.transforms.resize import Resize


def loader(*pipeline, **dataset):
    return {
        "dataset": {
            "type": "Images",
            "reader": {"type": "ImageFolders"},
            "pipeline": pipeline,
            **dataset,
        }
    }


SQUARE = {"type": "Resize", "size": 224}
OBLONG = {"type": "Resize", "size": (96, 128)}
SHORT = {"type": "ResizeShortSide", "size": 300}


@pytest.mark.parametrize(
    ("pipeline", "size"),
    [
        ((), PHOTO),
        ((SQUARE,), (224, 224)),
        ((OBLONG, {"type": "RandomFlip"}), (96, 128)),
        ((SHORT,), (300, 400)),
        ((SHORT, {"type": "RandomCrop", "size": 224}), (224, 224)),
        (({"type": "RandomResizedCrop", "size": (64, 32)},), (64, 32)),
    ],
)
def test_the_size_is_what_the_pipeline_answers(pipeline, size):
    found = pipeline_size({"train_dataloader": loader(*pipeline)}, "train_dataloader")
    assert found.size == size
    assert found.source == "from the train pipeline for a photo of 375 x 500"


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, (96, 96)),
        ({"image_size": 48}, (48, 48)),
        ({"image_size": 48, "pipeline": [OBLONG]}, (96, 128)),
    ],
)
def test_data_sets_that_make_their_images_say_how_large(settings, size):
    dataset = {"type": "Creatures", "split": "test", **settings}
    found = pipeline_size({"test_dataloader": {"dataset": dataset}}, "test_dataloader")
    side = settings.get("image_size", 96)
    assert found.size == size
    assert str(found) == (
        f"{size[0]} x {size[1]}, from the test pipeline for an image of {side} x {side}"
    )


def test_each_purpose_has_its_own_loader_and_the_other_for_want_of_it():
    train, test = loader(SQUARE), loader(OBLONG)
    both = {"train_dataloader": train, "test_dataloader": test}
    assert (size_in_training(both).size, size_at_test(both).size) == ((224, 224), (96, 128))
    for config, size, name in (
        ({"train_dataloader": train}, (224, 224), "train"),
        ({"test_dataloader": test}, (96, 128), "test"),
    ):
        for find in (size_in_training, size_at_test):
            assert find(config).size == size
            assert f"the {name} pipeline" in find(config).source


@pytest.mark.parametrize("find", [size_in_training, size_at_test])
def test_a_config_without_a_pipeline_needs_a_size(find):
    with pytest.raises(ConfigError, match="how large") as caught:
        find({"model": {}, "val_dataloader": loader(SQUARE)})
    assert "--size" in caught.value.hint


@pytest.mark.parametrize(("values", "size"), [([224], (224, 224)), ([96, 128], (96, 128))])
def test_sizes_as_typed(values, size):
    assert parse_size(values, "--size").size == size


def test_three_lengths_are_no_size():
    with pytest.raises(ConfigError, match="3 lengths") as caught:
        parse_size([1, 2, 3], "--size")
    assert caught.value.at == "--size"


def test_problems_of_a_pipeline_are_located():
    at = "train_dataloader.dataset.pipeline"
    with pytest.raises(UnknownComponentError) as caught:
        size_in_training({"train_dataloader": loader(SQUARE, {"type": "Resizee"})})
    assert caught.value.at == f"{at}[1].type"
    with pytest.raises(DataError) as caught:
        size_in_training({"train_dataloader": loader({"type": "CenterCrop", "size": 400})})
    assert caught.value.at == at


def test_random_numbers_go_on_as_if_nothing_was_drawn():
    config = {
        "train_dataloader": loader({"type": "mmcv.RandomResize", "scale": [(50, 50), (500, 500)]})
    }
    np.random.seed(3)
    expected = np.random.random(2)
    np.random.seed(3)
    sizes = set()
    drawn = []
    for _ in range(2):
        sizes.add(size_in_training(config).size)
        drawn.append(np.random.random())
    assert drawn == expected.tolist()
    assert len(sizes) == 1


def test_pipelines_are_built_as_the_config_lists_them():
    config = {"train_dataloader": loader(SQUARE, {"type": "RandomFlip"})}
    resize, flip = build_pipeline(config, "train_dataloader")
    assert isinstance(resize, Resize)
    assert resize.size == (224, 224)
    assert isinstance(flip, RandomFlip)
    assert build_pipeline({"test_dataloader": {"dataset": {}}}, "test_dataloader") == []


@pytest.mark.parametrize("name", bundled_configs())
def test_bundled_configs_are_measured_at_the_size_that_they_train_at(name):
    sides = {"creatures": 96, "tinyimagenet": 128, "mldfr_inceptionv3": 299}
    expected = next((side for part, side in sides.items() if part in name), 224)
    assert size_in_training(load_config(name)).size == (expected, expected)

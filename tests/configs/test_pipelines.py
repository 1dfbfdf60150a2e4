"""The papers' pipelines by name: what they make of a photo, and how a config takes another one."""

import numpy as np
import pytest
from mmengine.config import Config

from wsoltool.config import config_root, load_config, plain
from wsoltool.datasets.base import run_pipeline
from wsoltool.plugin.manager import build

#: Name -> input size (height, width) of a photo of 300 x 400, and whether all of it is seen in each
#: of 30 drawings; None: in some of them.
MAKES = {
    "random_crop_224": ((224, 224), False),
    "area_crop_224": ((224, 224), None),
    "short_side_centre_flip_224": ((224, 224), False),
    "squash_224": ((224, 224), True),
    "keep_aspect_224": ((224, 298), True),
    "short_side_centre_224": ((224, 224), False),
    "squash_centre_224": ((224, 224), False),
}


@pytest.fixture(scope="module")
def pipelines():
    found = Config.fromfile(config_root() / "_base_" / "pipelines.py")
    return {key[1:]: plain(found[key]) for key in found if key.endswith("_224")}


def shown(pipeline, seed):
    np.random.seed(seed)
    image = np.zeros((300, 400, 3), np.uint8)
    steps = [build("transform", step, "pipeline") for step in pipeline]
    return run_pipeline(image, steps, "photo")


def test_all_are_listed(pipelines):
    assert set(pipelines) == set(MAKES)


@pytest.mark.parametrize("name", MAKES)
def test_what_they_make_of_a_photo(pipelines, name):
    size, whole = MAKES[name]
    results = [shown(pipelines[name], seed) for seed in range(30)]
    assert {result["img"].shape[:2] for result in results} == {size}
    regions = {result["region"] for result in results}
    if whole is not None:
        assert ((0.0, 0.0, 400.0, 300.0) in regions) == whole
    in_training = "crop" in name or "flip" in name
    assert (len({result["flip"] for result in results}) == 2) == in_training
    assert (len(regions) > 1) == ("crop" in name)


@pytest.mark.parametrize(
    ("name", "area"),
    [
        ("random_crop_224", (224 / 256) ** 2),
        ("short_side_centre_224", 224 / 298),
        ("squash_centre_224", (224 / 256) ** 2),
    ],
)
def test_share_of_the_image_that_is_seen(pipelines, name, area):
    x0, y0, x1, y1 = shown(pipelines[name], 0)["region"]
    assert (x1 - x0) * (y1 - y0) / 120_000 == pytest.approx(area)


def test_area_crops_keep_their_bounds(pipelines):
    regions = [shown(pipelines["area_crop_224"], seed)["region"] for seed in range(60)]
    shares = [(x1 - x0) * (y1 - y0) / 120_000 for x0, y0, x1, y1 in regions]
    ratios = [(x1 - x0) / (y1 - y0) for x0, y0, x1, y1 in regions]
    assert 0.79 < min(shares) < 0.9 < max(shares) <= 1.0
    assert 0.74 < min(ratios) < 1.25 < max(ratios) < 1.35


def test_a_config_takes_another_pipeline_in_a_line(tmp_path):
    path = tmp_path / "mine.py"
    bases = (config_root() / "_base_" / "datasets" / "cub.py").as_posix()
    path.write_text(
        f"_base_ = [{bases!r}]\n"
        "train_dataloader = dict(dataset=dict(pipeline=_base_._area_crop_224))\n"
        "test_dataloader = dict(dataset=dict(pipeline=_base_._keep_aspect_224))\n"
    )
    config = load_config(path)
    train = config.train_dataloader.dataset
    assert [step["type"] for step in train.pipeline] == ["RandomResizedCrop", "RandomFlip"]
    assert (train.split, train.reader.type) == ("train-weaksup", "WsolMetadata")
    assert plain(config.test_dataloader.dataset.pipeline) == [
        {"type": "ResizeShortSide", "size": 224}
    ]
    assert plain(config.val_dataloader.dataset.pipeline) == [{"type": "Resize", "size": 224}]
    assert not [key for key in config if key.startswith("_")]

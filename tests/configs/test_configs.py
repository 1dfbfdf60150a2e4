"""Every bundled config: checked, built, trained for a step, asked for boxes. No file is read."""

import math

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper

from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.datasets.base import run_pipeline
from wsoltool.datasets.collate import collate
from wsoltool.engine.dataloaders import build_pipeline
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.preflight import check
from wsoltool.structures import Sample

CONFIGS = list(bundled_configs())
#: Small images keep the large networks to seconds; maps of 2 x 2 cells and more.
SIDES = {"SmallNet": 32, "InceptionV3": 96}
USUAL_SIDE = 64
SMALLEST_VIEW = 32
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def distinct():
    """Configs whose models and optimizers differ in more than the number of classes."""
    found = {}
    for name in CONFIGS:
        config = load_config(name)
        model = plain(config.model)
        model["head"] = {k: v for k, v in model["head"].items() if k != "num_classes"}
        found.setdefault(repr((model, plain(config.optim_wrapper))), name)
    return list(found.values())


def side_of(model, views):
    """Of square images that no view of the network is too small for."""
    usual = SIDES.get(model.backbone.type, USUAL_SIDE)
    return max(usual, math.ceil(SMALLEST_VIEW / min(view.scale for view in views)))


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random_batch(side, num_classes):
    generator = np.random.default_rng(0)
    items = []
    for index in range(2):
        image = generator.integers(256, size=(side, side, 3), dtype=np.uint8)
        # The original was wider than what the network sees.
        size, region = (3 * side, 4 * side), (side / 2, 0.0, 3.5 * side, 3.0 * side)
        label = int(generator.integers(num_classes))
        items.append((image, Sample(f"image-{index}", label, size, region)))
    return collate(items)


def built(config):
    torch.manual_seed(0)
    return build_localizer(without_pretrained(plain(config.model)))


def step(model, config, data):
    """One training step by the config's optimizer; its loss and the gradients it was made with."""
    gradients = {}
    for name, parameter in model.named_parameters():
        parameter.register_hook(lambda g, name=name: gradients.update({name: g.abs().max().item()}))
    optimizer = build_optim_wrapper(model, plain(config.optim_wrapper))
    return model.train().train_step(data, optimizer)["loss"], gradients


def test_there_are_configs_of_every_plugin():
    plugins = {name.partition("/")[0] for name in CONFIGS}
    assert plugins >= {"ass", "cam", "fam", "has", "gradcam", "mldfr"}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_passes_the_preflight(name):
    check(load_config(name), "train")
    check(load_config(name), "localize")
    if "photos" not in name:  # they have no boxes to be scored by
        check(load_config(name), "test")


@pytest.mark.parametrize("name", CONFIGS)
def test_pipelines_take_photos_of_any_shape(name):
    config = load_config(name)
    for loader in (loader for loader in LOADERS if loader in config):
        steps = build_pipeline(config, loader)
        for size in ((300, 400), (90, 64)):
            results = run_pipeline(np.zeros((*size, 3), np.uint8), steps, name)
            assert results["img"].dtype == np.uint8
            x0, y0, x1, y1 = results["region"]
            assert 0 <= x0 < x1 <= size[1]
            assert 0 <= y0 < y1 <= size[0]


@pytest.mark.parametrize("name", distinct())
def test_a_config_trains_a_step_and_finds_boxes(name):
    config = load_config(name)
    model = built(config)
    num_classes = config.model.head.num_classes
    data = random_batch(side_of(config.model, model.fusion.views()), num_classes)

    loss, gradients = step(model, config, data)
    assert torch.isfinite(loss)
    reached = {name for name, largest in gradients.items() if 0 < largest < float("inf")}
    assert any(name.startswith("head.") for name in reached)
    first = next(name for name, _ in model.backbone.named_parameters())
    assert f"backbone.{first}" in reached, "the gradient does not reach the network's first layer"

    model.eval()
    for sample, prediction in zip(data["samples"], model.test_step(data), strict=True):
        assert prediction.scores.shape == (num_classes,)
        assert ((prediction.scores >= 0) & (prediction.scores <= 1)).all()
        if config.model.head.get("loss", {}).get("type") != "BinaryCrossEntropy":
            assert prediction.scores.sum() == pytest.approx(1, abs=1e-4)
        assert prediction.class_ids[0] == sample.label
        for class_id in prediction.class_ids:
            localization_map = prediction.map(class_id)
            assert localization_map.shape == sample.size
            assert localization_map.min() >= 0
            assert localization_map.max() <= 1
            x0, y0, x1, y1 = sample.region
            boxes = prediction.boxes(class_id).xyxy
            assert (boxes >= [x0, y0, x0, y0]).all()
            assert (boxes <= [x1, y1, x1, y1]).all()
            assert (boxes[:, :2] < boxes[:, 2:]).all()

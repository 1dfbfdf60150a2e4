"""Every benchmark runs, at a tiny size, and answers what its documentation says; no times."""

import json
import math
import sys
from importlib import import_module

import cv2
import numpy as np
import pytest
import torch
from torchvision import models

from wsoltool.config import load_config


@pytest.fixture(scope="module")
def tool(repository):
    """The tool as a module; it is started from its own folder, which is on the path then."""
    sys.path.insert(0, str(repository / "tools"))
    yield import_module("benchmark")
    sys.path.remove(str(repository / "tools"))


@pytest.fixture(scope="module")
def measuring(tool):
    return import_module("benchmarks.measurement")


@pytest.fixture(scope="module")
def content(tool, tmp_path_factory):
    path = tmp_path_factory.mktemp("benchmark") / "figures.json"
    assert tool.main(["--quick", "--json", str(path)]) == 0
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_json_file_has_the_documented_keys(tool, content):
    assert content.keys() == {"machine", "quick", "measurements"}
    assert content["quick"] is True
    assert content["machine"]["cores"] >= 1
    keys = {"name", "ours", "reference", "ratio", "unit", "target", "met"}
    assert all(measurement.keys() == keys for measurement in content["measurements"])
    assert all(f"``{key}``" in tool.__doc__ for key in (*keys, *content))


def test_all_benchmarks_run_by_default_in_the_table_s_order(tool, content):
    # A benchmark with several lines puts its name before each.
    names = [m["name"].split()[0] for m in content["measurements"]]
    assert list(dict.fromkeys(names)) == list(tool.BENCHMARKS)
    lines = [m["name"] for m in content["measurements"]]
    assert len(set(lines)) == len(lines) > len(tool.BENCHMARKS)


def test_every_figure_is_finite_and_positive(content):
    for measurement in content["measurements"]:
        for key in ("ours", "reference", "ratio"):
            assert math.isfinite(measurement[key]), measurement
            assert measurement[key] > 0, measurement


def test_every_benchmark_is_explained(tool):
    lines = tool.__doc__.splitlines()
    headings = {
        name for line in lines if line[:1].strip() for name in line.replace(",", " ").split()
    }
    assert set(tool.BENCHMARKS) <= headings


def test_one_benchmark_alone_prints_its_line(tool, capsys):
    assert tool.main(["sweep-all", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert "sweep-all" in shown
    assert "ratio >= 20" in shown
    assert "creatures" not in shown


def test_a_gain_has_no_target(tool, content, capsys):
    gains = [m for m in content["measurements"] if m["name"].startswith(("bf16", "channels-last"))]
    assert gains
    assert all(m["target"] is m["met"] is None for m in gains)
    measurement = import_module("benchmarks.measurement").Measurement
    facts = {**tool.machine(), "load_after": 0.0}
    tool.Console().print(tool.table([measurement("a", 9, 9, 0.5, "s", None)], facts))
    assert capsys.readouterr().out.splitlines()[3].split()[-2:] == ["-", "-"]


def test_an_unknown_name_is_refused(tool, capsys):
    with pytest.raises(SystemExit):
        tool.main(["sweeps"])
    assert "sweep-all" in capsys.readouterr().err


def test_rates_and_times_give_the_same_ratio(measuring):
    target = measuring.Target("ratio", above=2)
    rates = measuring.compare("a", "images/s", target, [10, 40, 30], [5, 10, 10])
    assert (rates.ours, rates.reference, rates.ratio) == (30, 10, 3)
    times = measuring.compare("a", "s", target, [0.1, 0.1, 0.1], [0.2, 0.4, 0.3])
    assert times.ratio == pytest.approx(3)
    milliseconds = measuring.compare("a", "CPU ms", target, [1, 1, 1], [2, 4, 3])
    assert milliseconds.ratio == pytest.approx(3)
    assert rates.met
    assert times.met


def test_targets_bound_ours_or_the_ratio(measuring):
    measure = measuring.Measurement
    below = measuring.Target("ours", below=0.5)
    assert str(below) == "ours < 0.5"
    assert measure("a", 0.49, 9, 9, "s", below).met
    assert not measure("a", 0.5, 9, 9, "s", below).met
    above = measuring.Target("ratio", above=0.95)
    assert str(above) == "ratio >= 0.95"
    assert measure("a", 9, 9, 0.95, "s", above).met
    assert not measure("a", 9, 9, 0.94, "s", above).met


def test_one_thread_is_given_back(measuring):
    before = cv2.getNumThreads(), torch.get_num_threads()
    with measuring.one_thread():
        assert (cv2.getNumThreads(), torch.get_num_threads()) == (1, 1)
    assert (cv2.getNumThreads(), torch.get_num_threads()) == before


def test_the_runner_and_the_bare_loop_train_alike(tool, measuring, tmp_path):
    # Otherwise the two would not do the same work.
    training = import_module("benchmarks.training")
    with measuring.one_thread():
        config = training.training_config(image_size=32, batch_size=4, turns=2)
        runner, turns = training.alternating_runner(config, tmp_path)
        before = runner.model.head.classifier.weight.detach().clone()
        runner.train()
    assert len(turns.ours) == len(turns.reference) == 1
    for own, other in zip(runner.model.parameters(), turns.bare.model.parameters(), strict=True):
        torch.testing.assert_close(own, other)
    assert not torch.equal(runner.model.head.classifier.weight, before)


def test_maps_of_the_sweep_are_localization_maps(tool):
    values = import_module("benchmarks.sweep").cam_like_map(np.random.default_rng(0))
    assert values.shape == (224, 224)
    assert (values.min(), values.max()) == (0, 1)


@pytest.fixture(scope="module")
def backbones(tool):
    return import_module("benchmarks.backbones")


def test_every_network_of_the_backbones_is_one_of_torchvision(backbones):
    known = models.list_models(module=models)
    assert all(network.published in known for network in backbones.NETWORKS.values())
    assert set(backbones.QUICK) <= set(backbones.NETWORKS)


def test_a_backbone_s_reference_has_its_weights_and_no_classifier(backbones):
    backbone = backbones.ResNet18()
    reference = backbones.reference_of(backbone, "resnet18")
    own, other = dict(backbone.named_parameters()), dict(reference.named_parameters())
    assert own.keys() == other.keys()
    assert all(own[name].data_ptr() == other[name].data_ptr() for name in own)
    assert not reference.training


def test_settings_leave_the_plain_backbone_as_it_is(backbones):
    backbone, images = backbones.ResNet18().eval(), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        turned = backbones.with_channels_last(backbone)(images)
        rounded = backbones.with_bf16(backbone)(images)
        plain = backbones.run_plainly(backbone)(images)
    assert turned.is_contiguous(memory_format=torch.channels_last)
    assert plain.is_contiguous()
    assert (rounded.dtype, plain.dtype) == (torch.bfloat16, torch.float32)


def test_features_are_compared_with_maps_means_and_flattened_maps(backbones):
    maps = torch.tensor([[[[1.0, 3.0]], [[0.0, 8.0]]]])  # (1, 2, 1, 2), means 2 and 4
    for other in (maps, torch.tensor([[2.0, 4.0]]), maps.flatten(1)):
        backbones.check_features(maps, other, 1e-5)
    backbones.check_features(maps, torch.tensor([[2.0, 4.03]]), 0.01)
    for wrong in ([[2.0, 4.05]], [[4.0, 2.0]]):
        with pytest.raises(AssertionError):
            backbones.check_features(maps, torch.tensor(wrong), 0.01)
    with pytest.raises(AssertionError):  # nothing but zeros shows nothing
        backbones.check_features(0 * maps, 0 * maps, 0.01)


@pytest.fixture(scope="module")
def methods(tool):
    return import_module("benchmarks.methods")


@pytest.fixture
def mscam(methods):
    """A localizer of three scales and images at the largest one's size."""
    torch.manual_seed(1)
    return methods.mscam_localizer("MobileNetV2"), torch.randn(methods.BATCH, 3, 64, 64)


def test_the_configs_of_mscam_have_the_documented_scales_and_classes(methods):
    for name in methods.MLDFR.values():
        model = load_config(name).model
        assert (model.fusion.scales, model.fusion.input_scale) == ((1.0, 1.5, 2.0), 2.0)
        assert model.head.num_classes == methods.CLASSES


def test_plain_forwards_see_the_sizes_of_the_views(methods, mscam):
    localizer, images = mscam
    sides = [view.apply(images).shape[-1] for view in localizer.fusion.views()]
    assert sides == [32, 48, 64]
    with torch.no_grad():
        logits = methods.run_plainly(localizer, [images[..., :32, :32], images])
    assert [tuple(batch.shape) for batch in logits] == [(methods.BATCH, methods.CLASSES)] * 2


def test_maps_of_three_scales_are_made_for_the_labels_at_the_images_size(methods, mscam):
    localizer, images = mscam
    for index, (prediction, maps) in enumerate(methods.predict_maps(localizer, images)):
        assert prediction.class_ids[0] == index
        assert len(maps) == len(prediction.class_ids)
        assert all(values.shape == methods.ORIGINAL for values in maps)


def test_another_answer_than_that_of_the_forwards_is_no_measurement(methods, mscam):
    localizer, images = mscam
    with torch.no_grad():
        methods.check_mscam(localizer, images)
        localizer.fusion.reduce = "max"
        with pytest.raises(AssertionError):
            methods.check_mscam(localizer, images)
        localizer.fusion.reduce = "sum"
        localizer.head.scores = lambda features: localizer.head.logits(features).sigmoid()
        with pytest.raises(AssertionError):
            methods.check_mscam(localizer, images)


def test_a_tenth_more_is_the_most(methods):
    assert methods.AT_MOST.is_met(1 / 1.09)
    assert not methods.AT_MOST.is_met(1 / 1.11)


@pytest.fixture(scope="module")
def extraction(tool):
    return import_module("benchmarks.extraction")


def test_boxes_of_one_threshold_are_no_measurement_of_two_stages(extraction):
    scenes = extraction.draw_scenes(4)
    localization_map, context = scenes[0]
    assert (localization_map.shape, localization_map.max()) == ((224, 224), 1)
    assert context.features["last"].shape == (512, 14, 14)
    two_stage = extraction.build("box extractor", {"type": "revisited_cam.TwoStageBoxes"}, "boxes")
    extraction.check_boxes(two_stage, scenes)
    two_stage.thresholds = two_stage.thresholds[4:5]
    with pytest.raises(AssertionError, match=r"cut at \{0\.2"):
        extraction.check_boxes(two_stage, scenes)
    two_stage.min_seeds = 197
    with pytest.raises(AssertionError, match="without its box"):
        extraction.check_boxes(two_stage, scenes)


def test_levels_localize_with_four_networks_of_two_each(tool, methods):
    levels = import_module("benchmarks.levels")
    images = methods.random_images(32).cpu()
    for maps in levels.MAPS:
        ensemble = levels.level_ensemble(maps, quick=True)
        counts = {name: own.head.num_classes for name, own in ensemble.localizers().items()}
        assert list(counts.values()) == [20, 12, 8, 5]
        (prediction, drawn), *_ = methods.predict_maps(ensemble, images)
        class_id = prediction.class_ids[0]
        branches = prediction.raw_maps(class_id)[0].branches
        networks = ("a", "b") if maps == "CAM" else ("a.last", "b.last")
        assert {f"{level}/{network}" for level in counts for network in networks} <= set(branches)
        assert "level_20/rest" in branches
        assert drawn[0].shape == methods.ORIGINAL
        if maps == "CAM":
            last = ensemble.members["level_5"]
            asked = torch.tensor([[class_id % 5]] * 2)
            own = last.head.maps(last.extract(images), asked)
            torch.testing.assert_close(branches["level_5/a"], own["a"][0].detach())

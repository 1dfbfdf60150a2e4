"""From config to localizer: defaults, injection, inserts by glob, messages with config paths."""

import copy

import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError, UnknownComponentError
from wsoltool.models.boxes import ThresholdBoxes
from wsoltool.models.builder import build_localizer, check_model_keys, without_pretrained
from wsoltool.models.erasing import DropBlock
from wsoltool.models.fusion import Flip, SingleView
from wsoltool.models.localizer import HeadMaps, Localizer, labels_and_top1
from wsoltool.models.recalibrations.batch_norm import BatchNorm

MINIMAL = {
    "backbone": {"type": "SmallNet", "channels": (4, 6, 8)},
    "head": {"type": "cam.CAMHead", "num_classes": 5},
}


def built(**model):
    return build_localizer({**MINIMAL, **model})


def refused(error=ConfigError, **model):
    with pytest.raises(error) as caught:
        built(**model)
    return caught.value


def test_defaults():
    model = built()
    assert isinstance(model, Localizer)
    assert type(model.fusion) is SingleView
    assert type(model.boxes) is ThresholdBoxes
    assert type(model.map_source) is HeadMaps
    assert model.inserts is None
    assert model.data_preprocessor.batch_augmentations == ()
    assert model.data_preprocessor.channels_last
    assert model.class_query is labels_and_top1


@pytest.mark.parametrize("empty", [None, (), []])
def test_parts_may_be_switched_off(empty):
    model = built(inserts=empty, batch_augmentations=empty, map_source=None, preprocessor=None)
    assert model.inserts is None
    assert model.data_preprocessor.batch_augmentations == ()


def test_channels_of_the_tapped_feature_are_injected():
    head = {"type": "cam.CAMHead", "num_classes": 5, "tap": "stage2"}
    assert built().head.classifier.weight.shape == (5, 8)
    model = built(head=head)
    assert model.head.classifier.weight.shape == (5, 6)
    assert model.backbone.wanted == ("stage2",)


def test_inserts_get_the_channels_of_every_point_that_a_glob_matches():
    model = built(
        inserts=[
            {"at": "stage*", "module": {"type": "BatchNorm", "momentum": 0.3}},
            {"at": "stage2", "module": {"type": "DropBlock", "block_size": 3}},
        ]
    )
    found = {key: type(insert) for key, insert in model.inserts.items()}
    assert found == {
        "stage1": BatchNorm,
        "stage2": BatchNorm,
        "stage3": BatchNorm,
        "stage2_2": DropBlock,
    }
    assert [model.inserts[f"stage{i}"].num_features for i in (1, 2, 3)] == [4, 6, 8]
    assert model.inserts["stage1"] is not model.inserts["stage2"]
    assert all(model.inserts[f"stage{i}"].momentum == 0.3 for i in (1, 2, 3))


def test_the_backbones_mean_and_deviation_normalise_unless_the_config_says_other():
    mobile = {"type": "MobileNetV1", "width": 0.25}
    pixel = torch.tensor([[[[0, 127, 255]]]], dtype=torch.uint8)
    scaled = built(backbone=mobile).data_preprocessor.normalize(pixel).flatten().tolist()
    assert scaled == pytest.approx([-1, 127 / 127.5 - 1, 1], abs=1e-6)
    plain = built(backbone=mobile, preprocessor={"mean": (0, 0, 0), "std": (1, 1, 1)})
    assert plain.data_preprocessor.normalize(pixel).flatten().tolist() == [0, 127, 255]
    assert not built(preprocessor={"channels_last": False}).data_preprocessor.channels_last


def test_nested_components_are_built():
    loss = {"type": "BinaryCrossEntropy"}
    model = built(head={"type": "cam.CAMHead", "num_classes": 5, "loss": loss})
    assert type(model.head.criterion).__name__ == "BinaryCrossEntropy"


def test_the_config_is_not_changed():
    config = {
        **MINIMAL,
        "type": "Localizer",
        "fusion": {"type": "Flip"},
        "boxes": {"type": "ThresholdBoxes", "threshold": 0.3},
        "map_source": {"type": "gradcam.GradCAM"},
        "inserts": [{"at": "stage*", "module": {"type": "BatchNorm"}}],
        "batch_augmentations": [{"type": "has.HideAndSeek", "grid_size": (4, 8)}],
        "preprocessor": {"mean": (1, 2, 3)},
    }
    before = copy.deepcopy(config)
    first, second = build_localizer(config), build_localizer(config)
    assert config == before
    assert type(first.fusion) is Flip
    assert first.inserts["stage1"] is not second.inserts["stage1"]


def test_two_models_of_the_defaults_share_nothing():
    first, second = built(), built()
    assert first.fusion is not second.fusion
    assert first.boxes is not second.boxes
    ours = {id(p) for p in first.parameters()}
    assert not ours & {id(p) for p in second.parameters()}


def test_unknown_keys_have_a_near_name():
    error = refused(fushion={"type": "Flip"})
    assert error.at == "model.fushion"
    assert "did you mean 'fusion'?" in str(error)


@pytest.mark.parametrize("key", ["backbone", "head"])
def test_backbone_and_head_are_required(key):
    config = {name: part for name, part in MINIMAL.items() if name != key}
    with pytest.raises(ConfigError, match=f"model has no {key}") as caught:
        check_model_keys(config, "model")
    assert caught.value.at == f"model.{key}"


def test_the_path_is_that_of_the_caller():
    with pytest.raises(ConfigError) as caught:
        build_localizer({**MINIMAL, "boxs": {}}, at="members[1]")
    assert caught.value.at == "members[1].boxs"


def test_unknown_insert_points_name_the_entry():
    good = {"at": "stage1", "module": {"type": "BatchNorm"}}
    error = refused(inserts=[good, {"at": "stage7", "module": {"type": "BatchNorm"}}])
    assert error.at == "model.inserts[1].at"
    assert "SmallNet has no insert point 'stage7'" in str(error)
    assert "stage3" in error.known
    assert refused(inserts=[{"at": "pool*", "module": {}}]).at == "model.inserts[0].at"


def test_insert_modules_that_cannot_be_built_name_the_entry():
    error = refused(
        UnknownComponentError, inserts=[{"at": "stage*", "module": {"type": "BatchNom"}}]
    )
    assert error.at == "model.inserts[0].module.type"
    assert "BatchNorm" in str(error)
    even = {"type": "DropBlock", "block_size": 4}
    assert refused(inserts=[{"at": "stage1", "module": even}]).at == "model.inserts[0].module"


@pytest.mark.parametrize(
    "entry", [{"at": "stage1"}, {"module": {"type": "BatchNorm"}}, "stage1", {}]
)
def test_entries_that_are_no_insert_are_refused(entry):
    error = refused(inserts=[entry])
    assert error.at == "model.inserts[0]"
    assert "dict(at=" in error.expected


@pytest.mark.parametrize(
    ("model", "at"),
    [
        ({"fusion": {"type": "MultiScale", "scales": (0,)}}, "model.fusion"),
        ({"fusion": None}, "model.fusion"),
        ({"boxes": {"type": "ThresholdBoxes", "threshold": 2}}, "model.boxes"),
        ({"map_source": {"type": "gradcam.GradCAM", "target": "stage9"}}, "model.map_source"),
        (
            {"head": {"type": "cam.CAMHead", "num_classes": 5, "tap": "stage9"}},
            "model.head",
        ),
        (
            {"batch_augmentations": [{"type": "has.HideAndSeek", "grid_size": -1}]},
            "model.batch_augmentations[0]",
        ),
        ({"preprocessor": {"std": (0, 1, 1)}}, "model.preprocessor"),
        ({"preprocessor": {"means": (0, 1, 1)}}, "model.preprocessor.means"),
        ({"preprocessor": {"batch_augmentations": []}}, "model.preprocessor"),
        ({"frozen": "stage9"}, "model.frozen"),
        ({"frozen": 2}, "model.frozen"),
        ({"norm_eval": 1}, "model.norm_eval"),
        ({"compile": {"mod": "default"}}, "model.compile.mod"),
    ],
)
def test_parts_that_cannot_be_built_name_their_config_path(model, at):
    assert refused(**model).at == at


def test_frozen_norm_eval_and_compile_reach_the_backbone():
    model = built()
    assert model.backbone.frozen is None
    assert not model.backbone.norm_eval
    assert model.backbone._compiled_call_impl is None
    model = built(frozen="stage2", norm_eval=True, compile={"backend": "eager"})
    assert model.backbone.frozen == "relu2"
    assert model.backbone._compiled_call_impl is not None
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.rpartition(".")[0] for name in trained} == {
        "backbone.layers.conv3",
        "backbone.layers.bn3",
        "head.classifier",
    }
    assert not any(layer.training for layer in (model.backbone.layers.bn3,))
    assert model.backbone.layers.conv3.training


def test_an_unknown_step_to_freeze_has_a_near_name():
    error = refused(frozen="stag2")
    assert "did you mean 'stage2'?" in str(error)


def test_built_parts_pass_through():
    class Own(nn.Module):
        pass

    boxes = ThresholdBoxes(0.4)
    assert built(boxes=boxes).boxes is boxes
    assert refused(fusion=Own()).at == "model.fusion"


def test_without_pretrained_leaves_the_config_alone():
    model = {"backbone": {"type": "VGG16", "pretrained": True}, "head": {"type": "cam.CAMHead"}}
    bare = without_pretrained(model)
    assert bare == {**model, "backbone": {"type": "VGG16", "pretrained": False}}
    assert model["backbone"]["pretrained"] is True
    # A backbone that knows no pretrained weights is given no such argument.
    assert without_pretrained({"backbone": {"type": "Own"}}) == {"backbone": {"type": "Own"}}

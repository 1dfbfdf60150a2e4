from __future__ import annotations

import logging
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, VGG16_Weights

from wsoltool.errors import CheckpointError, ConfigError
from wsoltool.models.backbones.resnet import ResNet18
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.backbones.vgg import VGG16
from wsoltool.models.pretrained import apply_pretrained, fit_state_dict, read_state_dict


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.extra = nn.Conv2d(4, 4, 1)


@pytest.fixture
def net() -> Small:
    torch.manual_seed(0)
    return Small()


@pytest.fixture
def state() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: torch.rand_like(t.float()) for name, t in Small().state_dict().items()}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSOLTOOL_DATA", str(tmp_path))
    return tmp_path


def equal(net: nn.Module, state: dict[str, Tensor]) -> bool:
    mine = net.state_dict()
    return all(torch.equal(mine[name].float(), t.float()) for name, t in state.items())


def counted(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "norm.num_batches_tracked": torch.tensor(7)}


@pytest.mark.parametrize("wrap", [None, "state_dict", "model", "both"])
def test_torch_file(net: Small, state: dict[str, Tensor], data: Path, wrap: str | None) -> None:
    state = counted(state)
    content = {
        None: state,
        "state_dict": {"epoch": 3, "state_dict": OrderedDict(state), "optimizer": {}},
        "model": {"model": state},
        "both": {"model": {"state_dict": state}},
    }[wrap]
    torch.save(content, data / "x.pth")
    apply_pretrained(net, {"file": "x.pth"})
    assert equal(net, state)


def test_safetensors_file(net: Small, state: dict[str, Tensor], data: Path) -> None:
    state = counted(state)
    save_file(state, data / "x.safetensors")
    apply_pretrained(net, {"file": str(data / "x.safetensors")})
    assert equal(net, state)


@pytest.mark.parametrize("spec", [False, None])
def test_no_weights(net: Small, spec: bool | None) -> None:
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    apply_pretrained(net, spec)
    assert equal(net, before)


def test_key_map_takes_the_longest_prefix_once(net: Small, state: dict[str, Tensor]) -> None:
    renamed = {f"net.net.{name}": t for name, t in state.items() if name.startswith("conv")}
    renamed |= {f"net.{name}": t for name, t in state.items() if not name.startswith("conv")}
    fit = fit_state_dict(net, renamed, key_map={"net.": "", "net.net.": ""})
    assert fit.problems == ()
    assert set(fit.loaded) == set(state)
    assert fit_state_dict(net, renamed, key_map={"net.": ""}).problems  # net.conv.weight remains


def test_two_tensors_for_one_name(net: Small, state: dict[str, Tensor]) -> None:
    doubled = {**state, "old.conv.bias": torch.zeros(4)}
    fit = fit_state_dict(net, doubled, key_map={"old.": ""})
    assert fit.problems == ("old.conv.bias: a second tensor for conv.bias",)


def test_everything_is_loaded_ignored_or_a_problem(net: Small, state: dict[str, Tensor]) -> None:
    state |= {"fc.weight": torch.zeros(2, 4), "aux.bias": torch.zeros(3), "odd": torch.zeros(1)}
    fit = fit_state_dict(net, state, classifier=("fc.*",), ignore=("aux.*",))
    assert fit.ignored == ("fc.weight", "aux.bias")
    assert fit.problems == ("odd: unexpected, (1,)",)
    assert not fit.mismatched


def test_ignore_matches_names_before_and_after_renaming(
    net: Small, state: dict[str, Tensor]
) -> None:
    state["m.aux.bias"] = torch.zeros(3)
    for pattern in ("m.aux.*", "aux.*"):
        assert not fit_state_dict(net, state, key_map={"m.": ""}, ignore=(pattern,)).problems


def test_missing_tensors_are_an_error_unless_new(net: Small, state: dict[str, Tensor]) -> None:
    old = {name: t for name, t in state.items() if not name.startswith("extra")}
    fit = fit_state_dict(net, old)
    assert fit.problems == (
        "extra.weight: missing in the file, expected (4, 4, 1, 1)",
        "extra.bias: missing in the file, expected (4,)",
    )
    assert fit_state_dict(net, old, new=("extra.*",)).problems == ()


def test_batch_counters_may_be_missing(net: Small, state: dict[str, Tensor], data: Path) -> None:
    del state["norm.num_batches_tracked"]
    torch.save(state, data / "x.pth")
    apply_pretrained(net, {"file": "x.pth"})
    assert equal(net, state)
    del state["norm.running_var"]
    assert fit_state_dict(net, state).problems == (
        "norm.running_var: missing in the file, expected (4,)",
    )


def test_a_misfit_loads_nothing_and_lists_everything(
    net: Small, state: dict[str, Tensor], data: Path
) -> None:
    state["conv.weight"] = torch.zeros(4, 3, 3, 3)
    state["norm.bias"] = torch.zeros(8)
    state["odd"] = torch.zeros(())
    del state["extra.bias"]
    torch.save(state, data / "x.pth")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(CheckpointError) as error:
        apply_pretrained(net, {"file": "x.pth"}, shape_hint=lambda state: f"{len(state)} tensors")
    text = str(error.value)
    assert "Small: 4 problems" in text
    assert str(data / "x.pth") in text
    assert "conv.weight: shape (4, 3, 3, 3) in the file, expected (4, 3, 1, 1)" in text
    assert "norm.bias: shape (8,) in the file, expected (4,)" in text
    assert "odd: unexpected, ()" in text
    assert "extra.bias: missing" in text
    assert f"hint: {len(state)} tensors" in text
    assert equal(net, before)


def test_a_wrapped_network_is_recognised(net: Small, state: dict[str, Tensor], data: Path) -> None:
    save_file({f"module.{k}": v for k, v in state.items()}, data / "x.safetensors")
    with pytest.raises(CheckpointError) as error:
        apply_pretrained(net, {"file": "x.safetensors"})
    assert error.value.hint == "add key_map={'module.': ''}"
    apply_pretrained(net, {"file": "x.safetensors", "key_map": {"module.": ""}})


def test_missing_file_names_the_data_home(net: Small, data: Path) -> None:
    with pytest.raises(CheckpointError, match="no such weights file") as error:
        apply_pretrained(net, {"file": "sub/x.pth"})
    assert str(data / "sub" / "x.pth") in str(error.value)
    assert f"start at {data} " in str(error.value)
    with pytest.raises(CheckpointError):
        read_state_dict(data)  # a folder


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("damage", ["empty", "short", "noise"])
def test_damaged_file(state: dict[str, Tensor], data: Path, suffix: str, damage: str) -> None:
    path = data / f"x{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    whole = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "short": whole[: len(whole) // 2], "noise": b"\x93" * 99}[damage]
    )
    with pytest.raises(CheckpointError, match="cannot be read") as error:
        read_state_dict(path)
    assert str(path) in str(error.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), suffix=st.sampled_from([".pth", ".safetensors"]))
def test_any_bytes_give_a_checkpoint_error(data: Path, content: bytes, suffix: str) -> None:
    path = data / f"noise{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        read_state_dict(path)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare pickle"])
def test_malicious_pickle_is_refused_unexecuted(data: Path, form: str) -> None:
    path, trace = data / "x.pth", data / "executed"
    content = {"w": torch.zeros(1), "bomb": Bomb(trace)}
    if form == "bare pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_state_dict(path)
    assert not trace.exists()
    torch.load(path, weights_only=False) if form != "bare pickle" else pickle.loads(
        path.read_bytes()
    )
    assert trace.exists()  # it would have


def test_the_global_switch_does_not_open_the_door(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save({"bomb": Bomb(data / "executed")}, data / "x.pth")
    with pytest.raises(CheckpointError):
        read_state_dict(data / "x.pth")
    assert not (data / "executed").exists()


@pytest.mark.parametrize(
    "content", [{"epoch": 1, "w": torch.zeros(1)}, [torch.zeros(1)], torch.zeros(1), {}]
)
def test_files_that_are_no_state_dict(data: Path, content: object) -> None:
    torch.save(content, data / "x.pth")
    with pytest.raises(CheckpointError, match="the file holds") as error:
        read_state_dict(data / "x.pth")
    assert "tensors by name" in str(error.value)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"file": 3},
        {"fil": "x.pth"},
        {"file": "x.pth", "key_map": ["a", "b"]},
        {"file": "x.pth", "key_map": {"a.": None}},
        {"file": "x.pth", "ignore": "fc.*"},
    ],
)
def test_options_are_checked_before_the_file(net: Small, spec: dict) -> None:
    with pytest.raises(ConfigError) as error:
        apply_pretrained(net, spec)
    assert "dict(file=" in str(error.value)


def test_spec_is_not_changed(net: Small, state: dict[str, Tensor], data: Path) -> None:
    torch.save(state, data / "x.pth")
    spec = {"file": "x.pth", "key_map": {"a.": "b."}, "ignore": ["c.*"]}
    apply_pretrained(net, spec)
    assert spec == {"file": "x.pth", "key_map": {"a.": "b."}, "ignore": ["c.*"]}


def test_unknown_published_name(net: Small) -> None:
    with pytest.raises(ConfigError, match="IMAGENET1K_V3") as error:
        ResNet18(pretrained="IMAGENET1K_V3")
    assert error.value.hint == "did you mean 'IMAGENET1K_V1'?"
    with pytest.raises(ConfigError, match=r"weights\.pth") as error:
        ResNet18(pretrained="weights.pth")
    assert "dict(file=" in str(error.value)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's download folder, moved; what lies there is not downloaded again."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("spec", [True, "IMAGENET1K_V1", "DEFAULT"])
def test_published_weights_are_loaded(
    hub: Path, spec: bool | str, caplog: pytest.LogCaptureFixture
) -> None:
    source = ResNet18()
    fc = {"fc.weight": torch.zeros(9, 512), "fc.bias": torch.zeros(9)}
    url = ResNet18_Weights.IMAGENET1K_V1.url
    torch.save({**source.state_dict(), **fc}, hub / url.rpartition("/")[2])
    with caplog.at_level(logging.INFO, logger="wsoltool"):
        net = ResNet18(output_stride=16, pretrained=spec)
    assert equal(net, source.state_dict())
    count = len(source.state_dict())
    assert caplog.messages == [f"loaded {count} tensors from {url}, ignored 2"]


def test_preprocessing_comes_with_the_published_weights(hub: Path) -> None:
    weights = VGG16_Weights.IMAGENET1K_FEATURES
    state = {**VGG16().state_dict(), "classifier.0.bias": torch.full((4096,), torch.nan)}
    torch.save(state, hub / weights.url.rpartition("/")[2])
    net = VGG16(extra_conv=8, pretrained=weights.name)
    assert net.input_mean == pytest.approx((123.0, 117.0, 104.0), abs=0.01)
    assert net.input_std == (1.0, 1.0, 1.0)
    assert VGG16().input_std == (58.395, 57.12, 57.375)


def test_refused_download(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(url: str, **options: object) -> None:
        calls.append((url, options))
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(CheckpointError, match="no route to host") as error:
        ResNet18(pretrained=True)
    assert str(hub) in str(error.value)
    [(url, options)] = calls
    assert url == ResNet18_Weights.DEFAULT.url
    assert options["check_hash"] is True
    assert options["weights_only"] is True


def test_extra_layers_are_loaded_where_the_file_has_them(data: Path) -> None:
    source = VGG16(extra_conv=8, batch_norm=True)
    torch.save({"state_dict": source.state_dict()}, data / "x.pth")
    net = VGG16(extra_conv=8, batch_norm=True, pretrained={"file": "x.pth"})
    assert equal(net, source.state_dict())
    with pytest.raises(CheckpointError, match="6 problems"):
        VGG16(extra_conv=4, batch_norm=True, pretrained={"file": "x.pth"})


def test_half_precision_files_keep_the_networks_precision(data: Path) -> None:
    source = SmallNet(channels=(4,), output_stride=2)
    save_file({k: v.half() for k, v in source.state_dict().items()}, data / "x.safetensors")
    net = SmallNet(channels=(4,), output_stride=2, pretrained={"file": "x.safetensors"})
    assert net.layers.conv1.weight.dtype == torch.float32
    assert torch.equal(net.layers.conv1.weight, source.layers.conv1.weight.half().float())

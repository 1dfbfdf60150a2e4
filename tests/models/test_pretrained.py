from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, VGG16_Weights

from wsoltool.errors import CheckpointError, ConfigError
from wsoltool.models.backbones.resnet import ResNet18
from wsoltool.models.backbones.small import SmallNet
from wsoltool.models.backbones.vgg import VGG16
from wsoltool.models.pretrained import apply_pretrained, fit_state_dict


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
    with pytest.raises(CheckpointError, match="no such weights file"):
        apply_pretrained(net, {"file": str(data)})  # a folder


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"file": 3},
        {"fil": "x.pth"},
        {"file": "x.pth", "url": "https://a.b/x.pth"},
        {"file": "x.pth", "sha256": "0" * 64},
        {"url": 3},
        {"url": "https://a.b/x.pth", "ignore": "fc.*"},
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


def test_weights_behind_a_url(net: Small, state: dict[str, Tensor], hub: Path, data: Path) -> None:
    state = counted(state)
    renamed = {f"net.{name}": tensor for name, tensor in state.items()}
    save_file({**renamed, "fc.bias": torch.zeros(2)}, data / "x.safetensors")
    url = (data / "x.safetensors").as_uri()
    sha256 = hashlib.sha256((data / "x.safetensors").read_bytes()).hexdigest()
    spec = {"url": url, "sha256": sha256, "key_map": {"net.": ""}, "ignore": ["fc.*"]}
    apply_pretrained(net, spec)
    assert equal(net, state)
    assert [path.name for path in hub.rglob("*.*")] == ["x.safetensors"]
    with pytest.raises(CheckpointError, match="do not fit Small") as error:
        apply_pretrained(net, {"url": url})
    assert error.value.at == url


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ({"url": "weights.pth"}, "url='weights.pth'"),
        ({"url": "s3://bucket/x.pth"}, "url="),
        ({"url": "https://a.b/"}, "url="),
        ({"url": "https://a.b/.."}, "url="),
        ({"url": "https://a.b/x.pth", "sha256": "12ab"}, "sha256='12ab'"),
    ],
)
def test_addresses_and_hashes_are_checked_before_the_network(
    net: Small, spec: dict, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)
    with pytest.raises(ConfigError, match=what):
        apply_pretrained(net, spec)


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

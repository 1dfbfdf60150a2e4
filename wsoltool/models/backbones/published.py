"""Convolutional classification networks of torchvision as backbones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from wsoltool.errors import ConfigError, check_choice
from wsoltool.models.backbones.base import Backbone, part_of
from wsoltool.models.backbones.layers import extra_convolutions, transition
from wsoltool.models.backbones.tracing import (
    find_trunk,
    map_shapes,
    smallest_side,
    split_layers,
    stride_of,
)
from wsoltool.models.pretrained import Pretrained, ShapeHint, apply_pretrained

OUTPUT_STRIDES = (8, 16, 32)
#: torchvision's weights of these are TensorFlow's: the networks undo torchvision's preprocessing
#: (`transform_input`) to get pixels in [-1, 1], which the preprocessor gives at once.
INCEPTIONS = ("googlenet", "inception_v3")
HALF = (127.5, 127.5, 127.5)
POOLINGS = (nn.MaxPool2d, nn.AvgPool2d)
STAGES = {4: "stage1", 8: "stage2", 16: "stage3", 32: "stage4"}


class PublishedBackbone(Backbone):
    """The layers of a classification network before its pooling and classifier, as steps.

    Layers and weights keep the network's names; a ``Sequential`` is split into its parts, and its
    own name means the last of them. The shared names are found by what the layers do.

    Subclasses make the network; :meth:`_operate` is the surgery for a finer last map.

    Args:
        network: With random weights. Its layers are taken over.
        output_stride: 32, 16 or 8, as far as the network goes.
        surgery: One of ``surgeries``.
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`.
        published: Where torchvision has weights: its name for the network.
        extra_conv: Channels of new 3x3 convolutions at the end; one number or several.
        unused: Patterns of published weights that the network, as made, has no place for.
        shape_hint: What to do about weights of other shapes.

    Attributes:
        first_extra: Number in the name of the first of the extra convolutions.
        surgeries: The ways to a finer map. ``stride``, the plain one: behind the output stride,
            convolutions get stride 1 and poolings are left out; nothing is dilated, so that the
            pretrained layers behind see less of the image.
    """

    surgeries: ClassVar[Sequence[str]] = ("stride",)
    first_extra: ClassVar[int] = 6

    def __init__(
        self,
        network: nn.Module,
        output_stride: int,
        surgery: str = "stride",
        pretrained: Pretrained = False,
        published: str | None = None,
        extra_conv: int | Sequence[int] = 0,
        unused: Sequence[str] = (),
        shape_hint: ShapeHint = lambda state: None,
    ) -> None:
        super().__init__()
        what = f"{type(self).__name__} has no surgery={surgery!r}"
        check_choice(what, surgery, self.surgeries)
        names_before = set(network.state_dict())
        self._paths = self._take_over(network)
        shapes = map_shapes(self, dict(self.steps()))
        #: Of the network as published: step -> (channels, stride).
        self._original = {name: (shapes[name][1], stride_of(shapes[name])) for name in self._paths}
        strides = [stride for _, stride in self._original.values()]
        reachable = [stride for stride in OUTPUT_STRIDES if stride in strides]
        self._set_output_stride(output_stride, reachable or [max(strides)])
        self._operate(surgery)
        self._add_convolutions(extra_conv)
        self._name_steps()
        self._check_surgery(surgery)
        names_after = set(self.state_dict())
        apply_pretrained(
            self,
            pretrained,
            published=None if published is None else models.get_model_weights(published),
            classifier=(*unused, *sorted(names_before - names_after)),
            new=sorted(names_after - names_before),
            shape_hint=shape_hint,
        )
        if published in INCEPTIONS:
            self.input_mean = self.input_std = HALF

    def _take_over(self, network: nn.Module) -> dict[str, str]:
        """Make the network's layers attributes; step name -> path of the layer."""
        layers = dict(find_trunk(network))
        for name in dict.fromkeys(path.partition(".")[0] for path in layers):
            self.add_module(name, layers[name] if name in layers else getattr(network, name))
        paths = [path for path, _ in split_layers(layers.items())]
        # DenseNet's layers have names of their own within `features`; those of others are numbers.
        prefix = "features." if re.match(r"features\.\D", paths[0]) else ""
        return {path.removeprefix(prefix): path for path in paths}

    def steps(self) -> Iterator[tuple[str, nn.Module]]:
        for name, path in self._paths.items():
            yield name, part_of(self, path.split("."))

    def _operate(self, surgery: str) -> None:
        """Make the last map as fine as ``output_stride``."""
        before = 1
        for name, (_, stride) in self._original.items():
            if stride > max(before, self.output_stride):
                layer = self.get_submodule(self._paths[name])
                if isinstance(layer, POOLINGS):
                    self._leave_out(name)
                else:
                    remove_stride(layer)
            before = stride

    def _only_at_16(self, surgery: str) -> None:
        if self.output_stride != 16:
            what = f"surgery={surgery!r} with output_stride={self.output_stride}"
            raise ConfigError(what, expected="output_stride=16, which is what it makes")

    def _put_transition(self, surgery: str, instead_of: str) -> None:
        """mLDFR's surgery: the step that halves the map last gives way to ``transition``."""
        self._only_at_16(surgery)
        names = list(self._original)
        before = names[names.index(instead_of) - 1]
        channels, width = self._original[before][0], self._original[instead_of][0]
        self._put("transition", transition(channels, width), instead_of=instead_of)

    def _leave_out(self, *names: str) -> None:
        for name in names:
            # Its place in a Sequential stays: the weights' names count the layers.
            self.set_submodule(self._paths.pop(name), nn.Identity())

    def _put(self, name: str, module: nn.Module, instead_of: str = "", after: str = "") -> None:
        """A new step, instead of one or after one."""
        self.add_module(name, module)
        paths = {}
        for step, path in self._paths.items():
            if step != instead_of:
                paths[step] = path
            if step in (instead_of, after):
                paths[name] = name
        if instead_of:
            self._leave_out(instead_of)
        self._paths = paths

    def _add_convolutions(self, widths: int | Sequence[int]) -> None:
        if not widths:
            return
        channels = map_shapes(self, dict(self.steps()))[list(self._paths)[-1]][1]
        for name, layer in extra_convolutions(self.first_extra, channels, widths):
            self.add_module(name, layer)
            self._paths[name] = name

    def _name_steps(self) -> None:
        steps = dict(self.steps())
        stages = {}
        for name, (_, stride) in self._original.items():
            if name in steps and stride in STAGES:
                stages[STAGES[stride]] = name
        self.canonical = {"stem": _stem(steps), **_poolings(steps), **stages}
        self.aliases = _containers(steps)

    def _check_surgery(self, surgery: str) -> None:
        found = self.insert_points["last"][1]
        if found != self.output_stride:
            raise ConfigError(
                f"{type(self).__name__} cannot be had at output_stride={self.output_stride}: "
                f"surgery={surgery!r} makes a last map of stride {found}",
            )
        if not self.tiles:
            self.smallest_side = smallest_side(self)


def remove_stride(layer: nn.Module) -> None:
    """Give every strided convolution in ``layer`` stride 1, and a padding that keeps the size."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1):
            module.stride = (1, 1)
            if any(side % 2 == 0 for side in module.kernel_size):
                module.padding = (0, 0)
                module.register_forward_pre_hook(_pad_ends)
            else:
                module.padding = tuple(side // 2 for side in module.kernel_size)


def _pad_ends(conv: nn.Conv2d, inputs: tuple[Tensor]) -> tuple[Tensor]:
    # torch's own padding="same" warns about even kernels.
    height, width = conv.kernel_size
    return (F.pad(inputs[0], (0, width - 1, 0, height - 1)),)


def _stem(steps: Mapping[str, nn.Module]) -> str:
    """The first step, with the normalisation and activation that follow it."""
    first, *others = steps
    for name in others:
        is_block = any(True for _ in steps[name].children())
        if is_block or isinstance(steps[name], (nn.Conv2d, *POOLINGS)):
            break
        first = name
    return first


def _poolings(steps: Mapping[str, nn.Module]) -> dict[str, str]:
    names = (name for name, step in steps.items() if isinstance(step, POOLINGS))
    return {f"pool{index}": name for index, name in enumerate(names, start=1)}


def _containers(steps: Iterable[str]) -> dict[str, str]:
    """Each name that a step's name starts with, up to a dot -> the last such step."""
    ends = {}
    for name in steps:
        parts = name.split(".")
        for count in range(1, len(parts)):
            ends[".".join(parts[:count])] = name
    return ends


class Torchvision(PublishedBackbone):
    """Any convolutional classification network of torchvision, by its name there.

    ``wsoltool complexity CONFIG --points`` lists its insert points. VGG16, the ResNets, GoogLeNet,
    InceptionV3, DenseNet161 and MobileNetV2 have backbones of their own with the papers' surgery.

    Args:
        network: For example ``efficientnet_b0``, ``convnext_tiny``, ``regnet_y_400mf``.
        output_stride: 32, 16 or 8, as far as the network goes. Behind it, convolutions get stride
            1 and poolings are left out.
        pretrained: See :func:`~wsoltool.models.pretrained.apply_pretrained`.

    Raises:
        ConfigError: torchvision has no such network, or it is no run of layers that each make one
            feature map (a transformer).
    """

    def __init__(
        self, network: str, output_stride: int = 32, pretrained: Pretrained = False
    ) -> None:
        names = models.list_models(module=models)
        check_choice(f"torchvision has no network {network!r}", network, names)
        made = make_network(network)
        super().__init__(made, output_stride, pretrained=pretrained, published=network)


def make_network(name: str, **options: object) -> nn.Module:
    """torchvision's network with random weights, auxiliary classifiers included."""
    if name in INCEPTIONS:
        # Said openly, because torchvision warns that its default will change.
        options = {"init_weights": True, **options}
    return models.get_model(name, weights=None, **options)

"""What a method adds to the forwards of its network: several scales, and attention to parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.measurement import Measurement, Target, alternate, clock, compare, one_thread
from wsoltool.config import load_config, plain
from wsoltool.models.backbones.vgg import VGG16
from wsoltool.models.builder import build_localizer, without_pretrained
from wsoltool.models.contracts import Backbone, CAMHead
from wsoltool.models.localizer import Localizer
from wsoltool.models.prediction import Prediction
from wsoltool.plugin.manager import build
from wsoltool.structures import Sample, Samples

AT_MOST = Target("ratio", above=0.91)  # 1 / 1.10: a tenth more than the reference
BATCH, CLASSES, SIDE = 2, 200, 224
ORIGINAL = (500, 500)  # the images of CUB have sides of up to 500 pixels
ROUNDS = (5, 60)


#: mLDFR's networks: name -> config.
MLDFR = {
    "VGG16": "mldfr/mldfr_vgg16_cub.py",
    "MobileNetV2": "mldfr/mldfr_mobilenetv2_cub.py",
}


def run_mscam(quick: bool = False) -> list[Measurement]:
    """Scores and maps of three scales, beside plain forwards of images of their sizes."""
    # The tiny MobileNet alone is quick to make.
    names = ("MobileNetV2",) if quick else tuple(MLDFR)
    with one_thread(), torch.no_grad():
        return [_measure_mscam(name, 32 if quick else SIDE, quick) for name in names]


def run_fam(quick: bool = False) -> Measurement:
    """VGG16's features with FAM's logits and maps of them, beside the features alone."""
    with one_thread(), torch.no_grad():
        torch.manual_seed(0)
        backbone: Backbone = VGG16(output_stride=16)
        kwargs = {"num_classes": CLASSES, "templates": 3, "parts": 5}
        channels = backbone.channels()
        head = build("CAM head", {"type": "fam.FAMHead", **kwargs}, "head", channels=channels)
        images = random_images(32 if quick else SIDE).to(memory_format=torch.channels_last)
        for module in (backbone, head):
            module.eval().to(images.device, memory_format=torch.channels_last)
        class_ids = torch.zeros(BATCH, 1, dtype=torch.int64, device=images.device)
        _check_attention(backbone, head, images, class_ids)
        return measure(
            "fam VGG16",
            lambda: attend(backbone, head, images, class_ids),
            lambda: backbone(images),
            0 if quick else 40,
        )


def attend(
    backbone: Backbone, head: CAMHead, images: Tensor, class_ids: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits ``(B, K)`` and maps: object-aware and part-aware attention, all of a test's work."""
    features = backbone(images)
    return head.logits(features), head.maps(features, class_ids)


def mscam_localizer(name: str) -> Localizer:
    """mLDFR with MsCAM of its config, with random weights; images come at scale 2."""
    torch.manual_seed(0)
    return build_localizer(without_pretrained(plain(load_config(MLDFR[name]).model))).eval()


def predict_maps(localizer: Localizer, images: Tensor) -> list[tuple[Prediction, list[Any]]]:
    """Each image's prediction and its maps ``(H, W)`` at :data:`ORIGINAL` of the asked classes."""
    height, width = ORIGINAL
    samples = Samples.of(
        [Sample(str(i), i, ORIGINAL, (0.0, 0.0, width, height)) for i in range(len(images))]
    )
    predictions = localizer.predict(images, samples)
    return [(p, [p.map(class_id) for class_id in p.class_ids]) for p in predictions]


def run_plainly(localizer: Localizer, views: list[Tensor]) -> list[Tensor]:
    """The logits ``(B, K)`` of every batch."""
    return [localizer.head.logits(localizer.backbone(images)) for images in views]


def check_mscam(localizer: Localizer, images: Tensor) -> None:
    """Raise AssertionError where scores or maps are not those of the plain forwards.

    The map of a class is summed by hand: MsCAM's definition, section III-C.
    """
    views = [view.apply(images) for view in localizer.fusion.views()]
    scores = run_plainly(localizer, views)[0].softmax(dim=1).cpu()
    every = [localizer.head.class_maps(localizer.backbone(shown)).cpu() for shown in views]
    resize = partial(F.interpolate, size=ORIGINAL, mode="bilinear", align_corners=False)
    for index, (prediction, maps) in enumerate(predict_maps(localizer, images)):
        torch.testing.assert_close(torch.from_numpy(prediction.scores), scores[index])
        assert prediction.class_ids[0] == index
        for class_id, found in zip(prediction.class_ids, maps, strict=True):
            summed = torch.stack([resize(m[index, class_id][None, None])[0, 0] for m in every])
            expected = summed.sum(dim=0)
            expected = (expected - expected.min()) / (expected.max() - expected.min())
            torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-4)


def _measure_mscam(name: str, side: int, quick: bool) -> Measurement:
    localizer = mscam_localizer(name)
    images = random_images(2 * side).to(memory_format=torch.channels_last)
    localizer.to(images.device)
    check_mscam(localizer, images)
    views = [view.apply(images) for view in localizer.fusion.views()]
    return measure(
        f"mscam {name}",
        lambda: predict_maps(localizer, images),
        lambda: run_plainly(localizer, views),
        0 if quick else 40,
    )


def _check_attention(backbone: Backbone, head: CAMHead, images: Tensor, class_ids: Tensor) -> None:
    logits, maps = attend(backbone, head, images, class_ids)
    assert logits.shape == (BATCH, CLASSES)
    (foreground,) = maps.values()
    last = backbone(images)["last"]
    assert foreground.shape == (BATCH, 1, *last.shape[2:])
    assert foreground.std() > 0, "a map that shows nothing"


def random_images(side: int) -> Tensor:
    """A batch ``(B, 3, side, side)`` of noise, on the GPU where there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.randn(BATCH, 3, side, side, device=device)


def measure(
    name: str,
    ours: Callable[[], Any],
    reference: Callable[[], Any],
    seconds: float,
    target: Target | None = AT_MOST,
) -> Measurement:
    """Both by turns, for about as many seconds; each makes a batch."""
    pace = _rate(reference)
    least, most = ROUNDS
    rounds = min(max(least, math.ceil(seconds * pace / BATCH / 2)), most) if seconds else 1
    figures = alternate(lambda: _rate(ours), lambda: _rate(reference), rounds)
    unit = "images/s" if torch.cuda.is_available() else "images/CPU s"
    return compare(name, unit, target, *figures)


def _rate(work: Callable[[], Any]) -> float:
    start = clock()
    work()
    return BATCH / (clock() - start)

"""How fast photos become batches."""

from __future__ import annotations

import tempfile
import time
from itertools import count
from pathlib import Path

import cv2
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.measurement import Measurement, Target, alternate, compare
from wsoltool.datasets.creatures import Creatures
from wsoltool.datasets.image_data import Images
from wsoltool.datasets.readers.folders import ImageFolders
from wsoltool.engine.dataloaders import build_dataloader
from wsoltool.transforms.crop import RandomCrop
from wsoltool.transforms.flip import RandomFlip
from wsoltool.transforms.resize import Resize

BATCH, WORKERS, CLASSES = 32, 2, 4


def load_photos(quick: bool = False) -> Measurement:
    """JPEG files of 375 x 500 to shuffled uint8 batches of 224 x 224, two workers, wall time.

    The reference is torchvision's ImageFolder with the same transforms: squash to 256, random
    crop, random flip. Neither side converts to float or normalises.
    """
    photos, copies, rounds = (8, 8, 1) if quick else (64, 6, 5)
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), photos, copies)
        loaders = toolbox_loader(folder), torchvision_loader(folder)
        figures = alternate(*(lambda loader=loader: _rate(loader) for loader in loaders), rounds)
    return compare("data", "images/s", Target("ratio", above=1.2), *figures)


def write_photos(folder: Path, photos: int, copies: int) -> None:
    """Drawn scenes as JPEG files of about 100 kB, each several times, in folders of classes."""
    scenes = Creatures(length=photos, image_size=500)
    number = count()
    for index in range(photos):
        pixels = cv2.cvtColor(scenes.load(index)[:375], cv2.COLOR_RGB2BGR)
        content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
        for _ in range(copies):
            path = folder / f"class_{index % CLASSES}" / f"{next(number):05d}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)


def toolbox_loader(folder: str) -> DataLoader:
    pipeline = [Resize(256), RandomCrop(224), RandomFlip()]
    dataset = Images("train-weaksup", folder, ImageFolders(), pipeline)
    settings = {"batch_size": BATCH, "num_workers": WORKERS}
    return build_dataloader(dataset, settings, training=True, seed=0)


def torchvision_loader(folder: str) -> DataLoader:
    pipeline = [
        transforms.Resize((256, 256)),
        transforms.RandomCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.PILToTensor(),
    ]
    dataset = ImageFolder(folder, transforms.Compose(pipeline))
    return DataLoader(
        dataset, BATCH, shuffle=True, num_workers=WORKERS, drop_last=True, prefetch_factor=4
    )


def _rate(loader: DataLoader) -> float:
    start = time.perf_counter()
    batches = sum(1 for _ in loader)
    return batches * BATCH / (time.perf_counter() - start)

"""What can be said of a config's data sets before any of their files is opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wsoltool.config import innermost_dataset
from wsoltool.errors import WsolError
from wsoltool.plugin.manager import Catalogue

#: Purpose -> the loaders whose data are read; `localize` reads photos, and needs no data set.
_LOADERS = {
    "train": ("train_dataloader", "val_dataloader"),
    "check": ("train_dataloader", "val_dataloader"),
    "test": ("val_dataloader", "test_dataloader"),
}


def reader_problems(
    tree: Mapping[str, Any], purpose: str, components: Catalogue
) -> Iterable[WsolError]:
    """Options that a reader refuses, and splits that it does not have."""
    for loader in _LOADERS.get(purpose, ()):
        section = tree.get(loader)
        dataset = section.get("dataset") if isinstance(section, Mapping) else None
        if not isinstance(dataset, Mapping):
            continue
        dataset, at = innermost_dataset(dataset, f"{loader}.dataset")
        if "reader" not in dataset:
            continue
        try:
            reader = components.build(("data set reader",), dataset["reader"], f"{at}.reader")
            if "split" in dataset:
                reader.part(dataset["split"])
        except WsolError as error:
            yield error.located(f"{at}.split")

"""The checkpoint of an ensemble, put together from those of its members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from wsoltool import __version__
from wsoltool.engine.checkpoints import read_checkpoint, to_plain, trained_on, training_of
from wsoltool.errors import CheckpointError
from wsoltool.models.ensemble import ensemble_state
from wsoltool.paths import whole_file


def write_ensemble(
    path: str | Path,
    checkpoints: Mapping[str, str | Path],
    classes: Mapping[str, Sequence[int]] | None = None,
) -> Path:
    """Put trained members' checkpoints together to one of an Ensemble; answers ``path``.

    The config has to name the same members: ``model=dict(type="Ensemble", members={name: <the
    member's model>, ...})``. Three seeds of one method, for example::

        write_ensemble("three.pth", {f"seed{n}": f"runs/{n}/last.pth" for n in range(3)})

    The new ``meta`` has the first member's class names, what all members say alike of the images
    and the seed that they were trained with, and under ``members`` what each says.

    Args:
        path: The file to write; it is there whole or not at all.
        checkpoints: Name of a member -> its checkpoint; the first one gives the class scores.
        classes: Name of a member -> its class for each class of the first member. Needed for those
            that were trained on other classes; for the rest, the same classes.

    Raises:
        CheckpointError: A file cannot be read, or is itself of an ensemble; or nothing says which
            classes belong together, or what is said cannot be.
        WorkDirError: The file cannot be written.
    """
    found = {name: _member(name, file) for name, file in checkpoints.items()}
    if not found:
        raise CheckpointError("an ensemble of no checkpoint", expected="one member at least")
    if strange := [name for name in classes or {} if name not in found]:
        raise CheckpointError(f"classes of {strange[0]!r}, which is no member", known=found)
    names = {name: _class_names(content, checkpoints[name]) for name, content in found.items()}
    own = {name: _own_classes(name, names, (classes or {}).get(name)) for name in found}
    meta = _merged({name: content.get("meta", {}) for name, content in found.items()}, checkpoints)
    states = {name: content["state_dict"] for name, content in found.items()}
    with whole_file(path) as file:
        torch.save({"meta": meta, "state_dict": ensemble_state(states, own)}, file)
    return Path(path)


def _member(name: str, file: str | Path) -> dict[str, Any]:
    content = read_checkpoint(file)
    if any(key.startswith("members.") for key in content["state_dict"]):
        what = f"member {name!r} is an ensemble itself"
        raise CheckpointError(what, at=str(file), expected="the checkpoint of one localizer")
    return content


def _class_names(content: Mapping[str, Any], file: str | Path) -> list[str]:
    names = content.get("meta", {}).get("classes")
    if not isinstance(names, (list, tuple)) or not names:
        expected = "a file written by wsoltool train"
        raise CheckpointError("the checkpoint names no classes", at=str(file), expected=expected)
    return list(names)


def _own_classes(
    name: str, names: Mapping[str, list[str]], said: Sequence[int] | None
) -> list[int]:
    """The member's class for each class of the first one."""
    first, own = next(iter(names.values())), names[name]
    if said is None and own == first:
        return list(range(len(first)))
    if said is None:
        raise CheckpointError(
            f"member {name!r} was trained on other classes than the first member",
            at=f"classes[{name!r}]",
            expected=f"{len(first)} numbers of its {len(own)} classes",
            hint="say which of its classes belongs to each class of the first member",
        )
    if len(said) != len(first) or not all(i in range(len(own)) for i in said):
        raise CheckpointError(
            f"classes of member {name!r} are {list(said)}",
            at=f"classes[{name!r}]",
            expected=f"{len(first)} numbers from 0 to {len(own) - 1}",
        )
    return [int(i) for i in said]


def _merged(
    metas: Mapping[str, Mapping[str, Any]], files: Mapping[str, str | Path]
) -> dict[str, Any]:
    data = {name: trained_on(meta, files[name]) for name, meta in metas.items()}
    training = {name: training_of(meta) for name, meta in metas.items()}
    first = next(iter(metas))
    merged: dict[str, Any] = {
        "wsoltool_version": __version__,
        "classes": list(metas[first]["classes"]),
        # Where members say different things, the ensemble says nothing.
        "data": {split: of for split, of in data[first].items() if _alike(data, split, of)},
        "members": {
            name: {
                "classes": list(metas[name]["classes"]),
                "data": data[name],
                "training": training[name],
            }
            for name in metas
        },
    }
    for key in ("seed", "epoch"):
        if key in training[first] and _alike(training, key, training[first][key]):
            merged[key] = training[first][key]
    runs = [of.get("run") for of in training.values()]
    if all(runs):
        merged["experiment_name"] = "+".join(dict.fromkeys(map(str, runs)))
    return to_plain(merged)


def _alike(entries: Mapping[str, Mapping[str, Any]], key: str, value: Any) -> bool:
    return all(of.get(key) == value for of in entries.values())

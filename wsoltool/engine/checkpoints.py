"""Checkpoints that hold nothing but plain data, read without running anything."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor, nn

from wsoltool.errors import CheckpointError
from wsoltool.evaluation.data_entries import are_data_entries

_SHOWN = 6


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint's content, on the CPU.

    Only tensors and plain Python data are read; a file that asks for anything else is refused and
    nothing in it is executed.

    Raises:
        CheckpointError: Missing, damaged, unsafe, or without weights.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"checkpoint {str(path)!r} not found",
            expected="a file written by wsoltool train",
            known=[p.as_posix() for p in sorted(path.parent.glob("*.pth"))],
        )
    try:
        with warnings.catch_warnings():
            # torch warns of foreign pickles before it refuses them.
            warnings.simplefilter("ignore", UserWarning)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "the checkpoint is not plain data and was refused; nothing in it was run",
            at=str(path),
            expected="tensors, numbers, strings, lists and dicts",
            hint=f"do not load files from sources that you do not trust ({_first_line(error)})",
        ) from error
    except Exception as error:
        raise CheckpointError(
            f"the checkpoint is damaged: {_first_line(error)}",
            at=str(path),
            hint="copy it again, or use the one before it",
        ) from error
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), Mapping):
        raise CheckpointError(
            "the file holds no trained model",
            at=str(path),
            expected="a dict with 'state_dict', as wsoltool train writes it",
            hint="weights of a bare network go to model.backbone.pretrained",
        )
    strange = [key for key, value in content["state_dict"].items() if not isinstance(value, Tensor)]
    if strange or not isinstance(content.get("meta", {}), Mapping):
        raise CheckpointError(
            f"the checkpoint holds no tensor at {_some(strange)}" if strange else "no dict at meta",
            at=str(path),
            expected="a file written by wsoltool train",
        )
    return content


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Fill a model, every tensor of it and nothing else.

    Raises:
        CheckpointError: With the keys that are missing, left over or of another shape.
    """
    own = model.state_dict()
    missing = [key for key in own if key not in weights]
    left_over = [key for key in weights if key not in own]
    reshaped = [
        f"{key} {tuple(weights[key].shape)} in the file, {tuple(own[key].shape)} in the model"
        for key in own
        if key in weights and weights[key].shape != own[key].shape
    ]
    if missing or left_over or reshaped:
        found = {"missing": missing, "left over": left_over, "of another shape": reshaped}
        parts = [f"{len(keys)} {what}: {_some(keys)}" for what, keys in found.items() if keys]
        raise CheckpointError(
            "the checkpoint is of another model; " + "; ".join(parts),
            at=str(source),
            expected=f"the {len(own)} tensors of the config's model",
            hint="use the config that the checkpoint was trained with; it lies beside it",
        )
    model.load_state_dict(dict(weights))


def trained_on(meta: Mapping[str, Any], source: str | Path) -> dict[str, dict[str, Any]]:
    """Split -> what a checkpoint says of the images it was trained on; empty where it does not.

    Raises:
        CheckpointError: It says something else.
    """
    data = meta.get("data", {})
    if not are_data_entries(data):
        raise CheckpointError(
            f"the checkpoint does not say what it was trained on, but {str(data)[:80]!r}",
            at=f"{source}: meta.data",
            expected="what wsoltool train writes: counts and ids_sha256, by split",
        )
    return {str(split): dict(entry) for split, entry in data.items()}


def training_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of its training, as far as it does.

    Keys: ``seed``; ``run``, a name that no other training has; ``epoch``, how many were trained.
    """
    entries = {"seed": ("seed", int), "run": ("experiment_name", str), "epoch": ("epoch", int)}
    return {name: meta[key] for name, (key, kind) in entries.items() if type(meta.get(key)) is kind}


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest checkpoint in a work directory, wherever that was moved to; None before the first.

    A training that is killed while it saves may leave ``last_checkpoint`` empty, or naming a file
    that was removed to make room: the newest ``epoch_*.pth`` that can be read is taken then.

    Raises:
        CheckpointError: There was one, and none is left.
    """
    pointer = Path(work_dir) / "last_checkpoint"
    if not pointer.is_file():
        return None
    # The pointer holds the path at the time of writing; only its last part stays true.
    named = Path(work_dir) / Path(pointer.read_text().strip()).name
    if named.is_file():
        return named
    for path in sorted(Path(work_dir).glob("epoch_*.pth"), key=_epoch, reverse=True):
        with suppress(CheckpointError):
            read_checkpoint(path)
            return path
    raise CheckpointError(
        "no checkpoint is left of the training: it was stopped while it saved the only one",
        at=str(work_dir),
        expected="an epoch_*.pth that can be read",
        hint="train anew; checkpoint.max_keep_ckpts=2 keeps the one before while one is saved",
    )


def _epoch(path: Path) -> int:
    number = path.stem.rpartition("_")[2]
    return int(number) if number.isdecimal() else -1


def to_plain(node: Any) -> Any:
    """Log histories and numpy values as dicts, numbers and tensors, which load safely."""
    if isinstance(node, HistoryBuffer):
        values, counts = node.data
        return {
            "history_of": torch.from_numpy(np.array(values, dtype=np.float64)),
            "counts": torch.from_numpy(np.array(counts, dtype=np.float64)),
            "max_length": node.max_length,
        }
    if isinstance(node, Mapping):
        return {key: to_plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(to_plain(item) for item in node)
    if isinstance(node, np.ndarray):
        return torch.from_numpy(node)
    if isinstance(node, np.generic):
        return node.item()
    return node


def from_plain(node: Any) -> Any:
    """Undo :func:`to_plain` for log histories."""
    if isinstance(node, Mapping):
        if set(node) == {"history_of", "counts", "max_length"}:
            return HistoryBuffer(
                node["history_of"].numpy(), node["counts"].numpy(), node["max_length"]
            )
        return {key: from_plain(value) for key, value in node.items()}
    return node


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160]


def _some(keys: Iterable[object]) -> str:
    names = [str(key) for key in keys]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

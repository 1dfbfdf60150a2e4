"""The ``model`` part of a config of the type Ensemble: keys, members, what they may not be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wsoltool.errors import ConfigError, unknown_keys
from wsoltool.models.named_parts import name_problem

#: Keys besides ``members``, and what stands there when the config is silent.
ENSEMBLE_DEFAULTS: dict[str, Any] = {
    "fusion": {"type": "SingleView", "normalize_branches": True},
    "boxes": {"type": "ThresholdBoxes"},
}
ENSEMBLE_KEYS = ("type", "members", *ENSEMBLE_DEFAULTS)
#: Keys of a model that nothing would read in a member, and why.
NOT_IN_MEMBERS = {
    "fusion": "the ensemble has one for all members: model.fusion",
    "boxes": "the ensemble has one extractor for all members: model.boxes",
    "batch_augmentations": "they act in training, and an Ensemble is not trained",
    "frozen": "it acts in training, and an Ensemble is not trained",
    "norm_eval": "it acts in training, and an Ensemble is not trained",
}
_MEMBER = "dict(backbone=..., head=...)"


def is_ensemble(model: Any) -> bool:
    """Whether a config's ``model`` is one of several localizers.

    Example:
        >>> is_ensemble(dict(type="Ensemble")), is_ensemble(dict(members=dict(a=None)))
        (True, False)
    """
    return isinstance(model, Mapping) and model.get("type") == "Ensemble"


def members_of(model: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The members of an ensemble's config; those that are None are left out.

    Example:
        >>> members_of(dict(members=dict(a=dict(head=1), b=None)))
        {'a': {'head': 1}}
    """
    return {name: member for name, member in model["members"].items() if member is not None}


def member_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model of its own as a member of an ensemble, without what only the ensemble has.

    Example:
        >>> member_of(dict(type="Localizer", head=1, frozen="stage1", boxes=dict(type="OtsuBoxes")))
        {'head': 1}
    """
    return {key: value for key, value in model.items() if key not in ("type", *NOT_IN_MEMBERS)}


def localizer_part(member: Mapping[str, Any]) -> dict[str, Any]:
    """A member as the model that it is alone, without what it is to the ensemble.

    Example:
        >>> localizer_part(dict(head=1, classes=[0, 1], fusion=None))
        {'head': 1}
    """
    return {key: value for key, value in member.items() if key not in ("classes", *NOT_IN_MEMBERS)}


def ensemble_problems(model: Mapping[str, Any], at: str) -> Iterator[ConfigError]:
    """What is wrong with the ensemble's own keys and with what makes its members members.

    What is wrong with a member as a model of its own is not looked for.

    Args:
        model: The config's value.
        at: Its config path.
    """
    hint = "what a single network has belongs to a member"
    yield from unknown_keys(model, ENSEMBLE_KEYS, f"{at}.", hint)
    members = model.get("members")
    if not isinstance(members, Mapping) or all(member is None for member in members.values()):
        expected = f"dict(a={_MEMBER}, ...), one at least"
        yield ConfigError(f"members is {members!r}", at=f"{at}.members", expected=expected)
        return
    for name, member in members.items():
        here = f"{at}.members.{name}"
        if problem := name_problem(name, "a member", here):
            yield problem
        if isinstance(member, Mapping):
            yield from _member_problems(member, here)
        elif member is not None:
            expected = f"{_MEMBER}, or None to leave it out"
            yield ConfigError(f"{member!r} is no member", at=here, expected=expected)


def _member_problems(member: Mapping[str, Any], at: str) -> Iterator[ConfigError]:
    if member.get("type", "Localizer") != "Localizer":
        what = f"a member of type {member['type']!r}"
        yield ConfigError(what, at=f"{at}.type", expected="a Localizer")
    for key, why in NOT_IN_MEMBERS.items():
        if member.get(key):
            what = f"nothing reads {key} of an ensemble's member"
            yield ConfigError(what, at=f"{at}.{key}", hint=f"{why}; {key}=None takes it out")
    classes = member.get("classes")
    if classes is not None and not isinstance(classes, (list, tuple)):
        expected = "a list: the member's class for each class of the first member"
        yield ConfigError(f"classes is {classes!r}", at=f"{at}.classes", expected=expected)

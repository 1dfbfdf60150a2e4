"""What networks that stand side by side under names have to fulfil, as one backbone or as members.

Their names become those of torch modules, and stand in dotted names and in ``--cfg-options``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isclose

from torch import nn

from wsoltool.errors import ConfigError

Triple = tuple[float, float, float]
#: Relative difference up to which a mean or a deviation is the same one, written otherwise.
_SAME = 1e-6


def name_problem(
    name: object, what: str, at: str | None = None, reserved: Collection[str] = ()
) -> ConfigError | None:
    """Why a part cannot be called so; None if it can.

    Args:
        name: The part's.
        what: It is, for the message: ``"a network of Parallel"``.
        at: Config path.
        reserved: Names that mean something else there.

    Example:
        >>> print(name_problem("training", "a member of an Ensemble"))
        a member of an Ensemble cannot be named 'training'
          expected: letters, digits and _, and none of Python's dict or torch's module
        >>> name_problem("fine", "a member of an Ensemble")
    """
    plain = isinstance(name, str) and name.isidentifier() and name not in reserved
    # An instance has names that its class has not, such as `training`.
    if plain and not hasattr(nn.ModuleDict(), str(name)):
        return None
    expected = "letters, digits and _, and none of Python's dict or torch's module"
    return ConfigError(f"{what} cannot be named {name!r}", at=at, expected=expected)


def check_same_images(
    inputs: Mapping[str, tuple[Triple, Triple]], what: str, at: str | None = None
) -> None:
    """Refuse parts that take the same images by another mean or deviation.

    Args:
        inputs: Part -> its mean and deviation, per RGB channel in grey levels 0..255.
        what: They are in, for the message.
        at: Config path, with ``{}`` for the part's name.

    Raises:
        ConfigError: A part differs from the first one.
    """
    (first, (mean, std)), *others = inputs.items()
    for name, own in others:
        pairs = zip((*mean, *std), (*own[0], *own[1]), strict=True)
        if not all(isclose(a, b, rel_tol=_SAME) for a, b in pairs):
            raise ConfigError(
                f"{what}: {name!r} takes images of mean {own[0]} and std {own[1]}, "
                f"{first!r} of mean {mean} and std {std}",
                at=at and at.format(name),
                expected="networks that see the same images",
                hint="choose weights of one preprocessing for all of them",
            )

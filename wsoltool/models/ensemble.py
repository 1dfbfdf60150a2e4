"""Several trained localizers as one: one's class scores, the maps of all.

B images, K classes of the first member, n asked classes, h x w a feature grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from wsoltool.errors import CheckpointError, ConfigError, EvaluationError, is_whole
from wsoltool.models.contracts import Backbone, BoxExtractor, CAMHead, Fusion, MapSource
from wsoltool.models.erasures import would_be_erased
from wsoltool.models.insertion import Inserts
from wsoltool.models.localizer import Localizer, Seen
from wsoltool.models.named_parts import check_same_images, name_problem
from wsoltool.structures import Erasure, Samples, View, ViewMaps

#: Class of a member that nothing says yet: a checkpoint does, or ``classes`` of the config.
UNKNOWN = -1


class Ensemble(Localizer):
    """Localizers whose maps are fused; their networks share nothing and may differ in all.

    The first member gives the class scores, the number of classes K, the normalisation of the
    images, and the features and part maps that boxes and pictures ask for. Of every view each
    member runs once. The maps of class ``c`` come from each member ``m``, asked for its own class
    ``classes[m][c]``: the same where it has the same classes, a cluster where it was trained on
    clusters. Its raw branches are named ``<m>/<branch>``, and ``fusion`` makes one map of all.

    The state dict is that of the members with ``members.<m>.`` in front of each name, and the int64
    buffer ``members.<m>.classes`` ``(K,)``: a checkpoint says which classes belong together.
    :func:`ensemble_state` makes one of trained members'.

    It cannot be trained; its members are, each alone.

    Args:
        members: Name -> localizer, one at least. A name has letters, digits and ``_``. They are
            taken over; their own fusions and box extractors are not asked.
        fusion: Views of the image, and the maps of all members made one.
        boxes: Map to boxes.
        classes: Name of a member -> its class for each of the K. Members that are not named are
            asked for the same class where they have K, and refuse where they have not.

    Raises:
        ConfigError: No member, a name that cannot be used, members of other normalisation, a class
            that a member has not; or a part asks for a feature that is not there.
    """

    def __init__(
        self,
        members: Mapping[str, Localizer],
        fusion: Fusion,
        boxes: BoxExtractor,
        classes: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        _check_members(members)
        first = next(iter(members.values()))
        BaseModel.__init__(self, data_preprocessor=first.data_preprocessor)
        self.members = nn.ModuleDict(dict(members))
        self._set_test(fusion, boxes)
        self._check_boxes()
        #: Members whose classes the config says: a checkpoint must not say others.
        self._said = tuple(classes or ())
        for name, member in self.localizers().items():
            own = _own_classes(name, member, first.head.num_classes, (classes or {}).get(name))
            member.register_buffer("classes", own)

    # What asks a localizer for its parts gets those of the member that gives the scores.

    @property
    def first(self) -> Localizer:
        """The member that gives the class scores."""
        return next(iter(self.localizers().values()))

    @property
    def backbone(self) -> Backbone:  # type: ignore[override]
        return self.first.backbone

    @property
    def head(self) -> CAMHead:  # type: ignore[override]
        return self.first.head

    @property
    def inserts(self) -> Inserts | None:  # type: ignore[override]
        return self.first.inserts

    @property
    def map_source(self) -> MapSource:  # type: ignore[override]
        return self.first.map_source

    def localizers(self) -> dict[str, Localizer]:
        """The members by name, the first one first."""
        return dict(self.members.items())  # type: ignore[arg-type]

    def _check_boxes(self) -> None:
        for name in self.boxes.features:
            try:
                self.backbone.step_of(name)
            except ConfigError as error:
                raise error.located("model.boxes") from error

    def forward(self, inputs: Any, samples: Any = None, mode: str = "tensor") -> Any:
        """As :meth:`Localizer.forward`; ``tensor`` answers the first member's logits.

        Raises:
            ConfigError: ``loss``: an ensemble is not trained.
        """
        if mode == "loss":
            raise not_trained("model.type")
        return super().forward(inputs, samples, mode)

    def extract(self, images: Tensor, samples: Samples | None = None) -> dict[str, Tensor]:
        """The first member's features."""
        return self.first.extract(images, samples)

    @contextmanager
    def _all_features(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self.backbone.also(self.boxes.features))
            for member in self.localizers().values():
                stack.enter_context(member.backbone.also(member.map_source.features))
            yield

    def _view_maps(
        self, view: View, seen: dict[View, Seen], images: Tensor, class_ids: Tensor
    ) -> ViewMaps:
        shown, features = seen.pop(view) if view in seen else self._see(view, images)
        branches: dict[str, Tensor] = {}
        for name, member in self.localizers().items():
            if branches:
                # One member's features are gone before the next one's are there.
                del features
                features = member.extract(shown)
                self._check_cover_of(member, shown, features["last"])
            own_ids = self._asked_of(name, member, class_ids)
            maps = member._branches(view, shown, features, own_ids)
            branches |= {f"{name}/{branch}": m for branch, m in maps.items()}
        return ViewMaps(view, branches)

    def _check_cover_of(self, member: Localizer, images: Tensor, last: Tensor) -> None:
        # Once for all members: most have the same stride.
        if not self._cover_told:
            member._check_cover(images, last)
            self._cover_told = member._cover_told

    def _asked_of(self, name: str, member: Localizer, class_ids: Tensor) -> Tensor:
        """The member's own classes ``(B, n)`` for those of the ensemble."""
        own = member.classes[class_ids]
        if own.min() == UNKNOWN:
            raise EvaluationError(
                f"nothing says which class of member {name!r} belongs to which of the ensemble",
                at=f"model.members.{name}.classes",
                expected=f"{len(member.classes)} numbers of its {member.head.num_classes} classes",
                hint="load a checkpoint of the ensemble, or write classes=[...] into the member",
            )
        if own.min() < 0 or own.max() >= member.head.num_classes:
            raise CheckpointError(
                f"the checkpoint asks member {name!r} for a class that it has not",
                at=f"members.{name}.classes",
                expected=f"numbers of its {member.head.num_classes} classes",
            )
        return own

    def _erasures(
        self, view: View, shown: Tensor, samples: Samples
    ) -> list[dict[str, Erasure]] | None:
        """As :meth:`Localizer._erasures`, of all members: ``<member>/<insert>``."""
        if not self.for_pictures:
            return None
        found: list[dict[str, Erasure]] = [{} for _ in range(len(shown))]
        for name, member in self.localizers().items():
            if member.inserts is None:
                continue
            own = would_be_erased(member.backbone, member.inserts, shown, samples, view)
            for all_of, erasures in zip(found, own, strict=True):
                all_of |= {f"{name}/{insert}": erasure for insert, erasure in erasures.items()}
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As torch's.

        Raises:
            CheckpointError: It has other classes of a member than the config.
        """
        for name in self._said:
            own, found = self.localizers()[name].classes, state_dict.get(f"members.{name}.classes")
            if found is not None and not torch.equal(own.cpu(), found.cpu()):
                raise CheckpointError(
                    f"the checkpoint has other classes of member {name!r} than the config",
                    at=f"model.members.{name}.classes",
                    expected=f"{found.tolist()}, as in the checkpoint",
                    hint="leave the key out: the checkpoint says it",
                )
        return super().load_state_dict(state_dict, *args, **kwargs)


def ensemble_state(
    members: Mapping[str, Mapping[str, Tensor]], classes: Mapping[str, Sequence[int]]
) -> dict[str, Tensor]:
    """An :class:`Ensemble`'s state dict.

    Args:
        members: Name -> the member's own state dict; the first one gives the scores.
        classes: Name -> the member's class for each of the K classes of the first, of all members.

    Raises:
        CheckpointError: A member without classes or classes without a member, different numbers of
            them, or one that is no class.

    Example:
        >>> networks = {"fine": {"w": torch.zeros(2)}, "coarse": {"w": torch.ones(1)}}
        >>> state = ensemble_state(networks, {"fine": [0, 1, 2], "coarse": [0, 1, 1]})
        >>> list(state)
        ['members.fine.w', 'members.fine.classes', 'members.coarse.w', 'members.coarse.classes']
        >>> state["members.coarse.classes"]
        tensor([0, 1, 1])
    """
    if not members or set(members) != set(classes):
        raise CheckpointError(
            f"members {', '.join(members) or '(none)'} and classes of {', '.join(classes)}",
            expected="the classes of each member, of one at least",
        )
    counts = {len(ids) for ids in classes.values()}
    strange = [name for name, ids in classes.items() if not all(is_whole(i, 0) for i in ids)]
    if len(counts) > 1 or strange:
        told = f"no class numbers of {strange[0]!r}" if strange else f"{sorted(counts)} of them"
        expected = "a number of 0 or more for each class of the first member"
        raise CheckpointError(f"classes of members: {told}", expected=expected)
    state: dict[str, Tensor] = {}
    for name, own in members.items():
        state |= {f"members.{name}.{key}": value for key, value in own.items()}
        state[f"members.{name}.classes"] = torch.tensor(list(classes[name]), dtype=torch.int64)
    return state


def not_trained(at: str) -> ConfigError:
    """What is said where somebody wants to train one."""
    return ConfigError(
        "an Ensemble is not trained",
        at=at,
        expected="a Localizer",
        hint="train each member with a config of its own, then put their checkpoints together with "
        "wsoltool.engine.ensembles.write_ensemble",
    )


def _check_members(members: Mapping[str, Localizer]) -> None:
    if not isinstance(members, Mapping) or not members:
        expected = "dict(a=dict(backbone=..., head=...), ...), one at least"
        raise ConfigError(f"members is {members!r}", at="model.members", expected=expected)
    for name, member in members.items():
        if problem := name_problem(name, "a member", f"model.members.{name}"):
            raise problem
        if not isinstance(member, Localizer) or isinstance(member, Ensemble):
            what = f"member {name!r} is {type(member).__name__}"
            raise ConfigError(what, at=f"model.members.{name}", expected="a Localizer")
    inputs = {name: member.data_preprocessor for name, member in members.items()}
    statistics = {name: (own.mean, own.std) for name, own in inputs.items()}
    check_same_images(statistics, "Ensemble", "model.members.{}.preprocessor")


def _own_classes(name: str, member: Localizer, count: int, said: Sequence[int] | None) -> Tensor:
    """``(K,)`` int64: the member's class for each of the ensemble's, or :data:`UNKNOWN`."""
    own_count = member.head.num_classes
    if said is None:
        known = own_count == count
        return torch.arange(count) if known else torch.full((count,), UNKNOWN)
    if len(said) != count or not all(is_whole(i, 0) and i < own_count for i in said):
        raise ConfigError(
            f"classes of member {name!r} are {said!r}",
            at=f"model.members.{name}.classes",
            expected=f"{count} whole numbers from 0 to {own_count - 1}",
        )
    return torch.tensor(list(said), dtype=torch.int64)

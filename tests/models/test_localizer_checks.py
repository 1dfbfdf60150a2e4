"""Parts that do not fit each other are refused when built; stretched maps are told."""

import pytest
import torch
from torch import nn

from wsoltool.errors import ConfigError
from wsoltool.models.backbones.base import Backbone
from wsoltool.models.contracts import (
    BoxExtractor,
    MapSource,
)
from wsoltool.models.fusion import SingleView
from wsoltool.structures import View


class TestParts:
    def test_a_fusion_without_scores_is_refused_when_built(self, mirror):
        class Scoreless(SingleView):
            def views(self):
                return (View(scores=False),)

        with pytest.raises(ConfigError, match="no view of Scoreless") as caught:
            mirror(fusion=Scoreless())
        assert caught.value.at == "model.fusion"

    @pytest.mark.parametrize(("part", "kind"), [("map_source", MapSource), ("boxes", BoxExtractor)])
    def test_a_feature_that_does_not_exist_is_found_when_built(self, mirror, part, kind):
        class Asks(kind):
            features = ("sam",)

            def __call__(self, localization_map, context): ...

            def maps(self, *args): ...

        with pytest.raises(ConfigError, match="no feature 'sam'") as caught:
            mirror(**{part: Asks()})
        assert caught.value.at == f"model.{part}"
        assert "'same'" in caught.value.hint

    def test_a_tap_that_does_not_exist_names_the_head(self, mirror):
        head = mirror().head
        head.taps = ("stage9",)
        with pytest.raises(ConfigError, match="no feature 'stage9'") as caught:
            mirror(head=head)
        assert caught.value.at == "model.head"


class TestCover:
    """A network that halves, and rounds down: what its map does not see."""

    class Halves(Backbone):
        output_stride = 4

        def __init__(self):
            super().__init__()
            self.pool = nn.AvgPool2d(4)

        def steps(self):
            return [("pool", self.pool)]

    @pytest.mark.parametrize(
        ("size", "warned"), [((8, 12), False), ((8, 13), False), ((8, 15), True), ((15, 8), True)]
    )
    def test_a_stretched_map_is_told_once(self, mirror, batch, caplog, size, warned):
        model = mirror(backbone=self.Halves())
        for _ in range(2):
            model.test_step(batch(0, sizes=[size]))
        assert len(caplog.records) == int(warned)
        if warned:
            assert "do not divide by the output stride 4" in caplog.text
            assert "multiple_of=4" in caplog.text


class TestSourceCheck:
    """A map source says before any training that it cannot read the head."""

    class NeedsWeights(MapSource):
        def check(self, head):
            if head.class_weights() is None:
                raise ConfigError(f"{type(head).__name__} has no class weights", hint="cam.CAMHead")

        def maps(self, backbone, head, images, features, class_ids):
            raise NotImplementedError

    def test_a_head_that_it_cannot_read_is_refused(self, mirror):
        with pytest.raises(ConfigError, match="ChannelHead has no class weights") as caught:
            mirror(map_source=self.NeedsWeights())
        assert (caught.value.at, caught.value.hint) == ("model.map_source", "cam.CAMHead")

    def test_a_place_that_is_known_better_is_kept(self, mirror):
        class Elsewhere(self.NeedsWeights):
            def check(self, head):
                raise ConfigError("no", at="model.head.tap")

        with pytest.raises(ConfigError) as caught:
            mirror(map_source=Elsewhere())
        assert caught.value.at == "model.head.tap"

    def test_a_head_that_it_can_read_is_taken(self, mirror):
        head = mirror().head
        head.class_weights = lambda: torch.eye(3)
        source = self.NeedsWeights()
        assert mirror(map_source=source, head=head).map_source is source

    def test_most_sources_read_any_head(self, mirror):
        class Any(MapSource):
            maps = None

        mirror(map_source=Any())

    def test_heads_have_no_class_weights_unless_they_say_so(self, mirror):
        assert mirror().head.class_weights() is None

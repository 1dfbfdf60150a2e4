from itertools import product

import pytest
import torch
from torch import nn

from wsoltool.config import load_config
from wsoltool.errors import ConfigError, ConfigProblems, ShapeError
from wsoltool.functional.maps import minmax_normalize
from wsoltool.models.contracts import CAMHead, MapSource
from wsoltool.models.losses import BinaryCrossEntropy
from wsoltool.preflight import check
from wsoltool.testing import check_map_source
from wsoltool_plugins import class_grouping
from wsoltool_plugins.cam.cam import CAMHead as LinearHead
from wsoltool_plugins.class_grouping.rest import WithRest
from wsoltool_plugins.gradcam.gradcam import GradCAM

CHANNELS = {"conv1": 4, "pool1": 4, "last": 6}
IDS = torch.tensor([[0, 3], [2, 2]])


class GivenHead(CAMHead):
    """Maps and scores that a test writes down: features ``maps`` (B, K, h, w), ``scores``."""

    num_classes = 4
    taps = ()

    def logits(self, features):
        return features["scores"].logit()

    def scores(self, features):
        return features["scores"]

    def loss(self, features, samples):
        return {"loss": features["scores"].sum()}

    def maps(self, features, class_ids):
        rows = torch.arange(len(class_ids))[:, None]
        return {"cam": features["maps"][rows, class_ids]}


def given():
    """Two images; classes 0, 1 and 3 are present in the first, none in the second."""
    maps = torch.zeros(2, 4, 1, 3)
    maps[0, 0] = torch.tensor([4.0, 0.0, 0.0])
    maps[0, 1] = torch.tensor([0.0, 1.0, 0.5])
    maps[0, 2] = torch.tensor([9.0, 9.0, 0.0])
    maps[0, 3] = torch.tensor([0.0, 1.0, 2.0])
    maps[1] = maps[0]
    scores = torch.tensor([[0.9, 0.5, 0.1, 0.8], [0.1, 0.2, 0.3, 0.4]])
    return {"maps": maps, "scores": scores}


def rest(class_ids, **options):
    images = torch.zeros(2, 3, 4, 4)
    return WithRest(**options).maps(None, GivenHead(), images, given(), torch.tensor(class_ids))


def test_face_offers_the_source():
    assert class_grouping.wsoltool_map_sources() == [WithRest]


@pytest.mark.parametrize(
    ("reduce", "of_0", "of_2"),
    [
        ("max", [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]),
        ("mean", [0.0, 0.75, 0.75], [1 / 3, 0.5, 0.5]),
        ("all", [0.0, 1.5, 1.5], [1.0, 1.5, 1.5]),
    ],
)
def test_the_other_present_classes_by_hand(reduce, of_0, of_2):
    """Scaled: class 0 is 1 0 0, class 1 is 0 1 0.5, class 3 is 0 0.5 1."""
    found = rest([[0, 2], [0, 0]], reduce=reduce)
    torch.testing.assert_close(found["rest"][0, :, 0], torch.tensor([of_0, of_2]))
    assert not found["rest"][1].any(), "no class of the second image is present"
    assert torch.equal(found["cam"][0], given()["maps"][0, [0, 2]])
    assert torch.equal(found["cam"][1], given()["maps"][1, [0, 0]])


def test_the_least_probability_is_an_option():
    found = rest([[0], [0]], min_score=0.81)["rest"]
    assert not found.any(), "class 0 alone is as probable, and it is the asked one"
    everywhere = rest([[0], [0]], min_score=0.0)["rest"]
    torch.testing.assert_close(everywhere[0, 0, 0], torch.ones(3))


def slow_rest(maps, present, asked, reduce):
    """Eq. (5)'s last term, image by image and class by class."""
    out = torch.zeros(*asked.shape, *maps.shape[-2:])
    for b, n in product(range(asked.shape[0]), range(asked.shape[1])):
        others = [
            minmax_normalize(maps[b, c])
            for c in range(maps.shape[1])
            if present[b, c] and c != asked[b, n]
        ]
        if others:
            stacked = torch.stack(others)
            how = {
                "max": lambda s: s.amax(0),
                "mean": lambda s: s.mean(0),
                "all": lambda s: s.sum(0),
            }
            out[b, n] = how[reduce](stacked)
    return out


@pytest.mark.parametrize("reduce", ["max", "mean", "all"])
@pytest.mark.parametrize("source", [None, GradCAM()])
def test_it_is_the_slow_one_for_any_source(reduce, source, tiny_backbone):
    torch.manual_seed(3)
    head = LinearHead(CHANNELS, 5, loss=BinaryCrossEntropy()).eval()
    nn.init.normal_(head.classifier.weight)
    images, asked = torch.randn(4, 3, 8, 10), torch.randint(5, (4, 3))
    with torch.no_grad():
        features = tiny_backbone(images)
        scores = head.scores(features)
        min_score = scores.median().item()
        found = WithRest(source, reduce, min_score).maps(
            tiny_backbone, head, images, features, asked
        )
        every = torch.arange(5).expand(4, 5)
        if source is None:
            maps = head.maps(features, every)["cam"]
        else:
            maps = source.maps(tiny_backbone, head, images, features, every)["cam"]
    expected = slow_rest(maps, scores >= min_score, asked, reduce)
    assert expected.any()
    torch.testing.assert_close(found["rest"], expected)
    torch.testing.assert_close(found["cam"], maps[torch.arange(4)[:, None], asked])


@pytest.mark.parametrize("source", [None, GradCAM(), GradCAM("pool1")])
def test_contract(source, tiny_backbone):
    torch.manual_seed(1)
    head = LinearHead(CHANNELS, 5, loss=BinaryCrossEntropy())
    check_map_source(WithRest(source, min_score=0.5), tiny_backbone, head)


class TwoBranches(MapSource):
    """The head's maps, and coarser ones."""

    def maps(self, backbone, head, images, features, class_ids):
        maps = head.maps(features, class_ids)["cam"]
        return {"fine": maps, "coarse": nn.functional.avg_pool2d(maps, 2)}


def test_branches_of_a_class_are_averaged_at_the_finest_grid(tiny_backbone):
    head = LinearHead(CHANNELS, 5, loss=BinaryCrossEntropy()).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        found = WithRest(TwoBranches(), min_score=0).maps(
            tiny_backbone, head, images, tiny_backbone(images), IDS
        )
    assert {name: tuple(maps.shape) for name, maps in found.items()} == {
        "fine": (2, 2, 8, 8),
        "coarse": (2, 2, 4, 4),
        "rest": (2, 2, 8, 8),
    }


class Counted(GradCAM):
    """Counts the classes that it is asked for."""

    asked = 0

    def maps(self, backbone, head, images, features, class_ids):
        self.asked += class_ids.shape[1]
        return super().maps(backbone, head, images, features, class_ids)


def test_a_class_that_is_asked_and_present_is_run_once(tiny_backbone):
    head, source = LinearHead(CHANNELS, 5).eval(), Counted()
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        WithRest(source, min_score=0).maps(
            tiny_backbone, head, images, tiny_backbone(images), torch.tensor([[0, 1], [2, 3]])
        )
    assert source.asked == 5


def test_the_sources_own_checks_are_made():
    class Picky(TwoBranches):
        features = ("pool1",)

        def check(self, head):
            raise ConfigError("not this head")

    assert WithRest(Picky()).features == ("pool1",)
    with pytest.raises(ConfigError, match="not this head"):
        WithRest(Picky()).check(GivenHead())


def test_a_class_that_the_head_has_not_is_refused():
    with pytest.raises(ShapeError):
        rest([[4], [0]])


@pytest.mark.parametrize("options", [{"reduce": "sum"}, {"min_score": 1.5}, {"source": WithRest()}])
def test_bad_values_are_refused(options):
    with pytest.raises(ConfigError):
        WithRest(**options)


REST_SOURCE = {"type": "class_grouping.WithRest"}
LEVELS = {"type": "class_grouping.LevelFusion"}


def of_one(**model):
    config = load_config("cam/cam_small_creatures_multilabel.py")
    config.model.pop("fusion", None)
    config.model.update(model)
    return config


def of_two(fusion):
    """An ensemble whose first member has a rest."""
    config = of_one()
    member = {key: config.model[key] for key in ("backbone", "head")}
    first = {**member, "map_source": REST_SOURCE}
    config.model = {"type": "Ensemble", "members": {"one": first, "two": member}, "fusion": fusion}
    return config


@pytest.mark.parametrize(
    ("config", "at"),
    [
        (of_one(map_source=REST_SOURCE), "model.map_source.type"),
        (of_one(map_source=REST_SOURCE, fusion={"type": "SingleView"}), "model.map_source.type"),
        (of_two({"type": "SingleView"}), "model.members.one.map_source.type"),
    ],
    ids=["default", "single", "ensemble"],
)
def test_a_fusion_that_would_add_the_rest_is_refused(config, at):
    with pytest.raises(ConfigProblems, match="'SingleView' would add the other classes' map") as e:
        check(config, "test")
    assert [problem.at for problem in e.value.problems] == [at]


@pytest.mark.parametrize(
    "config",
    [of_one(map_source=REST_SOURCE, fusion=LEVELS), of_two(LEVELS), of_one()],
    ids=["one", "ensemble", "none"],
)
def test_the_fusion_that_takes_it_away_is_not(config):
    check(config, "test")


def test_it_goes_back_as_often_as_the_neediest_image_has_classes(tiny_backbone):
    """Images of one and of three classes: three columns, and not four classes."""
    head, source = GivenHead(), Columns()
    features = given()
    features["scores"] = torch.tensor([[0.1, 0.1, 0.1, 0.9], [0.9, 0.9, 0.9, 0.1]])
    images = torch.zeros(2, 3, 4, 4)
    WithRest(source).maps(None, head, images, features, torch.tensor([[3], [0]]))
    assert source.asked == 3


class Columns(MapSource):
    """The head's maps; keeps how many columns it was asked for."""

    def maps(self, backbone, head, images, features, class_ids):
        self.asked = class_ids.shape[1]
        return head.maps(features, class_ids)

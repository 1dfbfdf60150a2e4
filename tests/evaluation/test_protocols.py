from __future__ import annotations

import numpy as np
import pytest

from wsoltool.errors import ConfigError, EvaluationError
from wsoltool.evaluation.protocols import PROTOCOLS, WsolEvaluation, get_protocol
from wsoltool.structures import Truth

TIGHT, BENCHMARK = get_protocol("tight"), get_protocol("wsolevaluation")


def truth(box, annotated=None) -> Truth:
    return Truth(np.array([box], np.float32), np.array([annotated or box], np.float32))


class Golden(WsolEvaluation):
    """The benchmark's own example has a frame of its own."""

    def frame(self, size):
        return (10, 35)


def test_true_boxes_are_scaled_and_truncated():
    # 10 wide, 20 high, to 35 wide, 10 high
    assert Golden().targets(truth((1, 2, 4, 3)), (20, 10)).tolist() == [[3, 1, 14, 1]]


def test_a_corner_on_a_whole_pixel_is_not_truncated_below_it():
    # 598 * 224 / 1196 = 112, whereas 598 * (224 / 1196) = 111.99999999999999
    targets = BENCHMARK.targets(truth((598, 0, 1100, 100)), (224, 1196))
    assert targets[0, 0] == 112


def test_wsolevaluation_scores_the_annotation_as_written():
    both = truth((0, 0, 10, 10), annotated=(1, 1, 9, 9))
    assert BENCHMARK.targets(both, (224, 224)).tolist() == [[1, 1, 9, 9]]
    assert TIGHT.targets(both, (224, 224)).tolist() == [[0, 0, 10, 10]]


def test_frames():
    assert BENCHMARK.frame((300, 400)) == (224, 224)
    assert TIGHT.frame((300, 400)) == (300, 400)


def test_answers_follow_the_convention_of_the_protocol():
    boxes = np.array([[10, 20, 30, 40], [0, 0, 448, 448]])
    assert TIGHT.answers(boxes, (448, 448)).tolist() == boxes.tolist()
    scaled = BENCHMARK.answers(boxes, (448, 448))
    assert scaled.tolist() == [[5, 10, 15, 20], [0, 0, 223, 223]]


def test_an_answer_is_the_box_that_the_sweep_would_find():
    values = np.zeros((224, 224), np.float32)
    values[100:224, 30:90] = 1
    answer = BENCHMARK.answers(np.array([[30, 100, 90, 224]]), (224, 224))
    swept = BENCHMARK.sweep(values, truth((0, 0, 1, 1), tuple(answer[0])), (224, 224))
    assert swept["largest"].tolist() == [1.0] * 1000


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_sweep_has_two_kinds_at_every_threshold(name):
    protocol = get_protocol(name)
    size = protocol.frame((30, 40))
    values = np.random.default_rng(0).random(size, np.float32)
    swept = protocol.sweep(values, truth((3, 3, 9, 9)), (30, 40))
    assert set(swept) == {"largest", "all"}
    assert swept["all"].shape == protocol.thresholds.shape == (1000,)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_map_must_fill_the_frame(name):
    with pytest.raises(EvaluationError, match=rf"\(20, 20\)[\s\S]*{name} frame"):
        get_protocol(name).sweep(np.zeros((20, 20)), truth((3, 3, 9, 9)), (30, 40))


def test_an_unknown_protocol_names_the_near_one():
    with pytest.raises(ConfigError, match="did you mean 'wsolevaluation'"):
        get_protocol("wsol-evaluation")

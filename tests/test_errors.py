import pickle

import pytest

from wsoltool.errors import (
    ConfigError,
    ConfigProblems,
    EvaluationError,
    ImageError,
    WsolError,
    check_choice,
    check_number,
    near_name,
    unknown_keys,
)


def test_message_has_what_where_expected_and_hint():
    error = ConfigError("bad", at="a.py:3", expected="good", known=["x", "y"], hint="try x")
    assert str(error).splitlines() == [
        "bad",
        "  at: a.py:3",
        "  expected: good",
        "  known: x, y",
        "  hint: try x",
    ]


def test_errors_refine_builtins():
    assert issubclass(ImageError, OSError)
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize(
    "error",
    [
        ImageError("broken", at="a.jpg", hint="delete it"),
        ConfigProblems([ConfigError("one", at="x"), ConfigError("two")], at="c.py"),
    ],
)
def test_errors_survive_pickling(error):
    # Data-loading workers send their errors to the main process.
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_located_keeps_the_first_place():
    assert WsolError("x").located("here").at == "here"
    assert WsolError("x", at="there").located("here").at == "there"


@pytest.mark.parametrize(
    ("name", "near"),
    [("cam.CMAHead", "cam.CAMHead"), ("CAMHead", "cam.CAMHead"), ("zzzz", None)],
)
def test_near_name(name, near):
    assert near_name(name, ["cam.CAMHead", "fam.FAMHead2"]) == near


def test_a_choice_is_one_of_the_known_values():
    check_choice("what", "area", ("area", "11point"))
    check_choice("what", "area", {"area": 1})
    check_choice("what", 0, (0, 2, 4))


def test_another_choice_is_refused_with_the_near_one():
    with pytest.raises(ConfigError) as caught:
        check_choice("gather='averag'", "averag", ["average", "conv"], at="model", hint="read on")
    assert str(caught.value).splitlines() == [
        "gather='averag'",
        "  at: model",
        "  known: average, conv",
        "  hint: did you mean 'average'?",
    ]


@pytest.mark.parametrize("value", [False, True, "0", 3, None, [], {"a": 1}])
def test_values_of_any_kind_are_refused(value):
    # False equals 0 and True equals 1; a list cannot be looked up in a dict.
    for known in ((0, 1), {0: "a", 1: "b"}):
        with pytest.raises(ConfigError) as caught:
            check_choice("extent", value, known)
        assert caught.value.known == ("0", "1")


def test_a_choice_that_is_far_from_all_gets_the_given_hint_and_error():
    with pytest.raises(EvaluationError) as caught:
        check_choice("what", "zzzz", iter(("area",)), hint="see there", error=EvaluationError)
    assert (caught.value.hint, caught.value.known) == ("see there", ("area",))
    with pytest.raises(ConfigError) as caught:
        check_choice("what", "zzzz", ("area",))
    assert caught.value.hint is None


def test_unknown_keys_are_told_one_by_one():
    found = list(unknown_keys({"a": 1, "modle": 2, 3: 4}, ("a", "model"), "x.", "read on"))
    assert [str(error).splitlines() for error in found] == [
        [
            "unknown key 'modle'",
            "  at: x.modle",
            "  known: a, model",
            "  hint: did you mean 'model'?",
        ],
        ["unknown key 3", "  at: x.3", "  known: a, model", "  hint: read on"],
    ]
    assert all(type(error) is ConfigError for error in found)


def test_known_keys_are_no_errors():
    assert list(unknown_keys({"a": 1}, iter(("b", "a")), "")) == []


@pytest.mark.parametrize("value", [0, 1, 0.0, 0.5, 1.0])
def test_numbers_within_bounds_pass(value):
    check_number("x", value, highest=1)
    check_number("x", value + 5)
    check_number("x", value - 1, lowest=-1)


@pytest.mark.parametrize(
    "value",
    [-0.001, 1.001, 2, float("nan"), float("inf"), float("-inf"), "0.5", None, [0.5], True, 1j],
)
def test_other_numbers_and_other_things_are_refused(value):
    with pytest.raises(ConfigError) as caught:
        check_number("Eraser: share", value, highest=1)
    assert str(caught.value).splitlines() == [
        f"Eraser: share={value!r}",
        "  expected: a number from 0 to 1",
    ]


def test_the_bounds_are_told_and_the_error_is_the_callers():
    with pytest.raises(EvaluationError) as caught:
        check_number("x", 0, lowest=0.5, error=EvaluationError)
    assert caught.value.expected == "a number of 0.5 or more"
    with pytest.raises(ConfigError) as caught:
        check_number("x", -3, lowest=-2, highest=10)
    assert caught.value.expected == "a number from -2 to 10"
    with pytest.raises(ConfigError):
        check_number("x", float("inf"))

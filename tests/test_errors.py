import pickle

import pytest

from wsoltool.errors import ConfigError, ConfigProblems, ImageError, WsolError, near_name


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

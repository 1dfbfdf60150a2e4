"""Values typed into a shell."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.commands.options import parse_options, parse_value
from wsoltool.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("1e-3", 0.001),
        ("True", True),
        ("false", False),
        ("None", None),
        ("", ""),
        ("SmallNet", "SmallNet"),
        ("08", "08"),
        ("1.0,1.5", [1.0, 1.5]),
        ("1,", [1]),
        ("tight,wsolevaluation", ["tight", "wsolevaluation"]),
        ("[tight, 2]", ["tight", 2]),
        ("(1, 2)", (1, 2)),
        ("[(1,2),3]", [(1, 2), 3]),
        ("[]", []),
        ("{'a': [1, 2]}", {"a": [1, 2]}),
        ("'1'", "1"),
        ("'/a, b/c'", "/a, b/c"),
        ("[a,'b],c',d]", ["a", "b],c", "d"]),
        ("/my photos/cats (2)/x=y", "/my photos/cats (2)/x=y"),
        ("/it's here", "/it's here"),
    ],
)
def test_values(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(alphabet="ab,'\"([{ ])}", max_size=6),
        lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
        max_leaves=8,
    )
)
def test_what_python_writes_is_read_back(value):
    assert parse_value(repr(value)) == value


def test_later_options_win_and_values_may_hold_equal_signs():
    assert parse_options(["a.b=1", "c=x=y", "a.b=2"]) == {"a.b": 2, "c": "x=y"}


@pytest.mark.parametrize("option", ["a", "=3", ""])
def test_an_option_is_key_and_value(option):
    with pytest.raises(ConfigError, match="--cfg-options") as caught:
        parse_options([option])
    assert caught.value.expected == "KEY=VALUE"


@pytest.mark.parametrize("text", ["[1,2", "(1", "'x", '[a,"b]', "{'a': 1"])
def test_brackets_and_quotes_must_close(text):
    with pytest.raises(ConfigError, match="lacks a closing") as caught:
        parse_options([f"key={text}"])
    assert caught.value.at == f"--cfg-options key={text}"


def test_options_that_fit_nowhere_are_refused(refused):
    config = "cam/cam_small_creatures.py"
    for option, message in (
        ("modle.head.num_classes=3", "did you mean 'model'?"),
        ("param_scheduler.5.end=3", "param_scheduler.5 is not in the config"),
        ("param_scheduler.5=3", "--cfg-options do not fit"),
        ("log_interval.x=3", "--cfg-options do not fit"),
    ):
        assert message in refused("check", config, "--cfg-options", option)

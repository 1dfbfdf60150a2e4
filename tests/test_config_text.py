"""Written configs: the same tree in the same order, lines that fit, valid Python."""

import copy
import math
import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from wsoltool.config import bundled_configs, load_config, plain
from wsoltool.config_text import OrderedConfig, python_text

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
)
KEYS = st.sampled_from(["b", "a", "class", "two words", "x.y", "", "type"]) | st.integers(0, 3)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=5)
    ),
    max_leaves=25,
)


def read(text):
    names = {}
    exec(text, names)
    names.pop("__builtins__")
    return names


def in_order(node):
    """Dicts as lists of pairs, so that their order is compared too."""
    if isinstance(node, dict):
        return [(key, in_order(value)) for key, value in node.items()]
    if isinstance(node, (list, tuple)):
        return type(node)(in_order(item) for item in node)
    return node


@settings(deadline=None)
@given(tree=st.dictionaries(st.sampled_from(["z", "model", "a"]), TREES))
def test_the_text_is_python_of_the_same_tree_in_the_same_order(tree):
    assert in_order(read(python_text(tree))) == in_order(tree)


def test_long_values_are_broken_and_short_ones_are_not():
    tree = {"short": [1, (2,)], "long": {"first": ["x" * 40] * 2, "second": ({"a b": "y" * 90},)}}
    assert python_text(tree) == (
        "short = [1, (2,)]\n"
        "long = dict(\n"
        f"    first=['{'x' * 40}', '{'x' * 40}'],\n"
        "    second=(\n"
        "        {\n"
        f"            'a b': '{'y' * 90}',\n"
        "        },\n"
        "    ),\n"
        ")\n"
    )


def test_numbers_without_end_can_be_read():
    found = read(python_text({"a": [math.inf, -math.inf, math.nan]}))["a"]
    assert found[:2] == [math.inf, -math.inf]
    assert math.isnan(found[2])


def test_every_bundled_config_is_read_back_as_it_is(tmp_path):
    for name in bundled_configs():
        config = load_config(name)
        path = tmp_path / "again.py"
        config.dump(path)
        again = load_config(path)
        assert in_order(plain(dict(again))) == in_order(plain(dict(config))), name
        assert max(map(len, path.read_text().splitlines())) <= 100, name


def test_copies_keep_the_order():
    config = load_config("cam/cam_small_creatures.py")
    copies = (config.copy(), copy.deepcopy(config), pickle.loads(pickle.dumps(config)))
    for other in copies:
        assert type(other) is OrderedConfig
        assert other.pretty_text == config.pretty_text
        assert other.filename == config.filename

"""Which split an image falls into."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.datasets.splits import SPLITS, belongs, check_share, fraction
from wsoltool.errors import ConfigError

IDS = st.text(max_size=12)
SHARES = st.tuples(st.floats(0, 0.5), st.floats(0, 0.49)).map(
    lambda pair: {name: x for name, x in zip(SPLITS[1:], pair, strict=True) if x}
)


def split_of(image_id, shares) -> str:
    """The only split that an image belongs to."""
    (split,) = [split for split in SPLITS if belongs(image_id, split, shares)]
    return split


def test_fractions_are_the_first_six_bytes_of_the_hash():
    digest = sha256(b"cat/1.jpg").hexdigest()
    assert fraction("cat/1.jpg") == int(digest[:12], 16) / 16**12


def test_known_fractions_never_change():
    # Computed once by `printf a.jpg | sha256sum`; another value would move images between splits.
    assert fraction("a.jpg") == pytest.approx(int("509b0d4641a7", 16) / 16**12)


@given(IDS)
def test_fractions_are_in_the_unit_interval(image_id):
    assert 0 <= fraction(image_id) < 1
    assert fraction(image_id) == fraction(image_id)


def test_undecodable_file_names_have_a_place():
    assert 0 <= fraction(b"caf\xe9.jpg".decode("utf-8", "surrogateescape")) < 1


@given(IDS, SHARES)
def test_shares_part_the_images(image_id, shares):
    assert split_of(image_id, shares) in {"train-weaksup", *shares}


@given(IDS, st.floats(0.01, 0.5), st.floats(0.01, 0.4))
def test_the_first_share_does_not_depend_on_the_second(image_id, first, second):
    one, both = {SPLITS[1]: first}, {SPLITS[1]: first, SPLITS[2]: second}
    assert belongs(image_id, SPLITS[1], one) == belongs(image_id, SPLITS[1], both)
    # What the second takes, it takes from training.
    if belongs(image_id, "train-weaksup", both):
        assert belongs(image_id, "train-weaksup", one)


@given(IDS, st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_a_larger_share_keeps_what_a_smaller_one_took(image_id, share, more):
    if belongs(image_id, "test", {"test": share}):
        assert belongs(image_id, "test", {"test": share + more})


def test_shares_are_about_as_large_as_asked():
    shares = {"train-fullsup": 0.1, "test": 0.25}
    found = [split_of(f"photos/{number}.jpg", shares) for number in range(20_000)]
    counts = [found.count(split) / len(found) for split in SPLITS]
    # Four standard deviations of 20,000 draws.
    assert counts == pytest.approx([0.65, 0.1, 0.25], abs=0.0135)


def test_hand_computed_places():
    names = sorted((f"{n}.jpg" for n in range(50)), key=fraction)
    shares = {
        "train-fullsup": fraction(names[10]),
        "test": fraction(names[30]) - fraction(names[10]),
    }
    found = [split_of(name, shares) for name in names]
    assert found[:10] == ["train-fullsup"] * 10
    assert found[10:29] == ["test"] * 19
    assert found[31:] == ["train-weaksup"] * 19


@pytest.mark.parametrize("share", [0, 0.0, 0.5, 0.999])
def test_shares(share):
    check_share("x", share)


@pytest.mark.parametrize("share", [-0.1, 1, 1.0, 2, True, False, "0.1", None, float("nan")])
def test_wrong_shares(share):
    with pytest.raises(ConfigError, match=r"x is .*"):
        check_share("x", share)

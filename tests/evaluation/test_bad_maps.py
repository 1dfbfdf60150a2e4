from __future__ import annotations

from pathlib import Path

from wsoltool.evaluation.bad_maps import BadMap, BadMaps, printable, shown


def some(policy="miss", count=2):
    bad = [BadMap(f"{i}.jpg", "missing", f"{i}.jpg.npy") for i in range(count)]
    bad.insert(1, BadMap("z.jpg", "outside [0, 1]", "z.jpg.npy", "from 0 to 7"))
    return BadMaps(Path("maps"), 99, policy, bad)


def test_counts_are_by_kind_in_the_order_of_the_checks():
    bad = some()
    bad.maps.reverse()
    assert list(bad.counts().items()) == [("missing", 2), ("outside [0, 1]", 1)]


def test_the_note_says_how_many_and_what_became_of_them():
    assert BadMaps(Path("maps"), 3, "miss").note() == "Bad maps: none."
    numbers = "Bad maps: 3 of 99 maps (2 missing, 1 outside [0, 1])"
    assert some().note() == f"{numbers}: counted as localised by nothing."
    assert some("skip").note() == f"{numbers}: left out."


def test_the_error_names_the_first_and_counts_the_rest():
    text = str(some("error").error())
    assert text.splitlines()[0] == "3 of 99 maps (2 missing, 1 outside [0, 1]) cannot be scored"
    assert "\n  outside [0, 1]: z.jpg.npy (from 0 to 7)\n" in text
    assert "at: maps" in text
    assert "--normalise" in text
    many = str(some("error", 30).error())
    assert many.count("missing: ") == 19
    assert "and 11 more; --json FILE lists all" in many


def test_plain_data_has_all():
    plain = some().plain()
    assert plain["policy"] == "miss"
    assert plain["counts"] == {"missing": 2, "outside [0, 1]": 1}
    assert plain["maps"][1] == {
        "image_id": "z.jpg",
        "kind": "outside [0, 1]",
        "file": "z.jpg.npy",
        "detail": "from 0 to 7",
    }


def test_names_that_are_no_text_can_be_printed():
    assert printable("h\udcffhle/1.npy").encode("utf-8") == b"h\\udcffhle/1.npy"
    assert shown(["a", "b"]) == "a, b"
    assert shown("abcdefg") == "a, b, c, d, e and 2 more"

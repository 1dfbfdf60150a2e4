"""Fingerprints of splits, and splits that must share no image."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsoltool.datasets.splits import check_apart, ids_sha256
from wsoltool.errors import DataError


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="sha256sum is not installed")
def test_the_fingerprint_is_what_common_tools_say(tmp_path):
    ids = ["b/2.jpg", "a/1.jpg", "Z.png", "größe.png", "a-1.jpg"]
    (tmp_path / "ids.txt").write_text("".join(f"{name}\n" for name in ids), "utf-8")
    command = f"LC_ALL=C sort {tmp_path / 'ids.txt'} | sha256sum"
    run = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert ids_sha256(ids) == run.stdout.split()[0]


@given(st.lists(st.text(max_size=5), max_size=6), st.randoms())
def test_the_fingerprint_knows_no_order(ids, random):
    shuffled = random.sample(ids, len(ids))
    assert ids_sha256(ids) == ids_sha256(shuffled)
    assert ids_sha256([*ids, "one more"]) != ids_sha256(ids)


@given(st.sets(st.text(max_size=2), max_size=8), st.sets(st.text(max_size=2), max_size=8))
def test_shared_images_are_found_whichever_split_is_larger(first, second):
    shared = first & second
    if not shared:
        check_apart("train-weaksup", [*first], "test", [*second])
        return
    with pytest.raises(DataError) as caught:
        check_apart("train-weaksup", [*first], "test", [*second])
    shown = ", ".join(sorted(shared)[:3])
    assert caught.value.what == (
        f"{len(shared)} images are in both train-weaksup and test: {shown}"
    )

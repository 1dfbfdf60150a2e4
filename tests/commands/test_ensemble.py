"""The commands on a config whose model is an ensemble, of one training twice."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from wsoltool.config import load_config
from wsoltool.engine.ensembles import write_ensemble

CONFIG = "cam/cam_small_creatures.py"
TEXT = """
_base_ = [{base!r}]
_member = dict(backbone=dict(type="SmallNet"), head=dict(type="cam.CAMHead", num_classes=10))
_grad = dict(map_source=dict(type="gradcam.GradCAM", target=["stage3", "last"]), **_member)
model = dict(_delete_=True, type="Ensemble", members=dict(first=_member, second=_grad))
"""


@pytest.fixture(scope="module")
def ensemble(trained, tmp_path_factory):
    """Config and checkpoint."""
    folder = tmp_path_factory.mktemp("ensemble")
    config = folder / "two.py"
    config.write_text(TEXT.format(base=str(Path(load_config(CONFIG).filename).resolve())))
    files = dict.fromkeys(("first", "second"), trained / "last.pth")
    return config, write_ensemble(folder / "two.pth", files)


def test_check_counts_both_and_no_optimizer(wsoltool, ensemble, tiny_options):
    alone, both = (wsoltool("check", c, *tiny_options) for c in (CONFIG, ensemble[0]))
    assert alone.code == both.code == 0, both
    assert len(alone.out.splitlines()) > len(both.out.splitlines()) == 1
    counts = [float(o.out.split(" M parameters")[0].split()[-1]) for o in (alone, both)]
    assert counts[1] == pytest.approx(2 * counts[0], abs=0.011)


def test_it_is_tested_with_a_gallery(wsoltool, ensemble, tiny_options, tmp_path):
    figures = tmp_path / "figures.json"
    arguments = ("--json", figures, "--gallery", tmp_path / "gallery")
    outcome = wsoltool("test", *ensemble, *arguments, *tiny_options)
    assert outcome.code == 0, outcome
    assert any((tmp_path / "gallery").iterdir())
    assert "run" in json.loads(figures.read_text())["training"]


def test_it_localizes_photos(wsoltool, ensemble, tiny_options, tmp_path):
    photo = tmp_path / "photo.jpg"
    cv2.imwrite(
        str(photo), np.random.default_rng(0).integers(256, size=(40, 50, 3), dtype=np.uint8)
    )
    outcome = wsoltool("localize", *ensemble, photo, "--out", tmp_path / "out", *tiny_options)
    assert outcome.code == 0, outcome
    assert (tmp_path / "out" / "boxes.json").is_file()


def test_its_costs_are_those_of_both(wsoltool, ensemble, tmp_path):
    found = []
    for config in (CONFIG, ensemble[0]):
        file = tmp_path / "costs.json"
        outcome = wsoltool("complexity", config, "--size", 32, "--points", "--json", file)
        assert outcome.code == 0, outcome
        found.append(json.loads(file.read_text()))
    alone, both = found
    for key in ("params", "flops", "test_flops", "activation_bytes"):
        assert both[key] == 2 * alone[key]
    points = {f"{m}/{point}" for m in ("first", "second") for point in alone["points"]}
    assert both["points"].keys() == points
    assert "of member second" in outcome.out.replace("\n", " ")
    assert "maps of GradCAM" in outcome.out.replace("\n", " ")


def test_it_is_not_trained(refused, ensemble):
    told = refused("train", ensemble[0])
    assert "an Ensemble is not trained" in told
    assert "write_ensemble" in told


def test_a_member_is_left_out_by_its_name_alone(wsoltool, refused, ensemble):
    outcome = wsoltool("check", ensemble[0], "--cfg-options", "model.members.second=None")
    assert outcome.code == 0, outcome
    told = refused("check", ensemble[0], "--cfg-options", "model.members.secnd=None")
    assert "did you mean 'second'?" in told


def test_who_asks_for_points_sees_them_where_a_name_is_wrong(wsoltool, ensemble):
    insert = "[{'at':'stage9','module':{'type':'BatchNorm'}}]"
    options = ("--cfg-options", f"model.members.second.inserts={insert}")
    outcome = wsoltool("complexity", ensemble[0], "--points", "--size", 32, *options)
    assert outcome.code == 1
    assert "model.members.second.inserts[0].at" in outcome.err
    assert "of member first" in outcome.out.replace("\n", " ")

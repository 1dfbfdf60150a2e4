"""``wsoltool evaluate``: figures of stored maps, bad maps under every policy, and refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from wsoltool.evaluation.folder import SUFFIX
from wsoltool.functional.boxes import centre_gaussian

GOLDEN = Path(__file__).parents[1] / "golden"
SIZE = (20, 30)


def test_four_images_by_hand(evaluate, four):
    outcome, figures = evaluate(four)
    assert outcome.code == 0, outcome
    assert outcome.err == ""
    assert figures["images"] == 4
    assert figures["GT-known Loc"] == 75
    assert figures["mean IoU"] == 62.5
    assert figures["MaxBoxAcc"] == figures["MaxBoxAccV2@0.3"] == 75
    assert figures["MaxBoxAccV2@0.7"] == 50
    assert figures["fixed_threshold"] == figures["threshold"] == 0.2
    assert figures["maps"] == str(four.maps)
    assert figures["metadata"] == str(four.metadata)
    assert (figures["normalise"], figures["interpolation"]) == (False, "bilinear")
    assert figures["bad_maps"] == {"policy": "error", "counts": {}, "maps": []}
    assert not any("Top" in row["metric"] for row in figures["rows"])
    assert "Localization of 4 images" in outcome.out
    assert "fixed = each protocol's own box at 0.2" in outcome.out
    assert "Bad maps: none." in outcome.out
    assert "4 images in " in outcome.out
    assert "Top-1" not in outcome.out


@pytest.mark.parametrize("workers", [0, 2])
def test_maps_of_the_benchmark_give_its_figures(evaluate, split, workers):
    """224 x 224 images: the frame is the image. The one map of zeros is a miss in either case."""
    reference = dict(np.load(GOLDEN / "box_sweep_224x224.npz"))
    more = np.load(GOLDEN / "box_sweep_224x224_more.npz")["maps"]
    for index, values in enumerate(np.concatenate([reference["maps"], more])):
        boxes = reference["gt_boxes"][reference["gt_image"] == index]
        split.add(f"{index}.jpeg", values, boxes, (224, 224))
    options = ("--protocol", "wsolevaluation", "--box-convention", "inclusive")
    outcome, figures = evaluate(split, *options, "--bad-maps", "miss", "--workers", workers)
    assert outcome.code == 0, outcome
    assert figures["bad_maps"]["counts"] == {"constant": 1}
    parts = [figures[f"MaxBoxAccV2@{iou}"] for iou in (0.3, 0.5, 0.7)]
    np.testing.assert_allclose(parts, reference["max_box_acc_v2"], rtol=1e-12)
    np.testing.assert_allclose(figures["MaxBoxAccV2"], np.mean(reference["max_box_acc_v2"]))
    np.testing.assert_allclose(figures["MaxBoxAcc"], reference["max_box_acc_v1_per_iou"][1])
    column = reference["best_iou_largest_contour"][:, 200]
    np.testing.assert_allclose(figures["GT-known Loc"], 100 * (column >= 0.5).mean())
    column[12] = 0  # the benchmark's box of no contour is the first pixel
    np.testing.assert_allclose(figures["mean IoU"], 100 * column.mean(), rtol=1e-6)


def test_workers_change_nothing(wsoltool, split):
    random = np.random.default_rng(0)
    for index in range(37):
        corner = random.integers(0, 8, 2)
        values = None if index == 20 else random.random((7, 5))
        split.add(f"{index}.jpg", values, (*corner, *(corner + 9)), label=index % 3)
    written = []
    for workers in (0, 1, 2, 7):
        path = split.root / "figures.json"
        options = ("--json", path, "--bad-maps", "skip", "--workers", workers, "--resamples", 20)
        outcome = wsoltool(*split.arguments, *options)
        assert outcome.code == 0, outcome
        arrays = dict(np.load(path.with_suffix(".npz")))
        written.append((json.loads(path.read_text()), arrays))
    figures, arrays = written[0]
    for other_figures, other_arrays in written[1:]:
        assert set(arrays) == set(other_arrays)
        for name, values in arrays.items():
            np.testing.assert_array_equal(values, other_arrays[name])
        assert {**figures, "files": 0} == {**other_figures, "files": 0}
    assert arrays["image_ids"].tolist() == [f"{i}.jpg" for i in range(37) if i != 20]


def test_two_different_maps_of_an_image_are_refused(refused, four):
    (four.maps / "a.npy").write_bytes(four.packed(four.lit((0, 0, 9, 9))))
    assert "two different maps of one image: a.jpg.npy and a.npy" in refused(*four.arguments)


def test_small_maps_are_resized(evaluate, split):
    # 4 x 6 cells of 5 x 5 pixels; at a threshold of .5 the bright cells keep their edges.
    small = np.zeros((4, 6), np.float16)
    small[1:3, 1:4] = 1
    split.add("a.jpg", small, (5, 5, 20, 15))
    _, figures = evaluate(split, "--threshold", 0.5, "--protocol", "tight")
    assert figures["mean IoU"] == 100
    wide = cv2.resize(small.astype(np.float64), (30, 20), interpolation=cv2.INTER_LINEAR)
    columns = np.flatnonzero((wide > 0.2).any(axis=0))
    rows = np.flatnonzero((wide > 0.2).any(axis=1))
    _, figures = evaluate(split, "--protocol", "tight")
    found = (columns[-1] - columns[0] + 1) * (rows[-1] - rows[0] + 1)
    assert figures["mean IoU"] == pytest.approx(100 * 150 / found)
    assert found > 150


def test_bicubic_and_normalise_are_what_the_benchmark_does(evaluate, split):
    raw = np.random.default_rng(5).normal(3, 20, (14, 14)).astype(np.float32)
    split.add("raw.jpg", raw, (40, 30, 160, 170), (224, 224))
    values = cv2.resize(raw.astype(np.float64), (224, 224), interpolation=cv2.INTER_CUBIC)
    values = values - values.min()
    split.add("done.jpg", values / values.max(), (40, 30, 160, 170), (224, 224))
    options = ("--protocol", "wsolevaluation", "--normalise", "--interpolation", "bicubic")
    outcome, _ = evaluate(split, *options)
    assert outcome.code == 0, outcome
    curves = np.load(split.root / "out/figures.npz")["wsolevaluation.all"]
    np.testing.assert_array_equal(curves[0], curves[1])
    assert curves.max() > 0


def write_scores(split, *lines):
    path = split.root / "scores.txt"
    path.write_text("\n".join(lines))
    return "--scores", path


def test_scores_add_class_and_top_rows(evaluate, four):
    ranked = ("a.jpg,0,1,2,3,4", "b.jpg,0,1,2,3,4", "x/y/c.png,5,6,7,8,9", "x/d.png,3,0,1,2,4")
    _, figures = evaluate(four, *write_scores(four, *ranked))
    assert figures["Top-1 Cls"] == 50
    assert figures["Top-5 Cls"] == 75
    assert figures["Top-1 Loc"] == 25
    assert figures["Top-5 Loc"] == 50


def test_one_class_each_gives_no_top_5(evaluate, four):
    ranked = ("a.jpg,0", "b.jpg,9", "x/y/c.png,0", "x/d.png,3")
    outcome, figures = evaluate(four, *write_scores(four, *ranked))
    assert figures["Top-1 Cls"] == 75
    assert figures["Top-1 Loc"] == 50
    assert not any(row["metric"].startswith("Top-5") for row in figures["rows"])
    assert "Top-1 Loc: the class is right" in outcome.out
    assert "Top-5" not in outcome.out


def test_scores_of_other_images_are_refused(refused, four):
    assert "'z.jpg' is not in the metadata" in refused(
        *four.arguments, *write_scores(four, "z.jpg,0")
    )


def test_sizes_come_from_the_images_where_the_metadata_has_none(evaluate, four):
    _, expected = evaluate(four)
    for empty in (True, False):
        path = four.metadata / "image_sizes.txt"
        path.write_text("") if empty else path.unlink()
        outcome, _ = evaluate(four)
        assert outcome.code == 1
        assert "image_sizes.txt is missing or empty" in outcome.err
        assert "--images DIR" in outcome.err
    for name in four.lines["image_ids"]:
        path = four.root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, np.zeros(SIZE, np.uint8))[1].tobytes())
    outcome, figures = evaluate(four, "--images", four.root / "images")
    assert outcome.code == 0, outcome
    assert figures["rows"] == expected["rows"]


def test_thresholds_from_train_fullsup(evaluate, wsoltool, four, tmp_path):
    tuned = type(four)(tmp_path / "fullsup")
    values = four.lit((2, 2, 10, 10))
    values[0:2] = 0.6
    tuned.add("t.jpg", values, (2, 2, 10, 10))
    chosen = tmp_path / "chosen.json"
    assert wsoltool(*tuned.arguments, "--json", chosen).code == 0
    outcome, figures = evaluate(four, "--fullsup", chosen)
    assert outcome.code == 0, outcome
    assert figures["GT-known Loc (fullsup)"] == 75
    row = next(
        r
        for r in figures["rows"]
        if (r["metric"], r["threshold_source"], r["protocol"]) == ("mean IoU", "fullsup", "tight")
    )
    # .6 in float32 is above .6: the first threshold without the stripe is .601
    assert row["thresholds"] == [0.601]
    outcome, _ = evaluate(four, "--fullsup", chosen, "--normalise")
    assert outcome.code == 1
    assert "normalise is True here and False for the maps of train-fullsup" in outcome.err
    outcome, _ = evaluate(four, "--fullsup", tmp_path / "none.json")
    assert outcome.code == 1
    outcome, _ = evaluate(tuned, "--fullsup", chosen)
    assert "1 images are in the scored split and in train-fullsup" in outcome.err


def test_masks_add_pixel_figures(evaluate, masked):
    masked.add("b.jpg", None, np.zeros((0, 4)))
    masked.lines["localization"].append("b.jpg,m.png,i.png")
    masked.write()
    outcome, figures = evaluate(masked, "--masks", masked.root / "masks", "--bad-maps", "miss")
    assert outcome.code == 0, outcome
    assert figures["GT-known Loc"] == 50
    # 32 of 64 object pixels at 1, then 568 at .1, then 600 at 0: recall .25, .5, 1 of both images.
    expected = 100 * (0.25 * 1 + 0.25 * 64 / 600 + 0.5 * 128 / 1200)
    assert figures["PxAP"] == pytest.approx(expected)
    assert figures["masks"] == str(masked.root / "masks")
    outcome, _ = evaluate(masked)
    assert outcome.code == 1
    assert "--masks DIR" in outcome.err


def test_masks_tell_the_sizes_where_the_frame_is_the_same_for_all(evaluate, masked):
    options = ("--masks", masked.root / "masks", "--protocol", "wsolevaluation")
    _, with_sizes = evaluate(masked, *options)
    masked.lines["image_sizes"] = []
    masked.write()
    outcome, without = evaluate(masked, *options)
    assert outcome.code == 0, outcome
    assert without["rows"] == with_sizes["rows"]
    outcome, _ = evaluate(masked, *options[:2])
    assert outcome.code == 1
    assert "--images DIR reads the sizes" in outcome.err
    assert "--protocol wsolevaluation alone needs none" in outcome.err


def test_the_one_metadata_folder_is_a_splits(refused, four):
    message = refused("evaluate", "--maps", four.maps, "--metadata", four.root)
    assert "has no image_ids.txt" in message
    assert f"--metadata {four.metadata}" in message


@pytest.mark.parametrize("option", ["--maps", "--metadata", "--masks", "--images"])
def test_folders_that_are_not_there_are_refused_first(refused, four, option, monkeypatch):
    monkeypatch.setattr("wsoltool.engine.map_evaluation.find_maps", None)
    message = refused(*four.arguments, option, four.root / "nothing")
    assert "the folder does not exist" in message
    assert str(four.root / "nothing") in message
    assert option in message


def test_results_that_cannot_be_written_are_refused_first(refused, four, monkeypatch):
    monkeypatch.setattr("wsoltool.engine.map_evaluation.evaluate_maps", None)
    (four.root / "file").write_text("")
    assert "cannot be written" in refused(*four.arguments, "--json", four.root / "file/x.json")


def test_unknown_protocols_have_a_near_name(refused, four):
    assert "did you mean 'tight'" in refused(*four.arguments, "--protocol", "tigth")
    assert "different protocol names" in refused(*four.arguments, "--protocol", "tight", "tight")


@pytest.mark.parametrize(
    "options",
    [
        ("--threshold", "1"),
        ("--threshold", "-0.1"),
        ("--threshold", "nan"),
        ("--threshold", "x"),
        ("--workers", "-1"),
        ("--resamples", "1.5"),
        ("--interpolation", "nearest"),
        ("--bad-maps", "guess"),
        ("--box-convention", "xywh"),
    ],
)
def test_wrong_usage_exits_with_2(wsoltool, four, options):
    outcome = wsoltool(*four.arguments, *options)
    assert outcome.code == 2
    assert options[0] in outcome.err


def test_a_box_outside_its_image_is_named(refused, four):
    four.add("e.jpg", four.lit((0, 0, 9, 9)), (0, 0, 31, 9))
    assert "localization.txt:5" in refused(*four.arguments)


def test_labels_may_have_gaps_for_a_split_need_not_have_all_classes(evaluate, split):
    split.add("a.jpg", split.lit((2, 2, 10, 10)), (2, 2, 10, 10), label=998)
    outcome, figures = evaluate(split)
    assert outcome.code == 0, outcome
    assert figures["GT-known Loc"] == 100


def test_no_torch_is_imported(four):
    code = (
        "import sys; from wsoltool.cli import main; code = main(sys.argv[1:]);"
        "print({'torch', 'mmengine', 'PIL'} & {*sys.modules}); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *map(str, four.arguments), "--resamples", "0"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("set()\n")
    assert run.stderr == ""


def test_the_centre_gaussian_scores_as_the_control_does(evaluate, split, real_data):
    """On real boxes: the maps of a control, through files, are worth what the control is."""
    metadata = real_data / "tinyimagenet50/metadata/test"
    if not metadata.is_dir():
        pytest.skip("WSOLTOOL_DATA names no folder that holds tinyimagenet50")
    ids = (metadata / "image_ids.txt").read_text().split()
    content = split.packed(centre_gaussian((64, 64)))
    for name in ids:
        path = split.maps / (name + SUFFIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    split.metadata = metadata
    outcome, figures = evaluate(
        split, "--box-convention", "inclusive", "--protocol", "tight", "--workers", 2
    )
    assert outcome.code == 0, outcome
    assert figures["images"] == 2500
    compared = [row for row in figures["rows"] if "centre Gaussian" in row["controls"]]
    assert len(compared) > 10
    for row in compared:
        assert row["value"] == pytest.approx(row["controls"]["centre Gaussian"], abs=1e-9)

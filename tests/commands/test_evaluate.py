"""``wsoltool evaluate``: figures of stored maps, bad maps under every policy, and refusals."""

from __future__ import annotations

import io
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


class Split:
    """A folder of maps and a split's metadata, written image by image."""

    def __init__(self, root: Path) -> None:
        self.root, self.maps, self.metadata = root, root / "maps", root / "metadata"
        self.lines = {name: [] for name in ("image_ids", "class_labels", "image_sizes")}
        self.lines["localization"] = []
        self.maps.mkdir(parents=True)
        self.metadata.mkdir()

    def add(self, name, values, boxes, size=SIZE, label=0, file=None):
        """An image; ``values`` None for none, bytes for a file's content."""
        if values is not None:
            path = self.maps / (file or name + SUFFIX)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(values if isinstance(values, bytes) else packed(values))
        self.lines["image_ids"].append(name)
        self.lines["class_labels"].append(f"{name},{label}")
        self.lines["image_sizes"].append(f"{name},{size[1]},{size[0]}")
        for box in np.reshape(boxes, (-1, 4)).tolist():
            self.lines["localization"].append(",".join(map(str, [name, *map(int, box)])))
        self.write()

    def write(self):
        for name, lines in self.lines.items():
            (self.metadata / f"{name}.txt").write_text("\n".join(lines))

    @property
    def arguments(self):
        return ("evaluate", "--maps", self.maps, "--metadata", self.metadata)


def packed(values):
    file = io.BytesIO()
    np.save(file, np.asarray(values))
    return file.getvalue()


def lit(box, size=SIZE, dtype=np.float32):
    """A map that is 1 inside a box, and a little elsewhere."""
    values = np.full(size, 0.1, dtype)
    values[box[1] : box[3], box[0] : box[2]] = 1
    return values


@pytest.fixture
def split(tmp_path):
    return Split(tmp_path)


@pytest.fixture
def four(split):
    """Right: a and the nested c; b's box has IoU 8/16, d's none. Two classes."""
    split.add("a.jpg", lit((2, 2, 10, 10)), (2, 2, 10, 10))
    split.add("b.jpg", lit((2, 2, 6, 4)), (2, 2, 6, 6), label=1)
    split.add("x/y/c.png", lit((1, 1, 29, 19)), (1, 1, 29, 19), file="x/y/c.npy")
    split.add("x/d.png", lit((20, 10, 25, 15)), (2, 2, 10, 10), label=3)
    return split


@pytest.fixture
def evaluate(wsoltool, tmp_path):
    """Evaluate a split without intervals; the outcome, and the figures that were written."""

    def run(split, *options):
        figures = tmp_path / "out" / "figures.json"
        outcome = wsoltool(*split.arguments, "--resamples", 0, "--json", figures, *options)
        return outcome, json.loads(figures.read_text()) if figures.is_file() else None

    return run


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


BAD = {
    "missing": None,
    "unreadable": b"text",
    "not float": lit((0, 0, 9, 9)).astype(np.uint8),
    "not 2-D": lit((0, 0, 9, 9))[None],
    "empty": np.zeros((0, 9)),
    "NaN or infinity": np.array([[0, np.nan]]),
    "outside [0, 1]": 2 * lit((0, 0, 9, 9)),
    "constant": np.full((9, 9), 0.5),
}


@pytest.fixture
def bad(four):
    """The four, and one image of every kind of bad map."""
    for index, values in enumerate(BAD.values()):
        four.add(f"bad/{index}.jpg", values, (0, 0, 9, 9))
    return four


def test_missing_maps_end_it_before_a_file_is_read(evaluate, bad, monkeypatch):
    monkeypatch.setattr("wsoltool.engine.maps.read_map", None)
    outcome, figures = evaluate(bad)
    assert outcome.code == 1
    assert outcome.err.startswith("error: 1 of 12 maps (1 missing) cannot be scored\n")
    assert "missing: bad/0.jpg.npy" in outcome.err
    assert figures["bad_maps"]["counts"] == {"missing": 1}


@pytest.mark.parametrize("workers", [0, 2])
def test_by_default_all_bad_maps_are_named_and_there_are_no_figures(evaluate, bad, workers):
    (bad.maps / "bad/0.jpg.npy").write_bytes(packed(lit((0, 0, 9, 9))))
    outcome, figures = evaluate(bad, "--workers", workers)
    assert outcome.code == 1
    assert outcome.out == ""
    kinds = [kind for kind in BAD if kind != "missing"]
    assert figures["bad_maps"]["counts"] == dict.fromkeys(kinds, 1)
    assert [entry["kind"] for entry in figures["bad_maps"]["maps"]] == kinds
    assert "rows" not in figures
    assert "GT-known Loc" not in figures
    for entry in figures["bad_maps"]["maps"]:
        assert f"\n  {entry['kind']}: {entry['file']}" in outcome.err
    assert "--bad-maps miss" in outcome.err


def test_a_miss_is_localised_by_nothing(evaluate, bad):
    outcome, figures = evaluate(bad, "--bad-maps", "miss")
    assert outcome.code == 0, outcome
    assert figures["images"] == 12
    assert figures["GT-known Loc"] == figures["MaxBoxAcc"] == 25
    assert figures["mean IoU"] == pytest.approx(250 / 12)
    assert figures["bad_maps"]["counts"] == dict.fromkeys(BAD, 1)
    told = (
        "Bad maps: 8 of 12 maps (1 missing, 1 unreadable, 1 not float, 1 not 2-D, 1 empty, 1 NaN or"
        " infinity, 1 outside [0, 1], 1 constant): counted as localised by nothing."
    )
    assert told in " ".join(outcome.out.split())


def test_skipped_images_are_left_out(evaluate, bad):
    outcome, figures = evaluate(bad, "--bad-maps", "skip")
    assert outcome.code == 0, outcome
    assert figures["images"] == 4
    assert figures["GT-known Loc"] == 75
    assert "left out." in outcome.out
    assert len(figures["bad_maps"]["maps"]) == 8


def test_normalising_makes_values_of_any_range_good(evaluate, bad):
    _, figures = evaluate(bad, "--bad-maps", "skip", "--normalise")
    assert "outside [0, 1]" not in figures["bad_maps"]["counts"]
    assert figures["images"] == 5
    assert figures["normalise"] is True


@pytest.mark.parametrize("policy", ["miss", "skip"])
def test_without_one_sound_map_there_are_no_figures(evaluate, split, policy):
    for index, values in enumerate((None, lit((0, 0, 9, 9)) * 3)):
        split.add(f"{index}.jpg", values, (0, 0, 9, 9))
    outcome, figures = evaluate(split, "--bad-maps", policy)
    assert outcome.code == 1
    assert "2 of 2 maps (1 missing, 1 outside [0, 1]) cannot be scored" in outcome.err
    assert "rows" not in figures


def test_a_flat_folder_of_maps_is_recognised_by_its_extra_files(evaluate, split):
    for index in range(7):
        split.add(f"x/{index}.jpg", lit((0, 0, 9, 9)), (0, 0, 9, 9), file=f"{index}.jpg.npy")
    outcome, figures = evaluate(split)
    assert outcome.code == 1
    assert "7 missing" in outcome.err
    assert "folders included" in outcome.err
    assert "warning: 7 maps belong to no image id: 0.jpg.npy, 1.jpg.npy" in outcome.err
    assert "and 2 more" in outcome.err
    assert figures["extra_maps"]["count"] == 7


def test_extra_maps_are_a_warning(evaluate, four):
    (four.maps / "x/other.npy").write_bytes(packed(lit((0, 0, 9, 9))))
    outcome, figures = evaluate(four)
    assert outcome.code == 0
    assert outcome.err == "warning: 1 map belongs to no image id: x/other.npy\n"
    assert figures["extra_maps"] == {"count": 1, "first": ["x/other.npy"]}
    assert figures["images"] == 4


def test_two_different_maps_of_an_image_are_refused(refused, four):
    (four.maps / "a.npy").write_bytes(packed(lit((0, 0, 9, 9))))
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
    tuned = Split(tmp_path / "fullsup")
    values = lit((2, 2, 10, 10))
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


def test_masks_add_pixel_figures(evaluate, split):
    mask = np.zeros(SIZE, np.uint8)
    mask[2:10, 2:10] = 255
    (split.root / "masks").mkdir()
    for name, pixels in {"m": mask, "i": np.zeros_like(mask)}.items():
        cv2.imwrite(str(split.root / f"masks/{name}.png"), pixels)
    split.add("a.jpg", lit((2, 2, 10, 6)), np.zeros((0, 4)))
    split.add("b.jpg", None, np.zeros((0, 4)))
    split.lines["localization"] = ["a.jpg,m.png,i.png", "b.jpg,m.png,i.png"]
    split.write()
    outcome, figures = evaluate(split, "--masks", split.root / "masks", "--bad-maps", "miss")
    assert outcome.code == 0, outcome
    assert figures["GT-known Loc"] == 50
    # 32 of 64 object pixels at 1, then 568 at .1, then 600 at 0: recall .25, .5, 1 of both images.
    expected = 100 * (0.25 * 1 + 0.25 * 64 / 600 + 0.5 * 128 / 1200)
    assert figures["PxAP"] == pytest.approx(expected)
    assert figures["masks"] == str(split.root / "masks")
    outcome, _ = evaluate(split)
    assert outcome.code == 1
    assert "--masks DIR" in outcome.err


def test_masks_tell_the_sizes_where_the_frame_is_the_same_for_all(evaluate, split):
    mask = np.zeros(SIZE, np.uint8)
    mask[2:10, 2:10] = 255
    (split.root / "masks").mkdir()
    for name, pixels in {"m": mask, "i": np.zeros_like(mask)}.items():
        cv2.imwrite(str(split.root / f"masks/{name}.png"), pixels)
    split.add("a.jpg", lit((2, 2, 10, 6)), np.zeros((0, 4)))
    split.lines["localization"] = ["a.jpg,m.png,i.png"]
    split.write()
    options = ("--masks", split.root / "masks", "--protocol", "wsolevaluation")
    _, with_sizes = evaluate(split, *options)
    split.lines["image_sizes"] = []
    split.write()
    outcome, without = evaluate(split, *options)
    assert outcome.code == 0, outcome
    assert without["rows"] == with_sizes["rows"]
    outcome, _ = evaluate(split, *options[:2])
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
    four.add("e.jpg", lit((0, 0, 9, 9)), (0, 0, 31, 9))
    assert "localization.txt:5" in refused(*four.arguments)


def test_labels_may_have_gaps_for_a_split_need_not_have_all_classes(evaluate, split):
    split.add("a.jpg", lit((2, 2, 10, 10)), (2, 2, 10, 10), label=998)
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
    content = packed(centre_gaussian((64, 64)))
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

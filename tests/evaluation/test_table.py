from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from wsoltool.evaluation.metric import LocalizationMetric
from wsoltool.evaluation.results import LocalizationResults
from wsoltool.evaluation.summary import summarize
from wsoltool.evaluation.table import caption, metrics_table, report


@pytest.fixture
def summary(four):
    metric = LocalizationMetric(["tight", "wsolevaluation"], fixed_threshold=0.2, resamples=20)
    metric.process(None, four)
    metric.evaluate(4)
    return metric.summary


@pytest.fixture
def printed(summary):
    console = Console(file=io.StringIO(), width=200)
    console.print(metrics_table(summary))
    return console.file.getvalue()


def cells_of(printed: str, *parts: str) -> list[str]:
    """The filled cells of the one line that has all the parts."""
    found = [line for line in printed.splitlines() if all(part in line for part in parts)]
    assert len(found) == 1, found
    return re.split(r"\s{2,}", found[0].strip())


def test_a_line_shows_every_source_and_the_controls(printed):
    line = next(line for line in printed.splitlines() if line.startswith("   GT-known Loc  "))
    cells = re.split(r"\s{2,}", line.strip())
    assert cells[0] == "GT-known Loc"
    assert cells[1].startswith("75.0 (")
    # No train-fullsup here: fixed, test-oracle, and the whole image, which fits c alone.
    assert len(cells) == 6
    assert cells[3] == "25.0"


def test_a_protocol_names_the_thresholds_of_its_section(printed):
    assert printed.count("at 0.200") == 2


def test_class_metrics_leave_the_other_cells_empty(printed):
    cells = cells_of(printed, "Top-1 Cls  ")
    assert len(cells) == 2
    assert cells[1].startswith("75.0")


def test_what_the_metric_defines_on_test_has_no_fixed_figure(printed):
    line = next(line for line in printed.splitlines() if "MaxBoxAcc " in line)
    assert len(re.split(r"\s{2,}", line.strip())) == 5


def test_the_table_fits_106_characters(summary):
    console = Console(file=io.StringIO(), width=106)
    console.print(metrics_table(summary))
    assert "…" not in console.file.getvalue()


def test_the_caption_explains_protocols_and_subset(summary):
    text = caption(summary)
    assert "\ntight: original image size" in text
    assert "\nwsolevaluation: 224 x 224 frame" in text
    assert "the 3 images whose object covers less than 50 %" in text
    assert "Top-1 Loc: the class is right" in text


def test_the_caption_says_what_the_oracle_gains(summary):
    lines = caption(summary).splitlines()
    assert lines[0] == "test-oracle gains, tight: GT-known Loc 0.0 (0.0 to 0.0) over fixed."
    assert lines[1].startswith("test-oracle gains, wsolevaluation: GT-known Loc ")


def test_the_caption_shows_how_the_ious_are_spread(summary):
    lines = caption(summary).splitlines()
    # tight: 1, 0.5, 1 and 0
    assert "  25.0  0.0  0.0  0.0  0.0 25.0  0.0  0.0  0.0 50.0  tight, fixed" in lines
    assert sum(line.endswith((", fixed", ", test-oracle")) for line in lines) == 4
    assert not any("small" in line for line in lines if line.startswith("  "))


def test_the_caption_tells_what_a_threshold_for_every_image_gives(summary):
    lines = caption(summary).splitlines()
    # tight: 1, 0.5, 1 and 0. A centre box of share .6 has 16 / 36 of a, b and d; c fits at 1: .8.
    found = [line for line in lines if line.startswith("image-oracle, ")]
    assert len(found) == 2
    model = r"image-oracle, tight: GT-known Loc 75\.0 \(.+\), mean IoU 62\.5 \(.+\); "
    assert re.fullmatch(model + r"centre box 25\.0, 53\.3\.", found[0]), found[0]
    assert sum(line.startswith("image-oracle: the best threshold for every") for line in lines) == 1


def test_details_stay_in_the_report(printed, summary):
    assert "MaxBoxAccV2 (common) " in printed
    for name in ("MaxBoxAcc@0.5 ", "@0.5 (common)"):
        assert name not in printed
    assert {"MaxBoxAcc@0.5", "MaxBoxAccV2@0.5 (common threshold)"} <= report(summary).keys()


def test_small_objects_have_the_headline_rows_alone(printed):
    assert "GT-known Loc (small)" in printed
    assert "MaxBoxAccV2@0.3 (small)" not in printed


def test_the_report_is_plain_json(summary):
    data = json.loads(json.dumps(report(summary)))
    assert data["GT-known Loc"] == 75
    assert data["images"] == 4
    assert data["protocol"] == "tight"
    assert set(data["protocols"]) == {"tight", "wsolevaluation"}
    row = next(r for r in data["rows"] if r["metric"] == "GT-known Loc")
    assert set(row) == {
        "metric",
        "value",
        "interval",
        "protocol",
        "threshold_source",
        "thresholds",
        "subset",
        "images",
        "controls",
    }
    assert (row["threshold_source"], row["thresholds"], row["value"]) == ("fixed", [0.2], 75)
    assert len(row["interval"]) == 2
    assert set(row["controls"]) == {"whole image", "centre box", "centre Gaussian"}
    assert len(data["rows"]) == len(summary.rows)
    gap = next(g for g in data["gaps"] if g["metric"] == "mean IoU" and g["subset"] == "small")
    assert (gap["protocol"], gap["threshold_source"]) == ("tight", "fixed")
    assert gap["interval"][0] <= gap["interval"][1]
    (bound,) = [
        r
        for r in data["rows"]
        if (r["metric"], r["threshold_source"]) == ("mean IoU", "image-oracle")
        and (r["protocol"], r["subset"]) == ("tight", "all")
    ]
    assert (bound["value"], bound["thresholds"], bound["images"]) == (62.5, [], 4)
    assert len(bound["interval"]) == 2
    assert data["mean IoU (image-oracle)"] == 62.5
    assert (data["fixed_threshold"], data["chosen_thresholds"]) == (0.2, None)
    spread = data["iou_histograms"][0]
    assert (spread["protocol"], spread["threshold_source"]) == ("tight", "fixed")
    assert spread["counts"] == [1, 0, 0, 0, 0, 1, 0, 0, 0, 2]
    assert spread["box_recall"]["0.5"] == 75


def test_without_resamples_there_is_no_interval(four):
    metric = LocalizationMetric(["tight"], resamples=0)
    metric.process(None, four)
    metric.evaluate(4)
    assert all(row["interval"] is None for row in report(metric.summary)["rows"])
    assert all(gap["interval"] is None for gap in report(metric.summary)["gaps"])
    console = Console(file=io.StringIO(), width=200)
    console.print(metrics_table(metric.summary))
    assert "75.0 (" not in console.file.getvalue()


def test_what_the_caption_says_besides(summary):
    console = Console(file=io.StringIO(), width=200)
    console.print(metrics_table(summary, "a box of ours", ["Bad maps: 3 [a/b] of 4."]))
    text = " ".join(console.file.getvalue().split())
    assert "fixed = a box of ours; fullsup" in text
    assert "Bad maps: 3 [a/b] of 4." in text


def test_without_class_scores_the_table_begins_with_the_protocols(four):
    metric = LocalizationMetric(["tight"], fixed_threshold=0.2, resamples=0)
    items = [metric.score(prediction) for prediction in four]
    for item in items:
        item.top = None
    results = LocalizationResults.stack(items, {"tight": metric.protocols[0].thresholds})
    summary = summarize(results, fixed_threshold=0.2, resamples=0)
    console = Console(file=io.StringIO(), width=200)
    console.print(metrics_table(summary))
    assert "Top-1" not in console.file.getvalue()
    assert "the 3 images whose object covers less" in caption(summary)


@pytest.fixture
def masked(four, mask_boxes):
    metric = LocalizationMetric(["tight"], fixed_threshold=0.2, resamples=20)
    metric.process(None, mask_boxes(four))
    metric.evaluate(4)
    return metric.summary


def test_pixels_stand_below_the_boxes(masked):
    console = Console(file=io.StringIO(), width=106)
    console.print(metrics_table(masked))
    printed = console.file.getvalue()
    assert "…" not in printed
    # One figure without threshold, and the whole image's and the Gaussian's.
    pxap = cells_of(printed, "   PxAP ")
    assert len(pxap) == 4
    assert pxap[2] == "32.0"
    assert len(cells_of(printed, "   mIoU ", "78.8 (")) == 5
    assert len(cells_of(printed, "   mLEV (box)")) == 3
    assert printed.index("MaxBoxAcc ") < printed.index("PxAP") < printed.index("(small)", 1500)
    assert "PxAP (small)" not in printed
    assert "lower is better" in caption(masked)


@pytest.fixture
def chosen(chosen_four):
    metric = LocalizationMetric(["tight"], resamples=0)
    metric.process(None, chosen_four)
    metric.evaluate(4)
    return metric.summary


def test_thresholds_chosen_for_each_image_are_shown_as_such(chosen):
    console = Console(file=io.StringIO(), width=106)
    console.print(metrics_table(chosen))
    printed = console.file.getvalue()
    assert "…" not in printed
    assert cells_of(printed, " tight  ")[:2] == ["tight", "by image"]
    lines = caption(chosen).splitlines()
    place = lines.index(
        "Chosen thresholds, percent of images by steps of .05 (mean 0.27, median 0.12, no box in 0 "
        "of 4):"
    )
    assert lines[place + 1].split() == ["25", "25", ".", "25", *["."] * 12, "25", ".", ".", "."]
    says = "fixed = chosen for each image by the box extractor, without true boxes; fullsup"
    assert any(says in line for line in lines)
    assert "the box extractor's;" not in caption(chosen)


def test_the_report_has_the_chosen_thresholds(chosen):
    data = json.loads(json.dumps(report(chosen)))
    assert data["fixed_threshold"] is None
    spread = data["chosen_thresholds"]
    assert (sum(spread["counts"]), spread["none"], len(spread["edges"])) == (4, 0, 21)
    assert (spread["mean"], spread["median"]) == pytest.approx((0.27075, 0.121))
    rows = [row for row in data["rows"] if row["threshold_source"] == "fixed"]
    assert rows
    assert all(row["thresholds"] == [] for row in rows)


def test_of_fixed_thresholds_no_spread_is_shown(summary, printed):
    assert "Chosen thresholds" not in caption(summary)
    assert "by image" not in printed
    assert "fixed = the box extractor's; fullsup" in caption(summary)


def test_without_masks_nothing_speaks_of_pixels(summary, printed):
    assert "PxAP" not in printed
    assert "mLEV" not in caption(summary)

"""``wsoltool evaluate --metadata DST/test``, where an index was prepared to DST."""

import cv2
import numpy as np
import pytest

from wsoltool.datasets.index import Quarantined, write_index
from wsoltool.datasets.metadata_files import read_metadata
from wsoltool.datasets.records import Names, Records
from wsoltool.datasets.splits import ids_sha256


def prepare(split, convention="exclusive", name="test", masks=None, **changed):
    """Write the metadata that a split has as an index; the folder to evaluate."""
    records = read_metadata(split.metadata, True, convention, 1000, masks)
    weak = Records(Names.of(["other.jpg"]), np.zeros(1, np.int64))
    facts = {"reader": "WsolMetadata", "options": {"test_share": 0.5}, "classes": list("abcd")}
    roots = {"image_root": split.root / "images", "mask_root": split.root}
    write_index(
        split.root / "index",
        **facts,
        **roots,
        box_convention=convention,
        exif=False,
        splits={"train-weaksup": weak, name: changed.get("records", records)},
        quarantined={name: [Quarantined("bad.jpg", "0 bytes")]},
        remarks=[],
    )
    split.metadata = split.root / "index" / name
    return split


@pytest.mark.parametrize("convention", ["exclusive", "inclusive"])
def test_figures_are_those_of_the_text(evaluate, four, convention):
    _, text = evaluate(four, "--box-convention", convention)
    outcome, index = evaluate(prepare(four, convention))
    assert outcome.code == 0, outcome
    assert index["rows"] == text["rows"]
    assert index["box_convention"] == text["box_convention"] == convention
    assert index["data"]["test"]["ids_sha256"] == text["data"]["test"]["ids_sha256"]


def test_what_was_left_out_is_told(evaluate, four):
    outcome, text = evaluate(four)
    assert "left out by" not in outcome.out
    ids = ["a.jpg", "b.jpg", "x/d.png", "x/y/c.png"]
    entry = {"images": 4, "ids_sha256": ids_sha256(ids), "remarks": []}
    assert text["data"] == {"test": {**entry, "quarantined": None, "shares": {}}}
    outcome, index = evaluate(prepare(four))
    said = " ".join(outcome.out.split())
    assert "test: 4 images, 1 left out by wsoltool prepare (quarantine)" in said
    assert index["data"] == {"test": {**entry, "quarantined": 1, "shares": {"test": 0.5}}}


def test_what_thresholds_were_chosen_on_is_told_too(evaluate, wsoltool, four, tmp_path):
    prepare(four, name="train-fullsup")
    tuned = tmp_path / "tuned.json"
    outcome = wsoltool(*four.arguments, "--resamples", 0, "--json", tuned)
    assert outcome.code == 0, outcome
    other = type(four)(tmp_path / "other")
    other.add("z.jpg", other.lit((2, 2, 10, 10)), (2, 2, 10, 10))
    _, figures = evaluate(other, "--fullsup", tuned)
    assert {split: entry["quarantined"] for split, entry in figures["data"].items()} == {
        "test": None,
        "train-fullsup": 1,
    }


def test_another_convention_than_the_indexs_is_refused(refused, four):
    prepare(four, "inclusive")
    message = refused(*four.arguments, "--box-convention", "exclusive")
    assert "boxes are to be exclusive, those of the index are inclusive" in message


def test_the_indexs_own_folder_is_not_a_splits(refused, four):
    prepare(four)
    four.metadata = four.metadata.parent
    message = refused(*four.arguments)
    assert "known: test" in message
    assert f"--metadata {four.metadata / 'test'}" in message


def test_a_split_without_boxes_is_refused(refused, four):
    prepare(four)
    four.metadata = four.metadata.parent / "train-weaksup"
    message = refused(*four.arguments)
    assert "neither boxes nor masks" in message
    assert "known: test" in message


def test_images_with_several_labels_are_refused(refused, four):
    records = read_metadata(four.metadata, True, "exclusive", 1000)
    many = Records(records.ids, np.eye(4, dtype=np.uint8), records.sizes, records.boxes)
    prepare(four, records=many)
    assert "the images have several labels" in refused(*four.arguments)


def test_masks_lie_where_the_index_says_or_elsewhere(evaluate, refused, masked):
    _, text = evaluate(masked, "--masks", masked.root / "masks")
    prepare(masked, masks=masked.root / "masks")
    outcome, index = evaluate(masked)
    assert outcome.code == 0, outcome
    assert index["PxAP"] == text["PxAP"]
    (masked.root / "masks").rename(masked.root / "moved")
    assert "m.png" in refused(*masked.arguments)
    _, moved = evaluate(masked, "--masks", masked.root / "moved")
    assert moved["rows"] == text["rows"]


def test_sizes_that_the_index_does_not_have_come_from_the_images(evaluate, refused, four):
    _, text = evaluate(four)
    records = read_metadata(four.metadata, True, "exclusive", 1000)
    for image_id, (height, width) in zip(records.ids, records.sizes, strict=True):
        path = four.root / "images" / image_id
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    prepare(four, records=Records(records.ids, records.labels, None, records.boxes))
    assert "--images DIR reads the sizes" in refused(*four.arguments)
    outcome, index = evaluate(four, "--images", four.root / "images")
    assert outcome.code == 0, outcome
    assert index["rows"] == text["rows"]

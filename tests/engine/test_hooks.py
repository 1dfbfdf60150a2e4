"""What a line of progress tells."""

from wsoltool.engine.hooks import headlines


def test_headlines_are_those_of_the_table_or_else_the_first_figures():
    table = {"mean IoU": 1.0, "GT-known Loc": 2.0, "Top-1 Cls": 3.0, "mAP@0.5": 4.0}
    assert headlines(table) == [("Top-1 Cls", 3.0), ("GT-known Loc", 2.0)]
    further = dict.fromkeys(("mAP@0.5", "mAP@0.3", "mAP@0.1", "CorLoc", "other"), 5.0)
    assert [name for name, _ in headlines(further)] == ["mAP@0.5", "mAP@0.3", "mAP@0.1", "CorLoc"]
    several = dict.fromkeys(("c/mAP", "c/F1", "c/Top-1", "mAP@0.5", "mAP@0.3", "CorLoc"), 5.0)
    names = [name for name, _ in headlines(several)]
    assert names == ["c/mAP", "c/F1", "mAP@0.5", "mAP@0.3"], "of each metric the first two"

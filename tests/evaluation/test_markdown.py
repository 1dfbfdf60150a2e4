from rich.markup import escape
from rich.table import Table

from wsoltool.evaluation.markdown import markdown_table


def made() -> Table:
    table = Table(title="Title", caption=escape("*: a note\nof [brackets] | more"))
    table.add_column("metric")
    table.add_column("cam\n3 runs", justify="right")
    table.add_column("p", justify="right")
    table.add_row("tight")
    table.add_row("  GT-known Loc", "1.0 ± 0.2", "< 0.001")
    table.add_row("  a|b", "", "")
    return table


def test_a_whole_table():
    assert markdown_table(made()).splitlines() == [
        "**Title**",
        "",
        "| metric | cam 3 runs | p |",
        "| --- | --: | --: |",
        "| **tight** |  |  |",
        "| GT-known Loc | 1.0 ± 0.2 | \\< 0.001 |",
        "| **a\\|b** |  |  |",
        "",
        "- \\*: a note",
        "- of [brackets] \\| more",
    ]


def test_other_notes_and_no_title():
    table = made()
    table.title = None
    lines = markdown_table(table, ["one"]).splitlines()
    assert lines[0].startswith("| metric")
    assert lines[-1] == "- one"
    assert not markdown_table(table, []).endswith("\n\n")

"""Tables of a manual's sections, and the switches in their cells."""

from __future__ import annotations

import pytest

from wsoltool.errors import ManualError
from wsoltool.testing import section_tables, switches

MANUAL = r"""# paper

| row | switch |
|---|---|
| of no section below | |

## Ablations

Two tables.

| table | row | `--cfg-options` |
|:--|:-:|---|
| 1 | all | |
|  2|a \| b|`model.a=1` `model.b=2`|
text, which parts tables as an empty line does
| what | |
|-|-|
| x | y |

```
## Use
| no | table |
```

### Ours

  | row |
  |---|
  | within

## Ablations of others ##

No table.
"""


@pytest.fixture
def manual(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(MANUAL, encoding="utf-8")
    return path


def test_the_tables_of_a_section_and_of_those_within_it(manual):
    assert section_tables(manual, "Ablations") == [
        [
            {"table": "1", "row": "all", "`--cfg-options`": ""},
            {"table": "2", "row": "a | b", "`--cfg-options`": "`model.a=1` `model.b=2`"},
        ],
        [{"what": "x", "": "y"}],
        [{"row": "within"}],
    ]
    assert section_tables(str(manual), "Ours") == [[{"row": "within"}]]


def test_the_first_heading_has_all_that_follows(manual):
    assert len(section_tables(manual, "paper")) == 4


@pytest.mark.parametrize("fence", ["```", "~~~~", "````"])
def test_code_ends_with_its_own_fence(tmp_path, fence):
    path = tmp_path / "README.md"
    code = f"{fence}python\n# A\n```python\n~~~\n{fence}"
    path.write_text(f"# B\n{code}\n# A\n|x|\n|-|\n|1|\n", encoding="utf-8")
    assert section_tables(path, "A") == [[{"x": "1"}]]


@pytest.mark.parametrize(
    ("heading", "hint"),
    [
        ("Ablation", "did you mean 'Ablations'?"),
        ("Use", None),  # in code
    ],
)
def test_a_section_that_is_missing_is_named(manual, heading, hint):
    with pytest.raises(ManualError) as caught:
        section_tables(manual, heading)
    error = caught.value
    assert (error.what, error.at) == (f"no section {heading!r}", str(manual))
    assert error.hint == hint
    assert error.known == ("paper", "Ablations", "Ours", "Ablations of others")


def test_a_section_that_is_there_twice_is_refused(manual):
    manual.write_text(MANUAL + "# Ours\n", encoding="utf-8")
    with pytest.raises(ManualError, match="2 sections 'Ours'"):
        section_tables(manual, "Ours")


def test_a_section_without_a_table_is_named(manual):
    with pytest.raises(ManualError, match="no table in 'Ablations of others'") as caught:
        section_tables(manual, "Ablations of others")
    line = MANUAL.splitlines().index("## Ablations of others ##") + 1
    assert caught.value.at == f"{manual}:{line}"


@pytest.mark.parametrize(
    ("table", "what", "line"),
    [
        ("| a | b |\n|---|---|\n| 1 | 2 |\n| 1 |", "a row of 1 cell", 5),
        ("| a | b |\n|---|---|\n| 1 | 2 | 3 |", "a row of 3 cells", 4),
        ("| a | b |\n|---|---|\n| 1 | `x|y` |", "a row of 3 cells", 4),
        ("| a | b |\n|---|\n| 1 | 2 |", "a row of 1 cell", 3),
        ("| a | b |\n|---|---|", "a table without rows", 2),
        ("| a | b |\n| 1 | 2 |\n| 3 | 4 |", "a table without rows", 2),
        ("| a | b |", "a table without rows", 2),
        ("| a | a |\n|---|---|\n| 1 | 2 |", "two columns of one name", 2),
    ],
)
def test_tables_of_another_form_are_refused_at_their_line(tmp_path, table, what, line):
    path = tmp_path / "README.md"
    path.write_text(f"# A\n{table}\n", encoding="utf-8")
    with pytest.raises(ManualError) as caught:
        section_tables(path, "A")
    assert (caught.value.what, caught.value.at) == (what, f"{path}:{line}")


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("", []),
        ("none", []),
        ("`a=1`", ["a=1"]),
        ("`a=1 b=2,3`", ["a=1", "b=2,3"]),
        ("`a=1`, `b=2` and `c={'x':1}`", ["a=1", "b=2", "c={'x':1}"]),
    ],
)
def test_switches_stand_between_backticks(cell, options):
    assert switches(cell) == options


@pytest.mark.parametrize("cell", ["a=1", "`a=1` b=2", "`a=1", "a=1`", "`a=1` `b=2"])
def test_a_switch_that_would_be_lost_is_refused(cell):
    with pytest.raises(ManualError, match="unclear switches") as caught:
        switches(cell)
    assert cell in caught.value.what

"""Files of figures: rows by the names of their columns, other forms refused at their line."""

from __future__ import annotations

import pytest

from wsoltool.errors import ManualError
from wsoltool.testing import (
    MeasuredFigure,
    PublishedFigure,
    measured_figures,
    published_figures,
)

PUBLISHED = "table,method,backbone,dataset,metric,value,note\n"
MEASURED = "config,options,dataset,seed,metric,threshold,subset,value\n"
RUN = "cam/cam_vgg16_cub.py,a=1 b=2,CUB,3,GT-known Loc,fixed,all,"


def test_published_figures_are_as_they_are_written(tmp_path):
    file = tmp_path / "published.csv"
    rows = '1,M (a),VGG16,CUB,Top-1 Cls,76.10,"odd, so"\n1,M,VGG16,CUB,Top-1 Loc,50,\n'
    file.write_text(PUBLISHED + rows, encoding="utf-8")
    assert published_figures(file) == [
        PublishedFigure("1", "M (a)", "VGG16", "CUB", "Top-1 Cls", "76.10", "odd, so"),
        PublishedFigure("1", "M", "VGG16", "CUB", "Top-1 Loc", "50", ""),
    ]


def test_measured_figures_are_numbers(tmp_path):
    file = tmp_path / "measured.csv"
    file.write_text(f"{MEASURED}{RUN}61.50\n", encoding="utf-8")
    (figure,) = measured_figures(str(file))
    run = "cam/cam_vgg16_cub.py", "a=1 b=2", "CUB", 3
    assert figure == MeasuredFigure(*run, "GT-known Loc", "fixed", "all", 61.5)


@pytest.mark.parametrize(
    ("read", "text", "what", "line"),
    [
        (published_figures, "", "another header", 1),
        (published_figures, MEASURED, "another header", 1),
        (published_figures, f"{PUBLISHED}1,M,V,C,Loc,50,\n1,M,V,C,Loc,51\n", "6 cells", 3),
        (published_figures, f"{PUBLISHED}1,M,V,C,Loc,fifty,\n", "value 'fifty'", 2),
        (published_figures, f"{PUBLISHED}1,M,V,C,Loc,nan,\n", "value 'nan'", 2),
        (measured_figures, PUBLISHED, "another header", 1),
        (measured_figures, f"{MEASURED}{RUN}61.5,\n", "9 cells", 2),
        (measured_figures, f"{MEASURED}{RUN}\n", "value ''", 2),
        (measured_figures, f"{MEASURED}{RUN.replace('3', '0.5')}61.5\n", "seed '0.5'", 2),
    ],
)
def test_files_of_another_form_are_refused_at_their_line(tmp_path, read, text, what, line):
    file = tmp_path / "figures.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ManualError, match=what) as caught:
        read(file)
    assert caught.value.at == f"{file}:{line}"
    assert caught.value.expected

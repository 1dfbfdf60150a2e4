"""For the tests of plugin authors: does a component keep its contract, and a manual its word?

Each check runs a component on small random tensors, in training and evaluation where that
matters, and raises AssertionError naming the first breach of what
:mod:`wsoltool.models.contracts` asks; :func:`check_reader` reads a small copy of a data set. Use
them in a plugin's tests beside tests of the maths::

    from wsoltool.testing import check_head

    def test_contract():
        check_head(MyHead(channels={"last": 8}, num_classes=4), {"last": 8})

The checks fix torch's seed within themselves and restore the generator's state. They leave modules
in evaluation mode.

The others read what a plugin's manual says, so that a test can hold it to the code.
:func:`section_tables` has the tables of a README, :func:`switches` the options in a cell,
:func:`published_figures` and :func:`measured_figures` the files of figures beside it::

    from wsoltool.testing import section_tables, switches

    (rows,) = section_tables("README.md", "Ablations")

    @pytest.mark.parametrize("row", rows, ids=lambda row: row["what"])
    def test_a_row_is_what_its_switches_make(row):
        config = load_config("mine/mine_vgg16_cub.py", parse_options(switches(row["switch"])))
        assert config.model.head.parts == int(row["parts"])

They raise :class:`~wsoltool.errors.ManualError` with the file and the line.
"""

from wsoltool.testing.answers import check_box_extractor, check_fusion
from wsoltool.testing.backbones import check_backbone
from wsoltool.testing.figures import (
    MeasuredFigure,
    PublishedFigure,
    measured_figures,
    published_figures,
)
from wsoltool.testing.heads import check_head, check_loss, check_map_source
from wsoltool.testing.manuals import section_tables, switches
from wsoltool.testing.modules import (
    check_batch_augmentation,
    check_eraser,
    check_pooling,
    check_recalibration,
)
from wsoltool.testing.readers import check_reader
from wsoltool.testing.samples import random_samples

__all__ = [
    "MeasuredFigure",
    "PublishedFigure",
    "check_backbone",
    "check_batch_augmentation",
    "check_box_extractor",
    "check_eraser",
    "check_fusion",
    "check_head",
    "check_loss",
    "check_map_source",
    "check_pooling",
    "check_reader",
    "check_recalibration",
    "measured_figures",
    "published_figures",
    "random_samples",
    "section_tables",
    "switches",
]

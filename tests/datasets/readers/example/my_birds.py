"""Photos of birds: species.txt names the species, train.csv and test.csv have a line a photo."""

from dataclasses import dataclass
from functools import partial

from wsoltool.datasets.readers.base import Reader, attempt
from wsoltool.datasets.readers.lines import Lines
from wsoltool.datasets.records import Entry
from wsoltool.plugin import hookimpl


@dataclass(frozen=True, kw_only=True)
class MyBirds(Reader):
    """Photos of one bird each."""

    def image_root(self, home):
        return home / "photos"

    def class_names(self, home):
        return list(Lines(home / "species.txt"))

    def entries(self, home, part):  # "train" or "test"
        lines = Lines(home / f"{part}.csv", "species", "x0", "y0", "x1", "y1", separator=",")
        for photo in lines:
            yield attempt(photo, partial(self.entry, lines, photo))

    def entry(self, lines, photo):
        species, *box = lines.numbers(photo)
        return Entry(image=photo, labels=[int(species)], boxes=[box], at=lines.at(photo))


@hookimpl
def wsoltool_readers():
    return [MyBirds]

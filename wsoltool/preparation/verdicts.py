"""Whether an image can be used: its record against what its files are like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsoltool.datasets.image_sizes import unlike_record
from wsoltool.datasets.mask_files import (
    all_black,
    check_proportions,
    check_segments,
    other_size,
)
from wsoltool.datasets.readers.packing import wrong_boxes
from wsoltool.datasets.records import Records
from wsoltool.errors import DataError
from wsoltool.preparation.checking import File
from wsoltool.preparation.facts import Facts, Flaw
from wsoltool.structures import Size


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares records with files.

    Attributes:
        records: Of a split.
        num_classes: That segmentations may name.
        mask_root: The folder that the paths of masks and segmentations start from.
        box_convention: ``exclusive`` or ``inclusive``.
    """

    records: Records
    num_classes: int
    mask_root: Path
    box_convention: str

    def files(self, row: int) -> list[File]:
        """The files of an image: its own first, then its masks, ignored pixels, segmentation."""
        records = self.records
        files = [File("image", records.ids[row])]
        if records.masks is not None:
            first, end = records.masks.offsets[row : row + 2].tolist()
            files += [File("mask", name) for name in records.masks.masks[first:end]]
            if ignored := records.masks.ignored[row]:
                files.append(File("mask", ignored))
        if records.segments is not None and (segments := records.segments[row]):
            files.append(File("segments", segments))
        return files

    def flaw(self, row: int, files: Sequence[File], facts: Sequence[Facts]) -> Flaw | None:
        """What is wrong with an image, the gravest first; None where it can be used.

        Args:
            row: Of the records.
            files: What :meth:`files` answers.
            facts: Of each of these files.
        """
        return next(self._flaws(row, files, facts), None)

    def _flaws(self, row: int, files: Sequence[File], facts: Sequence[Facts]) -> Iterator[Flaw]:
        own = facts[0]
        if own.flaw or own.size is None:
            assert own.flaw, "a file without size has a flaw"
            yield own.flaw
            return
        yield from self._size_flaws(row, own)
        if self.records.boxes is not None:
            boxes = self.records.boxes[row].tolist()
            for error in wrong_boxes(boxes, own.size, self.box_convention):
                yield Flaw.of("box", error)
        for file, fact in zip(files[1:], facts[1:], strict=True):
            if fact.flaw:
                kind = f"{file.role}: {fact.flaw.kind}"
                yield Flaw(kind, f"{fact.flaw.reason} ({file.name})", fact.flaw.remedy)
                return
        if self.records.masks is not None:
            yield from self._mask_flaws(row, own.size, _of_role("mask", files, facts))
        for name, fact in _of_role("segments", files, facts):
            yield from self._segment_flaws(own.size, name, fact)

    def _size_flaws(self, row: int, own: Facts) -> Iterator[Flaw]:
        if self.records.sizes is None:
            return
        height, width = self.records.sizes[row].tolist()
        if own.size == (height, width) or own.size is None:
            return
        turned = any(note.startswith("EXIF") for note in own.notes)
        turns = "the image's EXIF orientation turns it: try the reader's option exif"
        hint = turns if turned and own.size == (width, height) else None
        path = Path(self.records.ids[row])
        yield Flaw.of("size", unlike_record(own.size, (height, width), path, hint))

    def _mask_flaws(
        self, row: int, size: Size, masks: Sequence[tuple[str, Facts]]
    ) -> Iterator[Flaw]:
        """As :meth:`~wsoltool.datasets.mask_files.MaskFiles.truth` refuses masks."""
        table = self.records.masks
        assert table is not None
        paths = [self.mask_root / name for name, _ in masks]
        first = masks[0][1].size
        for path, (name, fact) in zip(paths, masks, strict=True):
            assert first is not None
            assert fact.size is not None
            try:
                check_proportions(first, size, path)
                if fact.size != first:
                    raise other_size(fact.size, first, path, paths[0])
            except DataError as error:
                yield _named("mask", error, name)
        count = int(table.offsets[row + 1] - table.offsets[row])
        highest = [fact.highest for _, fact in masks[:count]]
        if all(level is not None and level <= table.level for level in highest):
            yield Flaw.of("mask", all_black(paths[:count], table.level))

    def _segment_flaws(self, size: Size, name: str, fact: Facts) -> Iterator[Flaw]:
        assert fact.size is not None
        path = self.mask_root / name
        try:
            check_segments(fact.size, size, fact.highest, self.num_classes, path)
        except DataError as error:
            yield _named("segments", error, name)


def _named(kind: str, error: DataError, name: str) -> Flaw:
    """The flaw that an error tells of, with the name of the file."""
    flaw = Flaw.of(kind, error)
    return replace(flaw, reason=f"{flaw.reason} ({name})")


def _of_role(role: str, files: Sequence[File], facts: Sequence[Facts]) -> list[tuple[str, Facts]]:
    pairs = zip(files, facts, strict=True)
    return [(file.name, fact) for file, fact in pairs if file.role == role]

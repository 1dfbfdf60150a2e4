"""All files of a data set, looked into by threads, in the order they are listed."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from wsoltool.preparation.facts import Facts, Flaw, Role
from wsoltool.preparation.inspection import Inspector
from wsoltool.preparation.journal import Journal, Known

_CHUNK = 16  # images that a thread takes at once
_AHEAD = 4  # chunks for each thread that wait or are done


class File(NamedTuple):
    """A file of an image: its pixels, or those of its annotation."""

    role: Role
    name: str


class Checked(NamedTuple):
    """What was found out about one image's files.

    Attributes:
        files: As they were asked for.
        facts: Of each file.
        fresh: Some of the files were looked into now, not remembered.
    """

    files: Sequence[File]
    facts: Sequence[Facts]
    fresh: bool


class Checker:
    """Looks into files, and remembers them.

    Args:
        inspector: Looks into one.
        journal: What is known already, and will be.
        workers: Threads.
    """

    def __init__(self, inspector: Inspector, journal: Journal, workers: int) -> None:
        self.inspector, self.journal, self.workers = inspector, journal, workers

    def check(self, images: Iterable[Sequence[File]]) -> Generator[Checked, None, None]:
        """The facts of each image's files, in order; few of them are held at a time.

        Whatever ends the iteration, all that was looked into is in the journal.
        """
        chunks = _chunks(images, _CHUNK)
        waiting: deque[Future[list[Checked]]] = deque()
        pool = ThreadPoolExecutor(self.workers)
        try:
            for chunk in chunks:
                waiting.append(pool.submit(self._check_chunk, chunk))
                if len(waiting) > _AHEAD * self.workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _check_chunk(self, images: Sequence[Sequence[File]]) -> list[Checked]:
        found: list[Known] = []
        checked = []
        for files in images:
            facts, fresh = zip(*(self._facts(file, found) for file in files), strict=True)
            checked.append(Checked(files, facts, any(fresh)))
        if found:
            self.journal.add(found)
        return checked

    def _facts(self, file: File, found: list[Known]) -> tuple[Facts, bool]:
        """What is known of a file, or found now; sound files are then added to ``found``."""
        status = self.inspector.status(*file)
        if isinstance(status, Flaw):
            return Facts(thorough=True, flaw=status), True
        known = self.journal.get(*file, status, thorough=not self.inspector.headers_only)
        if known is not None:
            return known, False
        facts = self.inspector.inspect(*file, status.st_size)
        if facts.flaw is None:
            found.append(Known(*file, status.st_size, status.st_mtime_ns, facts))
        return facts, True


def _chunks(images: Iterable[Sequence[File]], length: int) -> Iterator[list[Sequence[File]]]:
    images = iter(images)
    while chunk := list(islice(images, length)):
        yield chunk

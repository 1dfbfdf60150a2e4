"""A miniature CUB-200-2011, the command as a function, and a web server that misbehaves."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from wsoltool.cli import main
from wsoltool.datasets.readers import cub


def make_photo(seed: int = 0, size: tuple[int, int] = (32, 48)) -> Image.Image:
    """Smooth colours of (height, width), different for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC))


def encode_photo(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.fixture
def photo() -> Callable[..., Image.Image]:
    return make_photo


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    return encode_photo


@pytest.fixture
def turned() -> Callable[[int], Image.Exif]:
    return with_orientation


@dataclass
class Birds:
    """CUB-200-2011 as its archive unpacks, with few birds of 32 x 48 pixels."""

    root: Path
    monkeypatch: pytest.MonkeyPatch
    lines: dict[str, list[str]] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=lambda: {"train": 0, "test": 0})

    @property
    def home(self) -> Path:
        return self.root / "CUB_200_2011"

    def path(self, name: str) -> Path:
        return self.home / "images" / name

    def add(self, name, part="train", label=0, box=(2, 3, 20, 10), data=None, listed=True):
        """An image; ``box`` is x, y, width, height, ``data`` its file's content."""
        number = len(self.lines.get("images", ())) + 1
        if data is None:
            data = encode_photo(make_photo(number))
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.published[part] += listed
        for file, text in {
            "images": name,
            "image_class_labels": label + 1,
            "train_test_split": int(part == "train"),
            "bounding_boxes": " ".join(map(str, box)),
        }.items():
            self.lines.setdefault(file, []).append(f"{number} {text}")
        self.write()
        return path

    def write(self):
        self.lines["classes"] = ["1 001.Auk", "2 002.Bee_eater"]
        for file, lines in self.lines.items():
            (self.home / f"{file}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.monkeypatch.setattr(cub, "PUBLISHED", self.published)


@pytest.fixture
def birds(tmp_path, monkeypatch) -> Birds:
    """Eight sound images: two of each class in each part."""
    tree = Birds(tmp_path / "downloads", monkeypatch)
    for part in ("train", "test"):
        for label, name in enumerate(("001.Auk", "002.Bee_eater")):
            for number in range(2):
                tree.add(f"{name}/{part}_{number}.jpg", part, label)
    return tree


@dataclass
class Run:
    """What a command left: its exit code, what it wrote, and its folder."""

    code: int
    out: str
    err: str
    folder: Path

    def rows(self, name: str = "problems.csv") -> list[list[str]]:
        """The lines of a list, without the names of its columns."""
        import csv

        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))[1:]

    def kinds(self) -> dict[str, str]:
        """Image -> kind of its problem."""
        return {row[1]: row[2] for row in self.rows()}


@pytest.fixture
def prepare(tmp_path, capsys) -> Callable[..., Run]:
    """Run ``wsoltool prepare`` in this process."""

    def run(reader, root, *options, folder="prepared") -> Run:
        capsys.readouterr()
        folder = tmp_path / folder
        arguments = ["prepare", reader, root, folder, *options]
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return Run(code, *capsys.readouterr(), folder)

    return run


@pytest.fixture
def looked_into(monkeypatch) -> list[str]:
    """Names of the files that were looked into, not remembered."""
    from wsoltool.preparation.inspection import Inspector

    names: list[str] = []
    inspect = Inspector.inspect

    def counted(self, role, name, size):
        names.append(name)
        return inspect(self, role, name, size)

    monkeypatch.setattr(Inspector, "inspect", counted)
    return names


class Site:
    """What a web server offers, and what it was asked.

    Attributes:
        files: Path -> content.
        ranges: Whether parts of files can be asked for.
        tag: The ETag of all files; None: none is sent.
        cuts: After how many bytes each of the next connections ends, though more was announced.
        statuses: Answered instead of a file, one a request.
        asked: The Range of each request, None where all was asked for.
        sent: Bytes of content that went out.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.tag: str | None = '"1"'
        self.cuts: list[int] = []
        self.statuses: list[int] = []
        self.asked: list[str | None] = []
        self.sent = 0
        self.url = ""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serve on a free port while the block runs; ``site.url`` is its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self, site)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(handler: BaseHTTPRequestHandler, site: Site) -> None:
    asked = handler.headers.get("Range")
    site.asked.append(asked)
    if site.statuses:
        empty(handler, site.statuses.pop(0))
        return
    content = site.files.get(handler.path.partition("?")[0])
    if content is None:
        empty(handler, 404)
        return
    condition = handler.headers.get("If-Range")
    begin = 0
    if asked and site.ranges and condition in (None, site.tag):
        begin = int(asked.removeprefix("bytes=").rstrip("-"))
        if begin >= len(content):
            empty(handler, 416, {"Content-Range": f"bytes */{len(content)}"})
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    else:
        handler.send_response(200)
    body = content[begin:]
    handler.send_header("Content-Length", str(len(body)))
    if site.tag:
        handler.send_header("ETag", site.tag)
    handler.end_headers()
    if site.cuts:
        body = body[: site.cuts.pop(0)]
    site.sent += len(body)
    handler.wfile.write(body)


def empty(handler: BaseHTTPRequestHandler, status: int, headers=()) -> None:
    handler.send_response(status)
    for name, value in dict(headers).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.fixture
def web_site():
    """A running web server; see :class:`Site`."""
    with serving(Site()) as site:
        yield site


@pytest.fixture
def snapshot() -> Callable[[Path], dict]:
    """Names, contents and times of all that lies below a folder: whether anything was touched."""

    def look(root):
        return {
            path: (path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
            for path in root.rglob("*")
        }

    return look

"""Train a localizer: ``python tools/train.py CONFIG``; the same as ``wsoltool train``."""

import sys

from wsoltool.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))

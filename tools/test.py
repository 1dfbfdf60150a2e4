"""Score a checkpoint: ``python tools/test.py CONFIG CHECKPOINT``; the same as ``wsoltool test``."""

import sys

from wsoltool.cli import main

if __name__ == "__main__":
    sys.exit(main(["test", *sys.argv[1:]]))

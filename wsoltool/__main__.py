"""``python -m wsoltool``."""

import sys

from wsoltool.cli import main

sys.exit(main())

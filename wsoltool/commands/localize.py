"""``wsoltool localize CONFIG CHECKPOINT IMAGES... --out DIR``."""

from __future__ import annotations

import argparse
import sys


def run(arguments: argparse.Namespace) -> int:
    from wsoltool.commands.options import config_of
    from wsoltool.engine.localization import PhotoLocalizer, localize

    localizer = PhotoLocalizer(
        config_of(arguments),
        arguments.checkpoint,
        arguments.top,
        arguments.classes,
        arguments.min_score,
    )
    outcome = localize(localizer, arguments.images, arguments.out, not arguments.no_overlays)
    count = sum(len(p["boxes"]) for r in outcome.records for p in r["predictions"])
    print(f"{count} boxes in {len(outcome.records)} images: {arguments.out / 'boxes.json'}")
    if arguments.min_score is not None:
        bare = sum(not record["predictions"] for record in outcome.records)
        print(f"{bare} images without a class of probability {arguments.min_score:g} or more")
    for failure in outcome.failed:
        print(f"skipped: {failure['error']}", file=sys.stderr)
    return 1 if outcome.failed else 0

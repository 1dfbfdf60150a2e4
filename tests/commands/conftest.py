"""The command as a function, and one trained checkpoint for all tests of a file."""

import pytest

from wsoltool.cli import main

CONFIG = "cam/cam_small_creatures.py"


class Outcome:
    """What a command left: its exit code, and what it wrote."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@pytest.fixture
def wsoltool(capsys):
    """Run a command in this process."""

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(wsoltool):
    """Run a command that must fail with one clean message, which is answered."""

    def run(*arguments):
        outcome = wsoltool(*arguments)
        assert outcome.code == 1, outcome
        assert outcome.err.startswith("error: "), outcome
        assert "Traceback" not in outcome.err + outcome.out
        return outcome.err

    return run


@pytest.fixture(scope="module")
def trained(tiny_options, tmp_path_factory):
    """The work directory of a tiny run of the demo's config."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(["train", CONFIG, "--work-dir", str(folder), *tiny_options]) == 0
    return folder

"""Parsing, exit codes, and where messages go."""

import subprocess
import sys

import pytest

from wsoltool import __version__
from wsoltool.cli import COMMANDS, main
from wsoltool.commands import plugins
from wsoltool.errors import DataError


def process(*arguments, **settings):
    command = [sys.executable, "-m", "wsoltool", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **settings)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(wsoltool, command):
    outcome = wsoltool(command, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"usage: wsoltool {command} ")
    assert "--debug" in outcome.out
    assert outcome.err == ""


def test_help_names_every_command_and_the_version_is_told(wsoltool):
    text = wsoltool("--help").out
    assert all(f"    {name}" in text and summary in text for name, summary in COMMANDS.items())
    assert wsoltool("--version").out == f"wsoltool {__version__}\n"


def test_parsing_imports_neither_torch_nor_mmengine():
    code = "import sys; from wsoltool.cli import build_parser; build_parser()"
    code += "; print({'torch', 'mmengine', 'numpy'} & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("trian", "c.py"),
        ("train",),
        ("train", "c.py", "--recume"),
        ("train", "c.py", "--seed", "x"),
        ("localize", "c.py", "k.pth", "a.jpg"),
        ("localize", "c.py", "k.pth", "--out", "o"),
        ("localize", "c.py", "k.pth", "a.jpg", "--out", "o", "--top", "many"),
        ("new-plugin",),
        ("test", "c.py", "k.pth", "--gallery-size", "-1"),
    ],
)
def test_wrong_usage_exits_with_2(wsoltool, arguments):
    outcome = wsoltool(*arguments)
    assert outcome.code == 2
    assert outcome.err.startswith("usage: ")
    assert outcome.out == ""


def test_expected_errors_go_to_stderr_alone(refused, capsys):
    message = refused("check", "cam/cam_smal_creatures.py")
    assert "not found" in message
    assert "did you mean 'cam/cam_small_creatures.py'?" in message
    assert capsys.readouterr().out == ""


def test_debug_lets_expected_errors_through(monkeypatch):
    monkeypatch.setattr(plugins, "run", failing(DataError("what", hint="do")))
    with pytest.raises(DataError, match="what"):
        main(["plugins", "--debug"])


def test_other_errors_propagate_with_and_without_debug(monkeypatch):
    monkeypatch.setattr(plugins, "run", failing(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        main(["plugins"])


def test_an_interruption_exits_with_130(wsoltool, monkeypatch):
    monkeypatch.setattr(plugins, "run", failing(KeyboardInterrupt()))
    outcome = wsoltool("plugins")
    assert (outcome.code, outcome.err) == (130, "stopped\n")


def test_an_interrupted_training_says_how_to_go_on(wsoltool, monkeypatch):
    from wsoltool.engine import training

    def stop(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train", stop)
    told = wsoltool("train", "cam/cam_small_creatures.py").err
    assert told == "stopped\n--resume goes on after the last saved epoch\n"


def failing(error):
    def run(arguments):
        raise error

    return run


def test_the_process_exits_with_the_same_codes(tmp_path):
    assert process("plugins").returncode == 0
    wrong = process("check", "nothing.py")
    assert wrong.returncode == 1
    assert wrong.stdout == ""
    assert wrong.stderr.startswith("error: config 'nothing.py' not found\n")
    assert "Traceback" not in wrong.stderr
    assert "Traceback" in process("check", "nothing.py", "--debug").stderr
    assert process("nothing").returncode == 2


def test_a_reader_that_stops_reading_is_no_error():
    command = [sys.executable, "-u", "-m", "wsoltool", "plugins", "core"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0

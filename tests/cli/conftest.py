"""The command line, called in this process as its user calls it."""

import sys

import pytest


@pytest.fixture
def command(monkeypatch, capfd):
    """symbn(*arguments) -> (exit code, stdout, stderr)."""
    from symbn.cli import main

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["symbn", *map(str, arguments)])
        try:
            main.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        out, err = capfd.readouterr()
        return code, out, err

    return call

"""The command line in this process."""

import sys
from pathlib import Path

import pytest

from snlad.cli import app


@pytest.fixture
def snlad(monkeypatch, capsys):
    """Run the command in this process: (exit code, stdout, stderr)."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["snlad", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            app.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run

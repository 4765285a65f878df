"""The budgets script counts what it says it counts."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "budgets.py"

MODULE = '''\
"""Two lines of
docstring."""

# a comment is no code
WORDS = """
text that is code
"""


def short(x):
    """One line."""
    return x  # code with a comment


class Thing:
    """A class."""

    async def longer(self):
        a = (
            1
        )

        return a
'''


def project(root: Path, source: str = MODULE, tests: str = "x = 1\n" * 30) -> Path:
    (root / "src" / "pkg" / "losses").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "src" / "pkg" / "module.py").write_text(source, encoding="utf-8")
    (root / "tests" / "test_module.py").write_text(tests, encoding="utf-8")
    return root


def budgets(root: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, SCRIPT, root], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def body(lines: int) -> str:
    return "def f():\n" + "    x = 1\n" * lines


def test_code_is_counted_without_blanks_comments_and_docstrings(tmp_path: Path) -> None:
    # WORDS 3, def and return 2, class 1, async def 1, a 3, return 1
    code, printed = budgets(project(tmp_path))
    assert code == 0
    assert "code lines        11 in 1 modules" in printed
    assert "docstrings        0.36" in printed  # 4 of 11
    assert "test lines        2.73" in printed  # 30 of 11
    assert "median 2.5" in printed  # bodies of 1 and 4 lines


def test_too_few_tests_break_a_budget(tmp_path: Path) -> None:
    code, printed = budgets(project(tmp_path, tests="x = 1\n" * 16))
    assert code == 1
    assert "BROKEN            tests 1.45 x code < 1.5" in printed


def test_a_long_median_body_breaks_a_budget(tmp_path: Path) -> None:
    assert budgets(project(tmp_path / "ok", body(10)))[0] == 0
    code, printed = budgets(project(tmp_path / "long", body(11)))
    assert code == 1
    assert "BROKEN            median function body 11 > 10" in printed


def test_a_long_tail_of_bodies_breaks_a_budget(tmp_path: Path) -> None:
    source = body(1) * 8 + body(31) * 3
    code, printed = budgets(project(tmp_path, source, "x = 1\n" * 200))
    assert code == 1
    assert "BROKEN            90th percentile of bodies 31 > 30" in printed


def test_a_long_module_breaks_a_budget_and_is_named(tmp_path: Path) -> None:
    root = project(tmp_path, '"""Long."""\n' + "# line\n" * 250 + body(1))
    code, printed = budgets(root)
    assert code == 1
    assert f"BROKEN            {root / 'src' / 'pkg' / 'module.py'} has 253 lines > 250" in printed


def test_a_long_equation_file_is_shown_but_breaks_nothing(tmp_path: Path) -> None:
    root = project(tmp_path)
    (root / "src" / "pkg" / "losses" / "long.py").write_text("# line\n" * 71, encoding="utf-8")
    code, printed = budgets(root)
    assert code == 0
    assert "long equation     long.py 71" in printed


def test_the_files_people_and_ci_call_are_there_and_executable() -> None:
    for name in ("install", "check", "test", "demo"):
        assert (ROOT / "scripts" / name).stat().st_mode & 0o111
        assert f"scripts/{name}" in (ROOT / "CONTRIBUTING.md").read_text() or name == "install"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert "scripts/test" in (ROOT / ".ci" / "run").read_text()


def test_ci_pins_exact_versions_of_every_tool() -> None:
    pins = (ROOT / "requirements" / "ci.txt").read_text().splitlines()
    pinned = {line.split("==")[0].lower() for line in pins if line and line[0] != "#"}
    assert all("==" in line for line in pins if line and line[0] != "#")
    tools = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    assert {line for line in tools if line and line[0] != "#"} <= pinned

#!/usr/bin/env python3
"""Measure the budgets of the house; exit 1 where a hard one is broken.

Code lines are lines that hold code: no blank lines, comments or docstrings. Usage: budgets [ROOT]
"""

import ast
import io
import statistics
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

MAX_BODY_MEDIAN = 10
MAX_BODY_P90 = 30
MAX_MODULE_LINES = 250
MAX_EQUATION_LINES = 70  # files of losses/ and maps/, a budget that is shown only
MIN_TEST_RATIO = 1.5
DOCSTRING_SHARE = (0.25, 0.6)  # shown only
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
NOT_CODE = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}


@dataclass(frozen=True)
class Module:
    """What was counted in one file; all numbers are lines."""

    path: Path
    lines: int
    code: int
    docstrings: int
    bodies: list[int]


def measure(path: Path) -> Module:
    """Count one file."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            docstrings |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    code = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NOT_CODE:
            code |= set(range(token.start[0], token.end[0] + 1))
    code -= docstrings
    bodies = [
        len(code & set(range(node.body[0].lineno, node.end_lineno + 1)))
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS)
    ]
    return Module(path, len(source.splitlines()), len(code), len(docstrings), bodies)


def report(root: Path) -> list[str]:
    """Print the measurements and return the hard budgets that are broken."""
    source = [measure(path) for path in sorted((root / "src").rglob("*.py"))]
    tests = [measure(path) for path in sorted((root / "tests").rglob("*.py"))]
    bodies = sorted(body for module in source for body in module.bodies)
    median, p90 = statistics.median(bodies), bodies[int(0.9 * (len(bodies) - 1))]
    code = sum(module.code for module in source)
    documented = sum(module.docstrings for module in source) / code
    ratio = sum(module.code for module in tests) / code
    longest = sorted(source, key=lambda module: -module.lines)

    low, high = DOCSTRING_SHARE
    print(
        f"function bodies   median {median:g} (<= {MAX_BODY_MEDIAN}), p90 {p90} (<= {MAX_BODY_P90})"
    )
    print(f"code lines        {code} in {len(source)} modules")
    print("longest modules   " + ", ".join(f"{m.path.name} {m.lines}" for m in longest[:5]))
    print(f"docstrings        {documented:.2f} of the code ({low} to {high})")
    print(f"test lines        {ratio:.2f} x code (>= {MIN_TEST_RATIO})")
    for module in source:
        if module.path.parent.name in ("losses", "maps") and module.lines > MAX_EQUATION_LINES:
            print(f"long equation     {module.path.name} {module.lines} (<= {MAX_EQUATION_LINES})")
    return [
        *([f"median function body {median:g} > {MAX_BODY_MEDIAN}"] * (median > MAX_BODY_MEDIAN)),
        *([f"90th percentile of bodies {p90} > {MAX_BODY_P90}"] * (p90 > MAX_BODY_P90)),
        *([f"tests {ratio:.2f} x code < {MIN_TEST_RATIO}"] * (ratio < MIN_TEST_RATIO)),
        *(
            f"{module.path} has {module.lines} lines > {MAX_MODULE_LINES}"
            for module in longest
            if module.lines > MAX_MODULE_LINES
        ),
    ]


def main() -> int:
    """Measure the given project, or the one this script lies in."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    broken = report(root)
    for budget in broken:
        print(f"BROKEN            {budget}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

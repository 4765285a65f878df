"""docs/paper.md and docs/deviations.md say what is true of the code."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import snlad.losses
import snlad.maps
from snlad.config import digest, make_config
from snlad.maps.overall import image_score
from snlad.models import cram

ROOT = Path(__file__).parents[1]
PAPER = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
DEVIATIONS, _, DECIDED = (
    (ROOT / "docs" / "deviations.md")
    .read_text(encoding="utf-8")
    .partition("## Decided by measurement\n")
)

FUNCTIONS = sorted(set(re.findall(r"`(snlad\.[\w.]+)`", PAPER)))
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAPER)))
FIXED = re.findall(r"\| no key: fixed in code, `(snlad\.[\w.]+)` \| ([^|]+) \|", DEVIATIONS)
READINGS = re.findall(r"\| `([a-z]+\.[a-z_]+)` \| `([^`]+)` \|", DEVIATIONS)


def rows(text: str) -> list[list[str]]:
    """Cells of every table row but heads and rules."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] not in ("quantity", "---") and "question" not in row[0]]


def equation_modules() -> list[ModuleType]:
    packages = [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for package in (snlad.losses, snlad.maps)
        for module in pkgutil.iter_modules(package.__path__)
    ]
    return [*packages, *map(importlib.import_module, ("snlad.affinity", "snlad.models.cram"))]


@pytest.mark.parametrize("name", [*FUNCTIONS, *(name for name, _ in FIXED)])
def test_every_function_of_the_tables_imports(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize("test", TESTS)
def test_every_test_of_the_table_exists(test: str) -> None:
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_names_one_function_one_test_a_status_and_a_source() -> None:
    assert len(rows(PAPER)) >= 25
    for row in rows(PAPER):
        quantity, _, function, test, status, source = row
        assert function.strip("`") in FUNCTIONS, quantity
        assert test.strip("`") in TESTS, quantity
        assert re.search(r"\b(stated|ours)\b", status), quantity
        assert source, quantity


def test_no_public_equation_is_missing_from_the_table() -> None:
    for module in equation_modules():
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                assert f"{module.__name__}.{name}" in FUNCTIONS


@pytest.mark.parametrize(("key", "in_force"), READINGS)
def test_every_reading_is_a_config_key_with_the_default_that_is_written(
    key: str, in_force: str
) -> None:
    section, name = key.split(".")
    assert str(getattr(getattr(make_config("rd-snl"), section), name)) == in_force


def test_every_reading_of_the_config_is_an_open_question() -> None:
    config = make_config("rd-snl").model_dump()
    listed = {key for key, _ in READINGS}
    for section in ("student", "cram", "loss", "maps"):
        for name in config[section]:
            assert f"{section}.{name}" in listed


def test_every_question_has_a_key_or_names_the_function_that_fixes_it() -> None:
    for question, choices, key, in_force in rows(DEVIATIONS):
        assert question.endswith(("?", ")")), question
        assert choices, question
        is_reading = (key.strip("`"), in_force.strip("`")) in READINGS
        assert is_reading != (key.startswith("no key: fixed in code, `snlad.")), question
    assert len(rows(DEVIATIONS)) == len(READINGS) + len(FIXED)
    assert len(FIXED) >= 8


def test_every_decision_names_what_was_tried_what_was_chosen_and_its_numbers() -> None:
    assert len(rows(DECIDED)) >= 4
    for question, tried, chosen, why in rows(DECIDED):
        assert question.endswith("?"), question
        assert len(tried.split(";")) > 1, question
        assert chosen.split(",")[0] in (choice.strip() for choice in tried.split(";")), question
        assert len(re.findall(r"\b0\.\d{3}\b", why)) >= 2, question
    assert "`study-1`" in DECIDED


def test_the_fixed_numbers_are_those_of_the_code() -> None:
    in_force = dict(FIXED)
    entropy = in_force["snlad.models.cram.initialise_centers"]
    assert f"{cram.START_ENTROPY} log K" in entropy
    share = inspect.signature(image_score).parameters["share"].default
    assert f"highest {share:.0%}".replace("%", " %") in in_force["snlad.maps.overall.image_score"]


# The words of the page, and each section of the configuration tried.
@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("teacher", {"name": "resnet18"}),
        ("teacher", {"weights": "random"}),
        ("train", {"learning_rate": 0.5}),
        ("train", {"batch_size": 3}),
        ("student", {"dropout": 0.5}),
        ("cram", {"centers": 7}),
        ("loss", {"intra": 0.7}),
        ("loss", {"easy_share": 0.2}),
        ("maps", {"sigma_px": 7.0}),
    ],
)
def test_the_digest_of_the_readings_covers_the_sections_that_the_page_names(
    section: str, change: dict[str, object]
) -> None:
    sentence = re.search(r"digest covers every key of (.*), and nothing else", DEVIATIONS)
    assert sentence
    covered = re.findall(r"`(\w+)`", sentence[1])
    assert covered == ["student", "cram", "loss", "maps"]
    before, after = make_config("rd-snl"), make_config("rd-snl", **{section: change})
    assert (before.readings_digest != after.readings_digest) == (section in covered)
    whole = [digest(config.model_dump(mode="json")) for config in (before, after)]
    assert whole[0] != whole[1]

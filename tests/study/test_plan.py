"""The plan of a study: every combination once, checked before anything runs."""

from collections import Counter
from math import prod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.config import digest, make_config, parse_config
from snlad.errors import ConfigError, UsageError
from snlad.study.plan import make_study, read_study
from snlad.study.planned import choose_runs

TRIALS = [{"name": "rd", "method": "rd"}, {"name": "snl", "seeds": [7, 8, 9]}]


def study(**changes):
    return make_study({"title": "t", "trials": TRIALS, **changes})


def titles(plan):
    return [(run.trial, run.config.seed) for run in plan.runs()]


def test_the_first_seed_of_all_trials_comes_before_the_second():
    assert titles(study(seeds=[0, 1])) == [("rd", 0), ("snl", 7), ("rd", 1), ("snl", 8), ("snl", 9)]


def test_a_grid_lies_on_top_of_every_trial():
    plan = study(
        trials=[TRIALS[0], {"name": "wide", "settings": {"cram": {"centers": 8}}}],
        settings={"train": {"batch_size": 4}},
        grid={"train.steps": [10, 20], "loss.intra": [0.5], "pictures": [3, 5]},
    )
    runs = {run.trial: run for run in plan.runs()}
    assert list(runs) == [
        f"{name} train.steps={steps} loss.intra=0.5 pictures={pictures}"
        for name in ("rd", "wide")
        for steps in (10, 20)
        for pictures in (3, 5)
    ]
    run = runs["wide train.steps=20 loss.intra=0.5 pictures=3"]
    assert (run.base, run.variant) == ("wide", "train.steps=20 loss.intra=0.5 pictures=3")
    config = run.config
    assert (config.train.steps, config.train.batch_size, config.cram.centers) == (20, 4, 8)
    assert (config.loss.intra, run.pictures, config.loss.spatial) == (0.5, 3, 1.0)


@given(
    st.dictionaries(
        st.sampled_from(["train.batch_size", "cram.centers", "pictures", "student.dropout"]),
        st.integers(1, 3),
        max_size=4,
    ),
    st.integers(1, 3),
    st.integers(1, 3),
)
@settings(deadline=None, derandomize=True, max_examples=25)
def test_a_grid_gives_each_combination_once(lengths, n_trials, n_seeds):
    values = {"student.dropout": [0.0, 0.1, 0.2]}
    grid = {key: values.get(key, [2, 4, 8])[:n] for key, n in lengths.items()}
    trials = [{"name": f"t{i}", "settings": {"loss": {"inter": i}}} for i in range(n_trials)]
    runs = study(trials=trials, grid=grid, seeds=range(n_seeds)).runs()
    assert len(runs) == n_trials * n_seeds * prod(lengths.values())
    assert len({run.recipe for run in runs}) == len(runs)
    assert set(Counter(run.trial for run in runs).values()) == {n_seeds}


def test_a_grid_may_be_written_as_tables_or_with_dots():
    nested, dotted = {"train": {"steps": [1, 2]}}, {"train.steps": [1, 2]}
    assert study(grid=nested).runs() == study(grid=dotted).runs()


def test_a_grid_may_hold_methods_models_classes_and_data():
    grid = {
        "method": ["rd", "fd"],
        "models": ["one", "per-class"],
        "classes": [["a"], ["a", "b"]],
        "data": ["x"],
    }
    runs = study(trials=[{"name": "t"}], grid=grid, folder=Path("f")).runs()
    assert len(runs) == 8
    last = runs[-1]
    assert last.trial == "t method=fd models=per-class classes=a,b data=x"
    assert (last.config.method, last.models, last.classes) == ("fd", "per-class", ("a", "b"))
    assert last.data == Path("f/x")


def test_all_pictures_train_unless_the_settings_say_otherwise():
    first, second = study(
        trials=[{"name": "all"}, {"name": "some", "settings": {"calibration": {"share": 0.1}}}]
    ).runs()
    assert (first.config.calibration.share, first.config.probes.count) == (0.0, 0)
    assert second.config.calibration.share == 0.1


def test_a_trial_overrides_the_study_and_epochs_replace_steps():
    plan = study(
        settings={"train": {"steps": 5}, "image_size": [64, 64]},
        trials=[{"name": "a", "settings": {"train": {"epochs": 3}}, "classes": ["x"]}],
        classes=["x", "y"],
        pictures=4,
    )
    (run,) = plan.runs()
    assert (run.config.train.steps, run.config.train.epochs) == (None, 3)
    assert (run.config.image_size, run.classes, run.pictures) == ((64, 64), ("x",), 4)


def test_without_anything_else_a_trial_is_its_method(tmp_path):
    (run,) = study(trials=[{"name": "a", "method": "fd"}]).runs()
    bare = make_config("fd", calibration={"share": 0.0}, probes={"count": 0})
    assert run.config == bare


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"trials": []}, "trials"),
        ({"trials": [{"name": "a"}, {"name": "a"}]}, "comes twice"),
        ({"seeds": [1, 1]}, "comes twice"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seeds.0 (value -1)"),
        ({"trials": [{"name": "a\nb"}]}, "trials.0.name"),
        ({"trials": [{"name": ""}]}, "trials.0.name"),
        ({"trials": [{"name": "a", "method": "sn"}]}, "'sn'; choose one of fd, rd, fd-snl, rd-snl"),
        ({"trials": [{"name": "a", "own": ["teacher"]}]}, "own"),
        ({"trials": [{"name": "a", "settings": {"train": {"step": 1}}}]}, "trial 'a': config"),
        ({"settings": {"seed": 3}}, "settings hold 'seed'"),
        ({"settings": {"method": "rd"}}, "settings hold 'method'"),
        ({"grid": {"train.steps": 5}}, "grid"),
        ({"grid": {"train.steps": []}}, "grid"),
        ({"grid": {"train.steps": [1, 1]}}, "comes twice"),
        ({"grid": {"nothing": [1]}}, "trial 'rd nothing=1': configuration, nothing"),
        ({"grid": {"pictures": [0]}}, "pictures (value 0)"),
        ({"grid": {"seeds": [[1]]}}, "seeds"),
        ({"baseline": "fd"}, "baseline is 'fd'; it must be one of rd, snl"),
        ({"pictures": 0}, "pictures (value 0)"),
        ({"models": "two"}, "models (value 'two')"),
        ({"probes": -1}, "probes"),
        ({"classes": []}, "classes"),
        ({"trails": []}, "trails"),
        ({"traits": {"a": "texture"}}, "traits.a"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(changes, part):
    with pytest.raises(ConfigError) as refused:
        study(**changes)
    assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_baseline_may_be_named_before_or_after_the_grid():
    grid = {"train.steps": [1, 2]}
    for name in ("rd", "rd train.steps=2"):
        assert study(grid=grid, baseline=name).baseline == name


def test_a_file_is_read_with_its_paths_relative_to_it(tmp_path):
    path = tmp_path / "plans" / "methods.toml"
    path.parent.mkdir()
    path.write_text('data = "../d"\n[[trials]]\nname = "rd"\n[[trials]]\nname = "x"\ndata = "/e"\n')
    plan = read_study(path)
    assert plan.title == "methods"
    assert [run.data for run in plan.runs()] == [path.parent / "../d", Path("/e")]
    elsewhere = plan.on(Path("here")).runs()
    assert [run.data for run in elsewhere] == [Path("here").absolute(), Path("/e")]
    assert plan.on(None) is plan


@pytest.mark.parametrize("text", [None, b"trials = [", b"\xff", b"trials = 3"])
def test_a_file_that_is_no_plan_is_refused(text, tmp_path):
    path = tmp_path / "s.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(ConfigError):
        read_study(path)


def test_the_studies_of_the_repository_are_sound():
    folder = Path(__file__).parents[2] / "configs" / "studies"
    plans = [read_study(path) for path in sorted(folder.glob("*.toml"))]
    assert plans
    assert all(plan.runs() for plan in plans)


def test_some_runs_are_chosen_by_trial_and_seed():
    runs = study(grid={"train.steps": [1, 2]}, seeds=[0, 1]).runs()
    assert {run.base for run in choose_runs(runs, ["rd"])} == {"rd"}
    (run,) = choose_runs(runs, ["snl train.steps=2"], [8])
    assert (run.trial, run.config.seed) == ("snl train.steps=2", 8)
    assert choose_runs(runs) == runs
    with pytest.raises(UsageError, match=r"'x' is no trial of the study; it has rd train.steps=1"):
        choose_runs(runs, ["x"])
    with pytest.raises(UsageError, match=r"3 is no seed of the study; it has \[0, 1, 7, 8, 9\]"):
        choose_runs(runs, [], [3])


def run(**changes):
    return study(trials=[{"name": "a", **changes}]).runs()[0]


def test_a_recipe_knows_nothing_of_names_folders_and_unused_sections():
    plain = run().recipe
    assert run(name="b").recipe == plain
    assert run(data="elsewhere").recipe == plain
    assert (
        run(settings={"probes": {"count": 5}, "calibration": {"target_fpr": 0.1}}).recipe == plain
    )
    aside = [run(settings={"calibration": {"share": 0.1, "target_fpr": f}}) for f in (0.1, 0.2)]
    assert len({plain, *(one.recipe for one in aside)}) == 3
    assert run(classes=["x", "y"]).recipe == run(classes=["y", "x"]).recipe


def test_own_parts_belong_to_their_trial():
    one, other = run(own=["loss", "maps"]), run(own=["maps", "loss"])
    assert one.recipe == other.recipe
    assert run(own=["loss"]).recipe != one.recipe
    assert run(own=["maps", "loss"], name="b").recipe != one.recipe


def leaves(content, path=()):
    for key, value in content.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


OTHER = {
    ("method",): "fd",
    ("seed",): 3,
    ("teacher", "levels"): [1, 2],
    ("teacher", "weights"): "random",
    ("student", "distillation"): "forward",
    ("student", "bottleneck_channels"): 9,
    ("student", "blocks"): 3,
    ("cram", "reading"): "residual",
    ("cram", "initialisation"): "random",
    ("cram", "placement"): "levels",
    ("loss", "easy_share"): 0.3,
    ("tiles", "size"): 512,
    ("maps", "levels"): "product",
    ("maps", "centers_for"): "class",
    ("maps", "combine"): "scaled-sum",
    ("maps", "score"): "max",
    ("train", "steps"): 7,
    ("train", "precision"): "float32",
    ("train", "memory_format"): "contiguous",
    ("train", "betas"): [0.8, 0.9],
    ("image_size",): [64, 96],
}


def test_any_other_setting_is_another_recipe():
    base = run(method="rd")
    content = base.config.model_dump(mode="json")
    seen = {base.recipe}
    names = [path for path, _ in leaves(content) if path[0] not in ("calibration", "probes")]
    for path in names:
        changed = base.config.model_dump(mode="json")
        parent = changed
        for part in path[:-1]:
            parent = parent[part]
        old = parent[path[-1]]
        if path == ("train", "epochs"):
            changed["train"] |= {"steps": None, "epochs": 4}
        elif path == ("maps", "center_distance"):
            changed["maps"] |= {"centers": 2, "center_distance": True}
        elif path == ("maps", "feature"):
            changed["maps"] |= {"feature": False, "affinity": True}
        elif path == ("tiles", "overlap"):
            changed["tiles"] |= {"size": 512, "overlap": 0}
        elif path in OTHER:
            parent[path[-1]] = OTHER[path]
        elif isinstance(old, bool):
            parent[path[-1]] = not old
        elif isinstance(old, str):
            parent[path[-1]] = old + "x"
        else:
            parent[path[-1]] = old / 2 + 0.25 if isinstance(old, float) else old + 1
        other = type(base)(**{**vars(base), "config": parse_config(changed)})
        seen.add(other.recipe)
    assert len(seen) == len(names) + 1 > 35
    for changes in (
        {"classes": ["x"]},
        {"pictures": 2},
        {"models": "per-class"},
        {"own": ["loss"]},
    ):
        seen.add(run(**changes).recipe)
    seen.add(study(trials=[{"name": "a"}], probes=3).runs()[0].recipe)
    assert len(seen) == len(names) + 6


def test_a_key_names_choices_that_differ_from_these_defaults():
    """A later key leaves old rows known; a changed default would give them another meaning.

    Whoever changes one must remove the rows that rest on it, and then pin the new value here.
    """
    base = run(method="rd").config
    assert base.choices(without={"calibration", "probes"}) == {
        "method": "rd",
        "student": {},
        "loss": {"flattened": 1.0},
    }
    defaults = base.model_dump(mode="json", exclude={"calibration", "probes"})
    assert digest(defaults)[:12] == "95585281363e"

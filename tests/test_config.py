"""Configuration: method defaults, overrides, refusals and digests."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snlad.config import digest, make_config, merge_settings, parse_config, read_config
from snlad.data.tiles import Tiling
from snlad.errors import ConfigError
from snlad.sections import DEFAULT_STEPS


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("method", "distillation"),
    [("fd", "forward"), ("rd", "reverse"), ("fd-snl", "forward"), ("rd-snl", "reverse")],
)
def test_each_method_has_its_student(method, distillation):
    config = make_config(method)
    assert config.method == method
    assert config.student.distillation == distillation


@pytest.mark.parametrize("method", ["fd", "rd"])
def test_baselines_use_no_part_of_snl(method):
    config = make_config(method)
    assert config.loss.spatial == config.loss.intra == config.loss.inter == 0
    assert config.cram.reading == "none"
    assert not config.maps.affinity
    assert "SNL" not in config.method_label


@pytest.mark.parametrize(("plain", "snl"), [("fd", "fd-snl"), ("rd", "rd-snl")])
def test_a_method_and_its_baseline_share_everything_but_snl_itself(plain, snl):
    def shared(method: str) -> dict[str, object]:
        found = make_config(method).model_dump()
        found["student"].pop("blocks")  # plain reverse distillation needs more: ADR 6
        return {key: found[key] for key in ("teacher", "student", "train", "image_size", "seed")}

    assert shared(plain) == shared(snl)
    assert make_config(plain).student.blocks is None


def test_snl_names_itself_as_our_reading_with_its_digest():
    config = make_config("rd-snl")
    assert config.method_label == f"SNL, snlad's reading {config.readings_digest} (rd-snl)"


def test_the_readings_digest_follows_readings_and_ignores_the_rest():
    base = make_config("rd-snl")
    assert make_config("rd-snl", seed=7, train={"steps": 3}).readings_digest == base.readings_digest
    other = make_config("rd-snl", cram={"reading": "residual"})
    assert other.readings_digest != base.readings_digest


def test_every_part_of_the_method_is_a_config_change():
    config = make_config("rd-snl", loss={"intra": 0.0}, cram={"reading": "none"})
    assert config.loss.intra == 0
    assert config.loss.channel == make_config("rd-snl").loss.channel
    assert config.cram.reading == "none"


def test_a_file_overrides_the_method_and_arguments_override_the_file(tmp_path):
    file = write(tmp_path / "c.toml", 'method = "fd"\nseed = 3\n[train]\nbatch_size = 4\n')
    config = read_config(file)
    assert (config.method, config.seed, config.train.batch_size) == ("fd", 3, 4)
    assert read_config(file, "fd", 5).seed == 5


def test_a_method_that_contradicts_the_file_is_refused(tmp_path):
    file = write(tmp_path / "c.toml", 'method = "fd"\n')
    with pytest.raises(ConfigError, match="--method rd contradicts method 'fd'"):
        read_config(file, "rd")


def test_a_method_fills_what_a_file_without_a_method_leaves_open(tmp_path):
    file = write(tmp_path / "c.toml", "[train]\nbatch_size = 4\n")
    assert read_config(file, "fd") == make_config("fd", train={"batch_size": 4})


@pytest.mark.parametrize(
    "part",
    [
        {"loss": {"spatial": 0.1}},
        {"loss": {"intra": 0.1}},
        {"loss": {"inter": 0.1}},
        {"cram": {"reading": "residual"}},
        {"maps": {"affinity": True}},
    ],
)
def test_a_baseline_with_any_part_of_snl_is_no_longer_called_plain(part):
    config = make_config("rd", **part)
    assert config.method_label == f"SNL, snlad's reading {config.readings_digest} (rd)"


def test_snl_without_any_of_its_parts_is_called_plain():
    config = make_config(
        "rd-snl",
        loss={"flattened": 1.0, "spatial": 0.0},
        maps={"centers": 0, "center_distance": False},
    )
    assert config.method_label == "plain reverse distillation (rd-snl)"


@pytest.mark.parametrize(
    ("key", "value"), [("dropout", 0.1), ("bottleneck_channels", 64), ("blocks", 3)]
)
def test_settings_of_a_reverse_student_are_refused_for_a_forward_one(key, value):
    assert getattr(make_config("rd", student={key: value}).student, key) == value
    with pytest.raises(ConfigError, match=rf"student\.{key} acts in a reverse student"):
        make_config("fd", student={key: value})


def test_a_runs_own_config_json_can_be_read_again(tmp_path):
    config = make_config("fd-snl", seed=2, train={"epochs": 3})
    file = write(tmp_path / "config.json", config.model_dump_json())
    assert read_config(file) == config


def test_without_a_file_the_default_is_rd_snl():
    assert read_config(None) == make_config("rd-snl")


def test_a_run_has_default_steps_unless_epochs_are_given():
    assert make_config("rd", train={"batch_size": 8}).train.steps == DEFAULT_STEPS
    train = make_config("rd", train={"epochs": 2, "batch_size": 8}).train
    assert train.steps is None
    assert train.total_steps(33) == 8


def test_of_merged_settings_the_later_length_counts():
    short, long = {"train": {"steps": 5, "batch_size": 2}}, {"train": {"epochs": 6}}
    assert merge_settings(short, long) == {"train": {"epochs": 6, "batch_size": 2}}
    assert merge_settings(long, short) == {"train": {"steps": 5, "batch_size": 2}}
    both = {"train": {"steps": 5, "epochs": 6}}
    assert merge_settings(short, both) == {"train": {"steps": 5, "epochs": 6, "batch_size": 2}}


def test_epochs_of_fewer_pictures_than_a_batch_still_step():
    assert make_config("rd", train={"epochs": 2, "batch_size": 8}).train.total_steps(3) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense = 1\n", "nonsense"),
        ("[train]\nbatch_size = -1\n", "train.batch_size"),
        ('[train]\nbatch_size = "many"\n', "train.batch_size"),
        ("[train]\nsteps = 5\nepochs = 5\n", "keep one of them"),
        ("[student]\nclass_path = 'os.system'\n", "class_path"),
        ("_target_ = 'os.system'\n", "_target_"),
        ("[loss]\nchannel = nan\n", "loss.channel"),
        ("image_size = [8, 8]\n", "64 to 4096"),
        ("[loss]\nflattened = 0.0\nchannel = 0\nspatial = 0\nintra = 0\ninter = 0\n", "above 0"),
        ("seed = -1\n", "seed"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_the_key(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        read_config(write(tmp_path / "c.toml", text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000,
        "a: !!python/object:os.system [x]\n",
        "a: &a [b]\nb: *a\n",
        "[train\n",
        "\x00",
    ],
)
def test_what_is_not_toml_is_refused(tmp_path, text):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(write(tmp_path / "c.toml", text))


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", "{", "nan"])
def test_what_is_no_table_of_json_is_refused(tmp_path, text):
    with pytest.raises(ConfigError, match=r"c\.json"):
        read_config(write(tmp_path / "c.json", text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        read_config(tmp_path / "absent.toml")


def test_an_unknown_method_lists_the_known():
    with pytest.raises(ConfigError, match="fd, rd, fd-snl, rd-snl"):
        make_config("snl")


def test_a_config_never_changes():
    with pytest.raises(ValueError, match="frozen"):
        make_config("rd").seed = 1


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    method=st.sampled_from(["fd", "rd", "fd-snl", "rd-snl"]),
    seed=st.integers(0, 2**31 - 1),
    batch=st.integers(1, 512),
)
def test_dump_and_parse_give_the_same_config_and_digest(method, seed, batch):
    config = make_config(method, seed=seed, train={"batch_size": batch})
    again = parse_config(config.model_dump(mode="json"))
    assert again == config
    assert digest(again.model_dump(mode="json")) == digest(config.model_dump(mode="json"))


def test_the_digest_ignores_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})


def test_the_commented_config_shows_every_key_with_its_default():
    import tomllib

    path = Path(__file__).parents[1] / "configs" / "rd_snl.toml"
    assert read_config(path) == make_config("rd-snl")
    shown = tomllib.loads(path.read_text())
    dump = make_config("rd-snl").model_dump()
    left_to_the_teacher = {"teacher": {"levels"}, "student": {"bottleneck_channels"}}
    in_place_of_steps, whole_pictures = {"train": {"epochs"}}, {"tiles": {"size", "overlap"}}
    without_value = left_to_the_teacher | in_place_of_steps | whole_pictures
    sections = ("tiles", "teacher", "student", "cram", "loss", "maps", "train")
    for section in (*sections, "calibration", "probes"):
        assert shown[section].keys() | without_value.get(section, set()) == dump[section].keys()


def test_every_config_in_the_repository_is_valid():
    for path in (Path(__file__).parents[1] / "configs").glob("*.toml"):
        read_config(path)


def test_pictures_are_whole_unless_a_tile_is_given():
    assert make_config().tiling is None
    assert make_config(tiles={"size": 512}).tiling == Tiling(512, 128)
    assert make_config(tiles={"size": 512, "overlap": 0}).tiling == Tiling(512, 0)


def test_tiles_on_the_command_line_win_over_the_file(tmp_path):
    file = write(tmp_path / "c.toml", "[tiles]\nsize = 512\noverlap = 100\n")
    assert read_config(file).tiling == Tiling(512, 100)
    assert read_config(file, tile=400).tiling == Tiling(400, 100)
    assert read_config(file, overlap=0).tiling == Tiling(512, 0)
    assert read_config(None, tile=300, overlap=20).tiling == Tiling(300, 20)


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        ({"overlap": 8}, "overlap is 8 without tiles; give their size too"),
        ({"size": 64, "overlap": 33}, "overlap is 33 px of 64 px; neighbours share at most half"),
        ({"size": 15}, "greater than or equal to 16"),
        ({"size": 64, "overlap": -1}, "greater than or equal to 0"),
    ],
)
def test_tiles_that_cannot_be_cut_are_refused(tiles, words):
    with pytest.raises(ConfigError, match=words):
        make_config(tiles=tiles)


def test_a_run_without_tiles_is_named_as_before_there_were_any():
    assert "tiles" not in make_config().choices()
    old = make_config().model_dump(mode="json")
    del old["tiles"]
    assert parse_config(old) == make_config()
    assert make_config(tiles={"size": 64}).student_digest != make_config().student_digest


@pytest.mark.parametrize(
    ("key", "value"), [("share", -0.1), ("share", 0.3), ("target_fpr", 0.0), ("target_fpr", 1.0)]
)
def test_what_cannot_be_set_aside_or_promised_is_refused(key, value):
    with pytest.raises(ConfigError, match=f"calibration.{key}"):
        make_config("rd", calibration={key: value})


@pytest.mark.parametrize("count", [-1, 1001, 2.5])
def test_a_number_of_probes_out_of_range_is_refused(count):
    with pytest.raises(ConfigError, match=r"probes.count"):
        make_config("rd", probes={"count": count})


def test_two_hundred_probes_of_each_kind_are_the_default():
    assert make_config("rd").probes.count == 200


def test_a_fifth_is_set_aside_for_one_false_alarm_in_twenty():
    calibration = make_config("rd").calibration
    assert (calibration.share, calibration.target_fpr) == (0.2, 0.05)

"""The example for researchers: own parts go through the whole of snlad."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from snlad.artifacts import load_artifact
from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine.train import OwnParts, train
from snlad.errors import ArtifactError, UsageError
from snlad.metrics.scores import METRICS
from snlad.predict import load

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_method.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("own_method", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def config(tiny_settings):
    return make_config("rd", **tiny_settings)


def weights(run: Path) -> dict[str, np.ndarray]:
    return load_artifact(run / "model", "model").arrays("weights.safetensors")


def test_the_example_is_short():
    assert len(EXAMPLE.read_text().splitlines()) <= 60


def test_own_parts_get_all_seven_numbers(example, config, shared_data, tmp_path):
    scores = example.run(shared_data, tmp_path / "run", config)
    assert all(scores["mean"][metric] is not None for metric in METRICS)


def test_own_parts_resume_to_the_numbers_of_an_undisturbed_run(
    example, config, shared_data, tmp_path
):
    class Killed(BaseException):
        pass

    def kill(label: str, done: int, _total: int) -> None:
        if label == "training" and done == 3:
            raise Killed

    student = example.Autoencoder((24, 32, 48))
    start = {k: v.clone() for k, v in student.state_dict().items()}
    own = OwnParts(student, example.smooth_l1, {"error": example.error_map})
    data = open_dataset(shared_data)
    whole = weights(train(data, tmp_path / "whole", config, own=own))
    student.load_state_dict(start)
    with pytest.raises(Killed):
        train(data, tmp_path / "cut", config, own=own, progress=kill)
    resumed = weights(train(data, tmp_path / "cut", config, own=own, resume=True))
    assert all(np.array_equal(whole[key], resumed[key]) for key in whole)


def test_a_model_with_own_parts_says_how_to_load_it(example, config, shared_data, tmp_path):
    example.run(shared_data, tmp_path / "run", config)
    with pytest.raises(UsageError, match=r"snlad\.load\(path, student=\.\.\.\)"):
        load(tmp_path / "run")
    student = example.Autoencoder((24, 32, 48))
    with pytest.raises(UsageError, match=r"maps=\.\.\."):
        load(tmp_path / "run", student=student)
    with pytest.raises(ArtifactError, match="does not fit"):
        wrong = example.Autoencoder((24, 32, 48), code=5)
        load(tmp_path / "run", student=wrong, maps={"error": example.error_map})


def test_a_model_with_own_parts_does_not_call_itself_anything_else(
    example, config, shared_data, tmp_path
):
    example.run(shared_data, tmp_path / "run", config)
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert card.startswith("# A snlad model: own student, loss, maps on the settings of rd\n")


def test_own_maps_have_their_own_names(example, config, shared_data, tmp_path):
    student = example.Autoencoder((24, 32, 48))
    maps = {"error": example.error_map}
    train(
        open_dataset(shared_data),
        tmp_path / "run",
        config,
        own=OwnParts(student=student, maps=maps),
    )
    model = load(tmp_path / "run", student=student, maps=maps)
    assert model.map_names == ("error", "overall")

"""Training with central maps: centers and their statistics come from normal training pictures."""

import numpy as np
import pytest
import torch

from snlad.config import make_config
from snlad.data.opening import open_dataset
from snlad.engine.train import OwnParts, train
from snlad.errors import ConfigError
from snlad.models.central import CentralMaps
from snlad.predict import load

CENTRAL = {"centers": 8, "center_distance": True, "affinity": True}


@pytest.fixture(scope="module")
def settings(tiny_settings):
    return {**tiny_settings, "maps": CENTRAL}


@pytest.fixture(scope="module")
def run(settings, shared_data, tmp_path_factory):
    out = tmp_path_factory.mktemp("central") / "run"
    return train(open_dataset(shared_data), out, make_config(**settings))


def central(run) -> CentralMaps:
    return load(run)._inspector.network.detector.maps


def test_a_loaded_model_has_the_maps_and_their_statistics(run, shared_data):
    model = load(run)
    assert model.map_names == ("feature", "affinity", "center", "overall")
    maps = central(run)
    for centers in (maps.coarse, maps.fine):
        assert len(centers.points) == int(centers.counts.sum()) > 1
        assert float(centers.points.std()) > 0
    assert bool((maps.scale > 0).all())
    picture = next(shared_data.glob("grey/train/good/*.png"))
    (row,) = model.predict(picture)
    total = sum(row.maps[name].mean() for name in model.map_names[:-1])
    assert row.maps["overall"].mean() == pytest.approx(total, abs=0.05)  # smoothing moves borders


def test_residuals_of_the_training_pictures_are_usual(run, shared_data):
    pictures = sorted(shared_data.glob("*/train/good/*.png"))
    for name, levels in (("feature", 3), ("affinity", 3), ("center", 1)):
        shown = np.stack([row.maps[name] for row in load(run).predict(pictures)])
        assert 0 < shown.mean() / levels < 0.3  # half of a level's places show nothing


def test_the_same_seed_gives_the_same_statistics(run, settings, shared_data, tmp_path):
    again = train(open_dataset(shared_data), tmp_path / "run", make_config(**settings))
    for name, value in central(run).state_dict().items():
        torch.testing.assert_close(central(again).state_dict()[name], value, rtol=0, atol=0)


def test_maps_of_the_users_own_take_the_place_of_central_ones(settings, shared_data, tmp_path):
    def own(teacher, student, size):
        del student
        return teacher[0].new_ones(len(teacher[0]), 1, *size)

    parts = OwnParts(maps={"own": own})
    out = train(open_dataset(shared_data), tmp_path / "run", make_config(**settings), own=parts)
    assert load(out, maps={"own": own}).map_names == ("own", "overall")


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ({"center_distance": True}, "needs centers"),
        ({"centers": 4, "levels": "product"}, "use sums"),
        ({"centers": -1}, "maps.centers"),
    ],
)
def test_what_central_maps_cannot_be_is_refused(maps, message):
    with pytest.raises(ConfigError, match=message):
        make_config("rd", maps=maps)


def test_a_model_with_centers_is_no_plain_baseline():
    assert make_config("rd").method_label.startswith("plain")
    assert make_config("rd", maps={"centers": 4}).method_label.startswith("SNL, snlad's reading")

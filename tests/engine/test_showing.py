"""Pictures shown again: the ones that were scored or none, with the maps of their evaluation."""

import base64
import io
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from snlad.data.opening import open_dataset
from snlad.engine.evaluate import evaluate
from snlad.engine.showing import PICTURE, TRUTH, Showing
from snlad.errors import DataError
from snlad.predict import load
from snlad.report.gallery import show_map, shrink


@pytest.fixture(scope="module")
def model(trained_run):
    return load(trained_run)


@pytest.fixture(scope="module")
def pictures(model, shared_data):
    """The scored test pictures by path below the data set's folder."""
    return {one.path: one for one in evaluate(model, open_dataset(shared_data)).pictures}


@pytest.fixture
def showing(model, tiny_data):
    return Showing(open_dataset(tiny_data), {"map, rd-snl": model})


def pixels(shown, read_page) -> np.ndarray:
    (found,) = read_page(shown.markup).all("img")
    data = base64.b64decode(str(found["src"]).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


SPOT, GOOD = "grey/test/spot/0.png", "grey/test/good/0.png"


def test_a_copy_of_the_data_shows_picture_ground_truth_and_map(
    showing, pictures, tiny_data, read_page
):
    views = showing.views(pictures[SPOT])
    assert list(views) == showing.heads == [PICTURE, TRUTH, "map, rd-snl"]
    with Image.open(tiny_data / SPOT) as picture:
        original = np.asarray(picture).astype(int)
    assert np.abs(pixels(views[PICTURE], read_page) - original).mean() < 20
    truth = pixels(views[TRUTH], read_page)
    assert truth[8:24, 16:40].min() == 255
    assert truth.sum() == 255 * 16 * 24


def test_the_map_is_that_of_the_evaluation(showing, model, pictures, tiny_data, read_page):
    prediction = model.predict(tiny_data / SPOT, class_name="grey")[0]
    assert prediction.pred_score == pytest.approx(pictures[SPOT].score, rel=1e-4)
    assert prediction.image is not None
    expected = show_map(
        shrink(prediction.image), prediction.maps["overall"], model.card.color_scale, None, "x"
    )
    shown = pixels(showing.views(pictures[SPOT])["map, rd-snl"], read_page).astype(int)
    assert np.abs(shown - pixels(expected, read_page)).max() <= 2


def test_every_picture_says_what_it_shows(showing, pictures, read_page):
    views = showing.views(pictures[SPOT])
    told = [read_page(view.markup).all("img")[0]["alt"] for view in views.values()]
    assert told == [f"{head} of {SPOT}, class grey, spot" for head in views]


def test_a_picture_without_mask_has_no_ground_truth(showing, pictures):
    assert list(showing.views(pictures[GOOD])) == [PICTURE, "map, rd-snl"]


def test_a_picture_that_is_gone_is_named(showing, pictures, tiny_data, model):
    (tiny_data / SPOT).unlink()
    with pytest.raises(DataError, match=r"spot/0\.png' cannot be read"):
        showing.views(pictures[SPOT])
    listed_anew = Showing(open_dataset(tiny_data), {"map": model})
    with pytest.raises(DataError, match=r"grey/test/spot/0\.png is not among the test pictures"):
        listed_anew.views(pictures[SPOT])


def test_another_file_under_the_name_is_named_and_not_shown(showing, pictures, tiny_data):
    shutil.copy(tiny_data / GOOD, tiny_data / SPOT)
    with pytest.raises(DataError, match=r"^grey/test/spot/0\.png was changed after it was scored"):
        showing.views(pictures[SPOT])


def test_another_mask_is_named_and_not_shown(showing, pictures, tiny_data):
    mask = tiny_data / "grey/ground_truth/spot/0_mask.png"
    Image.new("L", (48, 48), 255).save(mask)
    with pytest.raises(DataError, match=r"^the mask of grey/test/spot/0\.png was changed"):
        showing.views(pictures[SPOT])


def test_a_record_cannot_reach_out_of_the_data_set(showing, pictures, tiny_data):
    """Pictures are looked up among the listed ones: a path of the record is never opened."""
    for path in ("../secret.png", "/etc/passwd", "grey/test/good/../spot/0.png"):
        with pytest.raises(DataError, match="is not among the test pictures"):
            showing.views(pictures[SPOT].model_copy(update={"path": path}))


def test_a_damaged_model_is_named_and_not_fatal(trained_run, tiny_data, pictures):
    broken = load(trained_run)
    broken._inspector.network.detector.maps.usual.fill_(float("nan"))
    showing = Showing(open_dataset(tiny_data), {"map": broken})
    with pytest.raises(DataError, match="the score is nan"):
        showing.views(pictures[SPOT])


def test_each_model_is_coloured_by_its_own_threshold(
    trained_run, tiny_data, pictures, make_calibration, read_page
):
    """The same networks with a threshold far above, far below, and without one."""
    models = {head: load(trained_run) for head in ("cold", "hot", "own")}
    models["cold"].calibration = make_calibration({"dark": [0.0], "grey": [1e6] * 9})
    models["hot"].calibration = make_calibration({"dark": [0.0], "grey": [-1e6] * 9})
    showing = Showing(open_dataset(tiny_data), models)
    assert showing.heads == [PICTURE, TRUTH, "cold", "hot", "own"]
    assert showing.uncalibrated == ["own"]
    views = showing.views(pictures[SPOT])
    cold, hot = (pixels(views[head], read_page).astype(int) for head in ("cold", "hot"))
    assert np.abs(cold[..., 0] - cold[..., 2]).max() < 16  # grey: nothing is near the threshold
    assert (hot[..., 0] - hot[..., 1]).min() > 40  # all of it is above


def test_every_model_sees_the_picture_at_its_own_input_size(trained_run, tiny_data, pictures):
    seen = []
    models = {}
    for head, size in (("square", (64, 64)), ("tall", (96, 64))):
        model = models[head] = load(trained_run)
        config = model.card.config.model_copy(update={"image_size": size})
        model.card = replace(model.card, config=config)
        model.judge = partial(_note, seen, model.judge)
    Showing(open_dataset(tiny_data), models).views(pictures[SPOT])
    assert seen == [((64, 64, 3), ["grey"]), ((96, 64, 3), ["grey"])]


def _note(seen, judge, batch, names):
    seen.append((batch[0].fitted.shape, names))
    return judge(batch, names)

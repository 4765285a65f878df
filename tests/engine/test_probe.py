"""Probing: what a model of known answers scores, pair by pair, and a real one from end to end."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from snlad.data.opening import open_dataset
from snlad.data.samples import Sample
from snlad.engine.interference import Probes
from snlad.engine.probe import probe
from snlad.errors import ImageError, MetricError
from snlad.metrics.invariance import eta_squared
from snlad.predict import load
from snlad.types import Prediction

SIDE = 64
TONES = {"a": 40, "b": 100, "c": 170, "d": 220}


@dataclass
class FakeModel:
    """Scores by rules that a test knows: maps of the picture's red channel, spread to 256 x 256."""

    score: object
    rois: dict = field(default_factory=dict)
    identity: str = "5" * 64
    seen: list = field(default_factory=list)
    card: object = field(
        default_factory=lambda: SimpleNamespace(
            config=SimpleNamespace(image_size=(SIDE, SIDE), tiling=None)
        )
    )

    def judge(self, pictures, class_names):
        self.seen += zip(pictures, class_names, strict=True)
        return [self._predict(one, name) for one, name in zip(pictures, class_names, strict=True)]

    def _predict(self, picture, class_name):
        words = {"path": picture.path, "sha256": None, "model": "", "time": ""}
        if picture.fitted is None:
            return Prediction(**words, pred_score=None, error=picture.error)
        red = picture.fitted[..., 0].astype(np.float32)
        found = float(self.score(red, class_name))
        if not np.isfinite(found):
            return Prediction(**words, pred_score=None, error=f"{picture.path}: the score is nan")
        maps = {"overall": np.kron(red, np.ones((4, 4), np.float32))}
        return Prediction(**words, pred_score=found, maps=maps)


def write(folder, classes="abc", each=3) -> list[Sample]:
    """Pictures of one tone each, that of their class."""
    samples = []
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(each):
            path = folder / name / f"{index}.png"
            Image.fromarray(np.full((SIDE, SIDE, 3), TONES[name], np.uint8)).save(path)
            samples.append(Sample(path=path, class_name=name, split="test", is_anomalous=False))
    return samples


def mixture(red, _name) -> float:
    """1 for a picture of two tones or of one that no class has, else 0."""
    return float(len(np.unique(red)) > 1 or red[0, 0] not in TONES.values())


def test_a_model_that_notices_every_mixture_has_aurocs_of_1(tmp_path):
    found = probe(FakeModel(mixture), write(tmp_path), n=12, seed=3, source="here")
    assert (found.mixup.image_auroc, found.cutpaste.image_auroc) == (1.0, 1.0)
    assert (found.mixup.n, found.cutpaste.n, found.asked, found.seed) == (12, 12, 12, 3)
    assert (found.model, found.source, found.notes) == ("5" * 64, "here", ())
    assert found.normals == {"a": 3, "b": 3, "c": 3}
    assert found.mixup.counts == ((0, 4, 4), (4, 0, 4), (4, 4, 0))
    assert found.cutpaste.counts == ((0, 2, 2), (2, 0, 2), (2, 2, 0))
    ones = ((None, 1.0, 1.0), (1.0, None, 1.0), (1.0, 1.0, None))
    assert found.mixup.image_pairs == found.cutpaste.image_pairs == ones
    assert found.eta_squared is None  # all normals score 0


def test_a_model_that_notices_nothing_is_at_chance(tmp_path):
    found = probe(FakeModel(lambda *_: 7.0), write(tmp_path), n=6)
    assert found.mixup.image_auroc == found.cutpaste.image_auroc == 0.5
    assert found.mixup.image_pairs[0] == (None, 0.5, 0.5)


def test_cutpastes_meet_the_normals_of_their_host_and_mixups_those_of_both(tmp_path):
    """The score is the brightest pixel; the tones rise from a to c, so all numbers are known."""
    found = probe(FakeModel(lambda red, _: red.max()), write(tmp_path), n=6)
    # a patch is the brighter of the two, or the host is: then probe and host tie
    assert found.cutpaste.image_pairs == (
        (None, 1.0, 1.0),
        (0.5, None, 1.0),
        (0.5, 0.5, None),
    )
    # a mixture lies between its two classes: it beats the darker one's three normals of six
    assert found.mixup.image_pairs == ((None, 0.5, 0.5), (0.5, None, 0.5), (0.5, 0.5, None))
    # pooled: a and b mix to 70 and beat 3 of 9 normals, a and c to 105, b and c to 135: 6 each
    assert found.mixup.image_auroc == pytest.approx((3 + 6 + 6) / 27)
    assert found.eta_squared == pytest.approx(1.0)


def test_pasted_pixels_meet_all_other_pixels_of_their_pictures_and_of_normals(tmp_path):
    """The map is the tone: a patch from a brighter class is above its host, of a darker below."""
    samples = write(tmp_path)
    found = probe(FakeModel(mixture), samples, n=6)
    assert found.cutpaste.pixel_pairs == ((None, 1.0, 1.0), (0.0, None, 1.0), (0.0, 0.0, None))
    assert found.mixup.pixel_pairs == ()
    assert found.mixup.pixel_auroc is None
    model = FakeModel(mixture)
    probe(model, samples, n=6)
    pasted, others = [], []
    for picture, name in model.seen:
        if picture.path.startswith("CutPaste"):
            red = picture.fitted[..., 0]
            pasted += red[red != TONES[name]].tolist()
            others += red[red == TONES[name]].tolist()
        elif not picture.path.startswith("Mixup"):
            others += picture.fitted[..., 0].ravel().tolist()
    wins = np.subtract.outer(np.array(pasted)[:, None], [40, 100, 170])[:, 0]
    mass = np.array([others.count(tone) for tone in (40, 100, 170)]) / len(others)
    assert found.cutpaste.pixel_auroc == pytest.approx(
        float((((wins > 0) + 0.5 * (wins == 0)) @ mass).mean())
    )


def test_which_class_is_stated(tmp_path):
    model = FakeModel(mixture)
    samples = write(tmp_path)
    probe(model, samples, n=5)
    stated = {"Mixup": set(), "CutPaste": set(), "normal": []}
    for picture, name in model.seen:
        kind, *words = picture.path.split(" ")
        match kind:
            case "Mixup":
                stated["Mixup"].add(name)
            case "CutPaste":
                assert name == words[1]
                stated["CutPaste"].add(name)
            case _:
                stated["normal"].append((picture.path, name))
    assert stated["Mixup"] == {None}
    assert stated["CutPaste"] == {"a", "b", "c"}
    assert stated["normal"] == [(str(one.path), one.class_name) for one in samples]


def test_normals_are_scored_as_they_are(tmp_path):
    scores = iter([1.0, 2.0, 3.0, 5.0, 7.0, 9.0])
    samples = write(tmp_path, "ab")

    def by_turn(red, _name):
        return next(scores) if mixture(red, _name) == 0 else 4.0

    found = probe(FakeModel(by_turn), samples, n=2)
    assert found.mixup.image_auroc == found.cutpaste.image_auroc == 0.5
    expected = eta_squared([np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0, 9.0])])
    assert found.eta_squared == pytest.approx(expected)


def test_pairs_without_a_probe_are_null(tmp_path):
    found = probe(FakeModel(mixture), write(tmp_path, "abcd"), n=5)
    for kind, ways in ((found.mixup, 2), (found.cutpaste, 1)):
        assert np.sum(kind.counts) == 5 * ways
        nulls = np.array([[value is None for value in row] for row in kind.image_pairs])
        np.testing.assert_array_equal(nulls, np.array(kind.counts) == 0)


@pytest.mark.parametrize("classes", ["a", ""])
def test_a_single_class_is_null_and_says_so(tmp_path, classes):
    told = []
    found = probe(
        FakeModel(mixture), write(tmp_path, classes), n=9, progress=lambda *what: told.append(what)
    )
    summary = found.summary()
    assert [summary[name] for name in summary if "auroc" in name or "eta" in name] == [None] * 4
    assert (summary["mixups"], summary["cutpastes"]) == (0, 0)
    assert found.mixup.counts == ((0,),) * len(classes)
    assert "a single class has no other" in found.notes[0]
    assert told == [("probing", i + 1, 3) for i in range(3 * len(classes))]


def test_patches_that_would_hide_are_given_up_and_told(tmp_path):
    """Two classes of one tone: nothing can be pasted that differs."""
    samples = write(tmp_path, "ab")
    for one in samples:
        Image.fromarray(np.full((SIDE, SIDE, 3), 90, np.uint8)).save(one.path)
    told = []
    found = probe(FakeModel(mixture), samples, n=4, progress=lambda *what: told.append(what))
    assert (found.mixup.n, found.cutpaste.n) == (4, 0)
    assert found.cutpaste.image_auroc is found.cutpaste.pixel_auroc is None
    assert found.notes[0].startswith("4 of 4 CutPastes were given up")
    assert told[-1] == ("probing", 10, 10)


def test_progress_counts_probes_and_normals(tmp_path):
    told = []
    probe(FakeModel(mixture), write(tmp_path), n=20, progress=lambda *what: told.append(what))
    assert told == [("probing", i, 49) for i in range(1, 50)]


def test_files_in_another_order_give_the_same_numbers(tmp_path):
    samples = write(tmp_path, each=4)
    once, again = (
        probe(FakeModel(lambda red, _: red.mean()), part, n=9) for part in (samples, samples[::-1])
    )
    assert once == again
    other = probe(FakeModel(lambda red, _: red.mean()), samples, n=9, seed=1)
    assert other.cutpaste != once.cutpaste


def test_inspection_masks_limit_places_and_pixels(tmp_path):
    """Of class a the left half counts: patches lie there with at least half of their pixels."""
    half = np.zeros((8, 8), bool)
    half[:, :4] = True
    model = FakeModel(mixture, rois={"a": half})
    found = probe(model, write(tmp_path, "ab"), n=40)
    shares = []
    for picture, name in model.seen:
        if picture.path.startswith("CutPaste of a"):
            assert name == "a"
            pasted = picture.fitted[..., 0] == TONES["b"]
            shares.append(pasted[:, : SIDE // 2].sum() / pasted.sum())
    assert len(shares) == 20
    assert min(shares) >= 0.5
    assert found.cutpaste.pixel_pairs == ((None, 1.0), (0.0, None))


def test_an_inspection_mask_hides_pixels_outside_it(tmp_path):
    """Bright pixels outside the mask, on normals, would halve the AUROC if they counted."""
    samples = write(tmp_path, "ab")
    for one in samples[:3]:
        picture = np.full((SIDE, SIDE, 3), TONES["a"], np.uint8)
        picture[:, SIDE // 2 :] = 250
        Image.fromarray(picture).save(one.path)
    half = np.zeros((8, 8), bool)
    half[:, :4] = True
    masked, whole = (
        probe(FakeModel(mixture, rois=rois), samples, n=10) for rois in ({"a": half}, {})
    )
    assert masked.cutpaste.pixel_pairs[0][1] == 1.0
    assert whole.cutpaste.pixel_pairs[0][1] < 0.8


def test_a_patch_counts_only_where_it_is_inspected(tmp_path):
    """A model that sees nothing of the right half, as a real one, is not blamed for that."""

    class HalfBlind(FakeModel):
        def _predict(self, picture, class_name):
            found = super()._predict(picture, class_name)
            found.maps["overall"][:, 128:] = 0
            return found

    half = np.zeros((8, 8), bool)
    half[:, :4] = True
    samples = write(tmp_path, "ab")
    masked, whole = (
        probe(HalfBlind(mixture, rois=rois), samples, n=20) for rois in ({"a": half}, {})
    )
    assert masked.cutpaste.pixel_pairs[0][1] == 1.0
    assert whole.cutpaste.pixel_pairs[0][1] < 1.0


def test_a_score_that_is_not_a_number_names_the_probe(tmp_path):
    model = FakeModel(lambda red, _: np.nan if mixture(red, _) else 0.0)
    with pytest.raises(MetricError, match="Mixup of a and b: the score is nan"):
        probe(model, write(tmp_path, "ab"), n=1)


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    samples = write(tmp_path, "a")
    samples[1].path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"1\.png"):
        probe(FakeModel(mixture), samples, n=1)


def test_a_real_model_is_probed_and_stays_as_it_is(trained_run, shared_data, tmp_path):
    model, samples = load(trained_run), open_dataset(shared_data).train_normal
    before = model.predict([one.path for one in samples])
    found = probe(model, samples, n=4)
    assert found.model == model.identity
    assert found.normals == {"dark": 5, "grey": 5}
    assert all(0.0 <= found.summary()[name] <= 1.0 for name in found.summary() if "auroc" in name)
    scores = np.array([one.pred_score for one in before])  # five of dark, then five of grey
    assert found.eta_squared == pytest.approx(eta_squared([scores[:5], scores[5:]]), rel=1e-3)
    again = model.predict([one.path for one in samples])
    assert [one.pred_score for one in again] == [one.pred_score for one in before]
    found.save(tmp_path)
    assert Probes.model_validate(json.loads((tmp_path / "probes.json").read_text())) == found

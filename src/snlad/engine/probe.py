"""Probing: does a model of many classes notice where two of them are mixed?

Probes and normal pictures come from the same held-out pictures: only the mixing tells them apart.
Normal pictures and CutPastes are judged as pictures of their own and of their host's class, whose
inspection mask counts; a Mixup is of no class and is judged without one. A model that cuts tiles
judges one tile of each, that in the middle, without a mask, and its probes are made of those.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from snlad.data.inputs import load_inputs
from snlad.data.loading import Picture, load_samples
from snlad.data.probes import Probe, cutpastes, mixups
from snlad.data.roi import FittedRois
from snlad.data.samples import Sample
from snlad.engine.interference import Probes, ProbeScores
from snlad.errors import ImageError, MetricError
from snlad.metrics.invariance import eta_squared
from snlad.metrics.pairs import Pair, PairAurocs
from snlad.predict import Model
from snlad.types import Progress, silent

_BATCH = 16

T = TypeVar("T")
Pixels = NDArray[np.float32]


def probe(
    model: Model,
    samples: Sequence[Sample],
    *,
    n: int = 200,
    seed: int = 0,
    source: str = "",
    progress: Progress = silent,
) -> Probes:
    """Inspect mixtures of normal pictures, and the pictures themselves; the model stays as it is.

    Args:
        model: a loaded model.
        samples: normal pictures of its classes that training did not see, any number of them.
        n: probes of each kind; a CutPaste takes a quarter of a MiB of memory.
        seed: of their choices.
        source: where the pictures came from, for the record.
        progress: told how far the work is.

    Raises:
        ImageError: a picture cannot be read.
        MetricError: a score is not finite: the model is damaged.
    """
    size, tiling = model.card.config.image_size, model.card.config.tiling
    masks = FittedRois(model.rois if tiling is None else {}, size)
    inspector = _Inspector(model, progress)
    inspector.total = 2 * n + len(samples)
    mixed, pasted = _Found(), _Found()
    for one, score, _ in inspector.probes(mixups(samples, size, n, seed, tiling)):
        mixed.add(one, score)
    pastes = cutpastes(samples, size, n, seed, masks.seen, tiling)
    for one, score, pixels in inspector.probes(pastes):
        pasted.add(one, score)
        pasted.add_pixels(one, pixels, masks.inspected(one.host))
    inspector.total = inspector.done + len(samples)  # there may be fewer probes than asked for
    by_pixel, normals = pasted.by_pixel(), defaultdict[str, list[float]](list)
    for name, score, pixels in inspector.normals(samples):
        normals[name].append(score)
        by_pixel.add(pixels[masks.inspected(name)], _is_host(name))
    by_class = dict(sorted(normals.items()))
    return Probes(
        model=model.identity,
        source=source,
        normals={name: len(scores) for name, scores in by_class.items()},
        asked=n,
        seed=seed,
        mixup=_mixup_scores(mixed, by_class),
        cutpaste=_cutpaste_scores(pasted, by_pixel, by_class),
        eta_squared=eta_squared(np.array(scores) for scores in by_class.values()),
        notes=_notes(len(by_class), n, pasted.n),
    )


class _Inspector:
    """The model at work, telling how far it is."""

    def __init__(self, model: Model, progress: Progress) -> None:
        self._model, self._progress = model, progress
        self.done = self.total = 0

    def probes(self, made: Iterator[Probe]) -> Iterator[tuple[Probe, float, Pixels]]:
        """Each probe with its image score and its overall map (256, 256)."""
        while batch := list(islice(made, _BATCH)):
            pictures = [Picture(path=_title(one), fitted=one.pixels) for one in batch]
            names = [None if one.pasted is None else one.host for one in batch]
            for one, found in zip(batch, self._judge(pictures, names), strict=True):
                yield one, *found

    def normals(self, samples: Sequence[Sample]) -> Iterator[tuple[str, float, Pixels]]:
        """Class, image score and overall map of each normal picture."""
        for batch, pictures in self._load(samples):
            names = [one.class_name for one in batch]
            for name, found in zip(names, self._judge(pictures, names), strict=True):
                yield name, *found

    def _load(self, samples: Sequence[Sample]) -> Iterator[tuple[Sequence[Sample], list[Picture]]]:
        """Pictures, or the middle tile of each."""
        config = self._model.card.config
        if config.tiling is None:
            yield from load_samples(samples, config.image_size, _BATCH)
            return
        for start in range(0, len(samples), _BATCH):
            batch = samples[start : start + _BATCH]
            tiles = load_inputs([one.path for one in batch], config.image_size, config.tiling)
            pairs = zip(batch, tiles, strict=True)
            yield batch, [Picture(path=str(one.path), fitted=tile) for one, tile in pairs]

    def _judge(
        self, pictures: Sequence[Picture], names: Sequence[str | None]
    ) -> Iterator[tuple[float, Pixels]]:
        predictions = self._model.judge(pictures, names)
        for picture, prediction in zip(pictures, predictions, strict=True):
            if prediction.error is not None:
                raise (ImageError if picture.error else MetricError)(prediction.error)
            assert prediction.pred_score is not None
            self.done += 1
            self._progress("probing", self.done, self.total)
            yield prediction.pred_score, prediction.maps["overall"]


@dataclass
class _Found:
    """What the model made of the probes of one kind, by pair of classes."""

    scores: dict[Pair, list[float]] = field(default_factory=lambda: defaultdict(list))
    pasted: dict[Pair, list[Pixels]] = field(default_factory=lambda: defaultdict(list))
    others: list[tuple[Pair, Pixels]] = field(default_factory=list)

    @property
    def n(self) -> int:
        return sum(map(len, self.scores.values()))

    def add(self, one: Probe, score: float) -> None:
        self.scores[one.host, one.donor].append(score)

    def add_pixels(self, one: Probe, pixels: Pixels, inspected: NDArray[np.bool_]) -> None:
        """Keep a CutPaste's inspected pixels, on the patch and off it."""
        assert one.pasted is not None
        pair = (one.host, one.donor)
        self.pasted[pair].append(pixels[inspected & one.pasted])
        self.others.append((pair, pixels[inspected & ~one.pasted]))

    def by_image(self) -> PairAurocs:
        return PairAurocs({pair: np.array(scores) for pair, scores in self.scores.items()})

    def by_pixel(self) -> PairAurocs:
        """Of the pasted pixels, so far against the other pixels of the same pictures."""
        found = PairAurocs({pair: np.concatenate(parts) for pair, parts in self.pasted.items()})
        for pair, pixels in self.others:
            found.add(pixels, pair.__eq__)
        return found


def _mixup_scores(found: _Found, normals: Mapping[str, Sequence[float]]) -> ProbeScores:
    images = found.by_image()
    for name, scores in normals.items():
        images.add(np.array(scores), _is_part(name))
    counts = {pair: len(scores) for pair, scores in found.scores.items()}
    return ProbeScores(
        n=found.n,
        counts=_matrix(normals, _both_ways(counts), 0),
        image_auroc=images.value,
        image_pairs=_matrix(normals, _both_ways(images.by_pair()), None),
    )


def _cutpaste_scores(
    found: _Found, pixels: PairAurocs, normals: Mapping[str, Sequence[float]]
) -> ProbeScores:
    images = found.by_image()
    for name, scores in normals.items():
        images.add(np.array(scores), _is_host(name))
    return ProbeScores(
        n=found.n,
        counts=_matrix(normals, {pair: len(scores) for pair, scores in found.scores.items()}, 0),
        image_auroc=images.value,
        pixel_auroc=pixels.value,
        image_pairs=_matrix(normals, images.by_pair(), None),
        pixel_pairs=_matrix(normals, pixels.by_pair(), None),
    )


def _title(one: Probe) -> str:
    kind = "Mixup" if one.pasted is None else "CutPaste"
    return f"{kind} of {one.host} and {one.donor}"


def _is_host(name: str) -> Callable[[Pair], bool]:
    return lambda pair: pair[0] == name


def _is_part(name: str) -> Callable[[Pair], bool]:
    return lambda pair: name in pair


def _both_ways(values: Mapping[Pair, T]) -> dict[Pair, T]:
    return {pair: value for (a, b), value in values.items() for pair in ((a, b), (b, a))}


def _matrix(
    names: Mapping[str, object], values: Mapping[Pair, T], missing: T
) -> tuple[tuple[T, ...], ...]:
    """A row a host, a column a donor."""
    return tuple(tuple(values.get((host, donor), missing) for donor in names) for host in names)


def _notes(classes: int, asked: int, pasted: int) -> tuple[str, ...]:
    if classes < 2:
        return ("a single class has no other to be mixed with: there are no probes",)
    if pasted < asked:
        given_up = f"{asked - pasted} of {asked} CutPastes were given up"
        return (f"{given_up}: no patch that differs from what it covers fits on both products",)
    return ()

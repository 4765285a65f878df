"""After the model is saved: what was set aside sets its thresholds, then probes it."""

import logging
from collections.abc import Sequence

from snlad.calibration.caveats import warnings
from snlad.data.samples import Sample
from snlad.engine.calibrate import calibrate
from snlad.engine.preparation import OwnParts, Training
from snlad.engine.probe import probe
from snlad.predict import Model, load
from snlad.report.tables import format_interference

logger = logging.getLogger(__name__)

_UNCALIBRATED = (
    "too few pictures to set some aside for thresholds: the model gives scores and no verdicts; "
    "calibrate it with  snlad calibrate RUN --calibration DIR"
)
_NOT_PROBED = (
    "no picture is set aside, so cross-class interference is not probed; "
    "probe it on other good pictures with  snlad probe RUN DATA"
)


def use_held_out(training: Training, samples: Sequence[Sample], source: str, own: OwnParts) -> None:
    """Calibrate and probe the saved model, loaded as it will be used.

    Args:
        training: with its model saved.
        samples: normal pictures that it did not see; perhaps none.
        source: where they came from, for the records.
        own: parts of the user's own.
    """
    config, run = training.config, training.run.path
    if samples:
        device = str(training.hardware.device)
        model = load(run, device=device, student=own.student, maps=own.maps)
        _calibrate(training, model, samples, source)
        if config.probes.count:
            _probe(training, model, samples, source)
        return
    if config.calibration.share:
        logger.warning(_UNCALIBRATED)
    if config.probes.count:
        logger.info(_NOT_PROBED)


def _calibrate(training: Training, model: Model, samples: Sequence[Sample], source: str) -> None:
    target = training.config.calibration.target_fpr
    found = calibrate(
        training.run.path,
        model,
        samples,
        target_fpr=target,
        source=source,
        progress=training.progress,
    )
    for warning in warnings(found, model.card.classes):
        logger.warning("%s", warning)


def _probe(training: Training, model: Model, samples: Sequence[Sample], source: str) -> None:
    n = training.config.probes.count
    found = probe(model, samples, n=n, source=source, progress=training.progress)
    found.save(training.run.path)
    for line in (*found.notes, format_interference(found.summary())):
        logger.info("%s", line)

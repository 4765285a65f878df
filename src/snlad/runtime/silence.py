"""No word leaves the machine: what the runtimes would report is switched off before they start."""

import os
import sys


def silence() -> None:
    """Switch the telemetry of ONNX Runtime and OpenVINO off; called before either is imported.

    ONNX Runtime reports from native threads and keeps a device's id in the user's cache, unless a
    variable says otherwise. OpenVINO reports through a package of its own, and does without where
    that cannot be imported.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # documented: such an import fails

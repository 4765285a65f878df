"""No word leaves the machine: what the runtimes would report is switched off before they start."""

import os
import sys


def silence() -> None:
    """Switch the telemetry of ONNX Runtime, OpenVINO and NNCF off; called before any is imported.

    ONNX Runtime reports from native threads and keeps a device's id in the user's cache, unless a
    variable says otherwise. OpenVINO and NNCF report through a package of their own, and do without
    where it cannot be imported.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # documented: such an import fails

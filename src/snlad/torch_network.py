"""The trained networks on one device, as an inspection runs them."""

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
from jaxtyping import UInt8

from snlad.data.images import to_input
from snlad.inspection import Output
from snlad.metrics.protocols import Protocol as Rules
from snlad.model_folder import LoadedModel
from snlad.models.detector import Detector
from snlad.models.memory import FeatureMemory, remember
from snlad.models.statistics import channel_statistics


class TorchNetwork:
    """A checked model folder's detector.

    Args:
        loaded: the model.
        device: where it runs, for example ``cpu`` or ``cuda:0``.
        memory: where the teacher's features are looked up; ``None`` computes them every time.
        in_bfloat16: whether the student computes in bfloat16; it alone bears it.

    Attributes:
        detector: teacher, student and maps, on the device.
        map_names: the maps that it finds; ``overall`` is the last.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        device: str,
        memory: FeatureMemory | None = None,
        *,
        in_bfloat16: bool = False,
    ) -> None:
        remember(loaded.detector.teacher, memory)
        self._device = torch.device(device)
        self.detector: Detector = loaded.detector.to(
            device=self._device, memory_format=torch.channels_last
        )  # type: ignore[call-overload] # torch's stub lacks this form
        self._class_answer, self._in_bfloat16 = loaded.class_answer, in_bfloat16
        self.map_names = (*self.detector.map_names, "overall")

    def run(self, pictures: UInt8[np.ndarray, "B H W 3"]) -> Output:
        """Inspect pictures of the input size, on a CPU a few at a time.

        What lies between layers of a larger batch is memory that the system gives and takes back
        anew at every layer, which costs a fifth of the time.
        """
        on_cpu = self._device.type == "cpu"
        size = max(2, torch.get_num_threads()) if on_cpu else len(pictures)
        found = [self._run(pictures[i : i + size]) for i in range(0, len(pictures), size)]
        return found[0] if len(found) == 1 else _join(found)

    @torch.inference_mode()
    def _run(self, pictures: UInt8[np.ndarray, "B H W 3"]) -> Output:
        images = torch.from_numpy(to_input(pictures)).to(self._device)
        images = images.contiguous(memory_format=torch.channels_last)
        teacher = self.detector.teacher(images)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._in_bfloat16):
            student = self.detector.student(images, teacher)
        raw = self.detector.raw_maps(teacher, student)
        overall = self.detector.overall(raw)
        distances = None
        if self._class_answer is not None:
            distances = self._class_answer.distances(channel_statistics(teacher).cpu().numpy())
        return Output(
            self.detector.image_score(overall).cpu().numpy(),
            {name: map_.cpu().numpy()[:, 0] for name, map_ in (raw | {"overall": overall}).items()},
            distances,
        )

    def under(self, rules: Rules) -> "TorchNetwork":
        """The same networks with the image score and the smoothing of an evaluation protocol."""
        other = copy(self)
        other.detector = copy(self.detector)
        other.detector.score, other.detector.kernel_px = rules.score, rules.kernel_px
        return other


def _join(parts: Sequence[Output]) -> Output:
    """One batch of several."""
    distances = [one.distances for one in parts if one.distances is not None]
    return Output(
        np.concatenate([one.scores for one in parts]),
        {name: np.concatenate([one.maps[name] for one in parts]) for name in parts[0].maps},
        np.concatenate(distances) if distances else None,
    )

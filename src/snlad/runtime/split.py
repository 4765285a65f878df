"""The networks of a graph for OpenVINO apart from the rest: only they bear a lower precision.

OpenVINO takes one precision for all of a graph, and what turns features into maps, distances and a
score are differences of large numbers.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import openvino

NETWORKS_END = ("snlad", "networks_end")
"""Where a graph says the names of what its networks hand on."""


def compile_in_bfloat16(
    core: "openvino.Core", model: "openvino.Model", settings: dict[str, Any]
) -> Callable[[np.ndarray], Any]:
    """Compute the networks in bfloat16 and the rest in float32.

    Args:
        core: of OpenVINO.
        model: graph that says where its networks end; it is taken apart.
        settings: of both parts.

    Returns:
        Images to outputs, which are found by name.

    Raises:
        KeyError, RuntimeError: the graph is none that snlad exports.
    """
    from openvino import Model, opset8

    ends = _find_outputs(model, model.get_rt_info(list(NETWORKS_END)).astype(str).split())
    inside = _before(ends)
    handed_on = []
    for end in ends:
        taken = opset8.parameter(end.get_partial_shape(), end.get_element_type())
        handed_on.append(taken)
        for target in end.get_target_inputs():
            if target.get_node().get_name() not in inside:
                target.replace_source_output(taken.output(0))
    images = model.get_parameters()
    networks = core.compile_model(
        Model(ends, images), "CPU", settings | {"INFERENCE_PRECISION_HINT": "bf16"}
    )
    rest = core.compile_model(Model(model.get_results(), [*handed_on, *images]), "CPU", settings)

    def run(image: np.ndarray) -> Any:
        features = networks(image)
        return rest([*(features[i] for i in range(len(ends))), image])

    return run


def _find_outputs(model: "openvino.Model", names: list[str]) -> list[Any]:
    """The outputs of nodes by their names."""
    known = {
        name: output
        for node in model.get_ordered_ops()
        for output in node.outputs()
        for name in output.get_names()
    }
    return [known[name] for name in names]


def _before(ends: list[Any]) -> set[str]:
    """Names of all nodes that outputs are made from."""
    found: set[str] = set()
    waiting = [end.get_node() for end in ends]
    while waiting:
        node = waiting.pop()
        if node.get_name() not in found:
            found.add(node.get_name())
            waiting += [value.get_node() for value in node.input_values()]
    return found

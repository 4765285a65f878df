"""The student of a graph for OpenVINO apart from the rest: up to its heads it bears bfloat16.

OpenVINO takes one precision for all of a graph. The teacher's features do not bear it, as all that
is normal is told apart by them, and neither do the maps, which are differences of large numbers.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import openvino

STUDENT_TAKES, STUDENT_GIVES = ("snlad", "student_takes"), ("snlad", "student_gives")
"""Where a graph says the names of what its student takes from the rest and hands on to it."""


def compile_in_bfloat16(
    core: "openvino.Core", model: "openvino.Model", settings: dict[str, Any]
) -> Callable[[np.ndarray], Any]:
    """Compute the student in bfloat16 and the rest in float32.

    Args:
        core: of OpenVINO.
        model: graph that says what its student takes and gives; it is taken apart.
        settings: of all parts.

    Returns:
        Images to outputs, which are found by name.

    Raises:
        KeyError, RuntimeError: the graph is none that snlad exports.
    """
    from openvino import Model

    images = model.get_parameters()
    takes, gives = (_find_outputs(model, where) for where in (STUDENT_TAKES, STUDENT_GIVES))
    before, inside = _made_of(takes), _made_of(gives)
    is_student = inside - before
    results = model.get_results()
    is_after = {op.get_name() for op in model.get_ordered_ops()} - before - inside
    to_student = [_cut(one, is_student) for one in takes]
    to_rest = [_cut(one, is_after) for one in (*takes, *gives)]
    lower = settings | {"INFERENCE_PRECISION_HINT": "bf16"}
    teacher = core.compile_model(Model(takes, images), "CPU", settings)
    student = core.compile_model(Model(gives, to_student), "CPU", lower)
    rest = core.compile_model(Model(results, [*to_rest, *images]), "CPU", settings)

    def run(image: np.ndarray) -> Any:
        taken = list(teacher(image).values())
        return rest([*taken, *student(taken).values(), image])

    return run


def _find_outputs(model: "openvino.Model", where: tuple[str, str]) -> list[Any]:
    """The outputs of nodes whose names a graph gives."""
    known = {
        name: output
        for node in model.get_ordered_ops()
        for output in node.outputs()
        for name in output.get_names()
    }
    return [known[name] for name in model.get_rt_info(list(where)).astype(str).split()]


def _made_of(outputs: Iterable[Any]) -> set[str]:
    """Names of all nodes that outputs are made from."""
    found: set[str] = set()
    waiting = [one.get_node() for one in outputs]
    while waiting:
        node = waiting.pop()
        if node.get_name() not in found:
            found.add(node.get_name())
            waiting += [value.get_node() for value in node.input_values()]
    return found


def _cut(output: Any, takers: set[str]) -> Any:
    """A parameter in the place of an output, for the nodes of these names."""
    from openvino import opset8

    taken = opset8.parameter(output.get_partial_shape(), output.get_element_type())
    for target in list(output.get_target_inputs()):
        if target.get_node().get_name() in takers:
            target.replace_source_output(taken.output(0))
    return taken

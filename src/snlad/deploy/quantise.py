"""INT8: what bears eight bits is quantised on normal pictures, the rest stays in float32.

The student bears it, and the teacher from its finest level on. What comes before does not: eight
bits of a picture lose the faint grain that tells one place of a dark part from another. Nor do the
maps, which are differences of large numbers.
"""

import io
import logging
from collections.abc import Iterable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from snlad.deploy.graph import STUDENT, TEACHER, handed_on, is_of
from snlad.runtime.sessions import INPUT
from snlad.runtime.silence import silence

if TYPE_CHECKING:
    import onnx


def quantise(model: bytes, images: Iterable[Float32[np.ndarray, "1 3 H W"]], count: int) -> bytes:
    """Quantise a graph after training (NNCF, with fast bias correction).

    Args:
        model: ONNX file of ``deploy.graph.to_onnx``.
        images: normal pictures in [0, 1], to find the ranges of activations.
        count: how many there are.

    Returns:
        An ONNX file with the same inputs and outputs.
    """
    silence()
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses a GPU
    import nncf
    import onnx

    nncf.set_log_level(logging.ERROR)
    whole = onnx.load_model_from_string(model)
    nodes = whole.graph.node
    extractor = onnx.utils.Extractor(whole)
    part = extractor.extract_model([INPUT], handed_on(nodes, _is_network))
    finest = extractor.extract_model([INPUT], handed_on(nodes, _is_teacher)[:1])
    spared = {node.name for node in finest.graph.node} | {
        node.name for node in part.graph.node if not _is_network(node)
    }
    with redirect_stdout(io.StringIO()):  # bars of its own
        quantised = nncf.quantize(
            part,
            nncf.Dataset({INPUT: one} for one in images),
            subset_size=count,
            ignored_scope=nncf.IgnoredScope(names=sorted(spared)),
        )
    return _replace(whole, {name for node in part.graph.node for name in node.output}, quantised)


def _is_teacher(node: "onnx.NodeProto") -> bool:
    return is_of(node, TEACHER)


def _is_network(node: "onnx.NodeProto") -> bool:
    return is_of(node, TEACHER, STUDENT)


def _replace(whole: "onnx.ModelProto", outputs: set[str], part: "onnx.ModelProto") -> bytes:
    """A graph with a part of it in place of the nodes that had these outputs."""
    import onnx

    rest = [node for node in whole.graph.node if node.output[0] not in outputs]
    used = {name for node in rest for name in node.input}
    used -= {one.name for one in part.graph.initializer}
    constants = [one for one in whole.graph.initializer if one.name in used]
    del whole.graph.node[:], whole.graph.initializer[:]
    whole.graph.node.extend([*part.graph.node, *rest])
    whole.graph.initializer.extend([*part.graph.initializer, *constants])
    onnx.checker.check_model(whole)
    return bytes(whole.SerializeToString())

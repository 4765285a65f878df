"""INT8: the networks and the search for centers quantised on normal pictures, the rest in float32.

What turns features into maps, distances and a score is a small part of the work, and its
differences of large numbers would not survive eight bits. Which center is nearest does: the
distance to it is computed apart.
"""

import io
import logging
from collections.abc import Iterable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from snlad.deploy.graph import is_of_networks, is_search, networks_end
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
    ends = networks_end(nodes) + [node.output[0] for node in nodes if is_search(node)]
    part = onnx.utils.Extractor(whole).extract_model([INPUT], ends)
    others = [n.name for n in part.graph.node if not (is_of_networks(n.name) or is_search(n))]
    with redirect_stdout(io.StringIO()):  # bars of its own
        quantised = nncf.quantize(
            part,
            nncf.Dataset({INPUT: one} for one in images),
            subset_size=count,
            ignored_scope=nncf.IgnoredScope(names=others),
        )
    return _replace(whole, {name for node in part.graph.node for name in node.output}, quantised)


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

"""Pictures of nets: layers as boxes, blobs as octagons, by pydot and graphviz (both optional).

    draw_net_to_file(net, "net.png")       net: a NetParameter; .raw: the graph as text

Source: Caffe's python/caffe/draw.py.
"""

from __future__ import annotations

from typing import Any

from ..errors import OutputError
from . import caffe_pb2

LAYER_STYLE_DEFAULT = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}
NEURON_LAYER_STYLE = {"shape": "record", "fillcolor": "#90EE90", "style": "filled"}
BLOB_STYLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}
_COLORS = {
    "Convolution": "#FF5050",
    "Deconvolution": "#FF5050",
    "Pooling": "#FF9900",
    "InnerProduct": "#CC33FF",
}
_LEARNING = ("Convolution", "Deconvolution", "InnerProduct")


def _pydot() -> Any:
    try:
        import pydot
    except ImportError:
        raise OutputError(
            "drawing a net needs the package pydot, which is not installed",
            remedy="Run: pip install pydot (and install graphviz for its program dot)",
        ) from None
    return pydot


def get_pooling_types_dict() -> dict[int, str]:
    """Number of a pooling method -> its name."""
    values = caffe_pb2.PoolingParameter.DESCRIPTOR.enum_types_by_name["PoolMethod"].values
    return {value.number: value.name for value in values}


def get_edge_label(layer: Any) -> str:
    """What an edge from a layer says: how many channels or samples come out of it."""
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    if layer.type == "InnerProduct":
        return str(layer.inner_product_param.num_output)
    return '""'


def get_layer_lr_mult(layer: Any) -> tuple[float, float]:
    """The learning-rate multipliers of weights and bias."""
    if layer.type not in _LEARNING:
        raise ValueError(f"{layer.type} layers do not have a learning rate multiplier")
    if len(layer.param) > 2:
        raise ValueError("Could not parse the learning rate multiplier")
    weight, bias = ([p.lr_mult for p in layer.param] + [1.0, 1.0])[:2]
    return weight, bias


def _first(sizes: Any, default: int) -> int:
    """The size along the first axis, of fields that hold one or several."""
    values = list(sizes) if hasattr(sizes, "__len__") else [sizes]
    return values[0] if values else default


def get_layer_label(layer: Any, rankdir: str, display_lrm: bool = False) -> str:
    """Name, type and, of sliding windows, sizes; side by side where the graph runs downward."""
    pools = layer.type == "Pooling"
    kind = f"Pooling {get_pooling_types_dict()[layer.pooling_param.pool]}" if pools else layer.type
    separator = " " if rankdir in ("TB", "BT") else r"\n"
    parts = [layer.name, f"({kind})"]
    if pools or layer.type in ("Convolution", "Deconvolution"):
        param = layer.pooling_param if pools else layer.convolution_param
        parts += [
            f"kernel size: {_first(param.kernel_size, 1)}",
            f"stride: {_first(param.stride, 1)}",
            f"pad: {_first(param.pad, 0)}",
        ]
    if display_lrm and layer.type in _LEARNING:
        weight, bias = get_layer_lr_mult(layer)
        if weight or bias:
            parts.append(f"lr mult: {weight:.1f}, {bias:.1f}")
    return f'"{separator.join(parts)}"'


def choose_color_by_layertype(layertype: str) -> str:
    """The colour of a layer's box."""
    return _COLORS.get(layertype, LAYER_STYLE_DEFAULT["fillcolor"])


def _included(layer: Any, phase: int | None) -> bool:
    """Whether a layer is in the net in a phase; None: in any."""
    if phase is None:
        return True
    if len(layer.include) and len(layer.exclude):
        raise ValueError(f"layer {layer.name} has both include and exclude specified.")
    if len(layer.include):
        return any(rule.phase == phase for rule in layer.include)
    return all(rule.phase != phase for rule in layer.exclude)


def get_pydot_graph(
    caffe_net: Any,
    rankdir: str,
    label_edges: bool = True,
    phase: int | None = None,
    display_lrm: bool = False,
) -> Any:
    """The graph of a NetParameter, as a pydot.Dot.

    rankdir: where it runs, such as LR or TB; phase: leave out what is not in it.
    """
    pydot = _pydot()
    graph = pydot.Dot(_quoted(caffe_net.name or "Net"), graph_type="digraph", rankdir=rankdir)
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str, str]] = []
    for layer in caffe_net.layer:
        if not _included(layer, phase):
            continue
        name, label = f"{layer.name}_{layer.type}", get_layer_label(layer, rankdir, display_lrm)
        in_place = len(layer.bottom) == 1 and list(layer.bottom) == list(layer.top)
        style = LAYER_STYLE_DEFAULT | {"fillcolor": choose_color_by_layertype(layer.type)}
        nodes[name] = (label, NEURON_LAYER_STYLE if in_place else style)
        for blob in layer.bottom:
            nodes[f"{blob}_blob"] = (_quoted(blob), BLOB_STYLE)
            edges.append((f"{blob}_blob", name, '""'))
        for blob in layer.top:
            nodes.setdefault(f"{blob}_blob", (_quoted(blob), BLOB_STYLE))
            edges.append((name, f"{blob}_blob", get_edge_label(layer) if label_edges else '""'))
    made = {
        name: pydot.Node(_quoted(name), label=label, **style)
        for name, (label, style) in nodes.items()
    }
    for node in made.values():
        graph.add_node(node)
    for source, target, label in edges:
        graph.add_edge(pydot.Edge(made[source], made[target], label=label))
    return graph


def _quoted(text: str) -> str:
    return '"' + text.replace('"', r"\"") + '"'


def draw_net(
    caffe_net: Any,
    rankdir: str,
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """The picture of a net in a format: "raw" is the graph's text, the others need graphviz."""
    graph = get_pydot_graph(caffe_net, rankdir, phase=phase, display_lrm=display_lrm)
    if ext == "raw":
        return str(graph.to_string()).encode()
    try:
        return bytes(graph.create(format=ext))
    except FileNotFoundError:
        raise OutputError(
            "drawing a net needs graphviz, whose program dot is not there",
            remedy="Install graphviz, or write a file that ends in .raw",
        ) from None


def draw_net_to_file(
    caffe_net: Any,
    filename: str,
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Write the picture of a net; the file's extension names the format."""
    picture = draw_net(caffe_net, rankdir, filename.rpartition(".")[2], phase, display_lrm)
    with open(filename, "wb") as file:
        file.write(picture)

"""Which input sizes fit a net, and how its output lies in its input.

An unpadded U-Net accepts only some sizes: at every pooling the windows must cover the map without a
rest, and every crop must cut the same amount on both sides.  Caffe's rounding lets other sizes run
with skips that are off centre; here they are refused, naming the nearest that fit (suggest.py).
All of it is found by shape inference, not from a formula about U-Nets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import ShapeError
from ..layers.base import Layer, Shape
from ..netspec.graph import Graph, Node, Value

LOOSE = 64  # pixels, up to which a net is tried that no size fits


def trunk(graph: Graph) -> tuple[Value, list[Node]] | None:
    """The image blob (the first top of a layer without bottoms that a convolution depends on, and
    on no other such top) and the nodes that depend on it alone."""
    for image in (top for node in graph.nodes if not node.bottoms for top in node.tops):
        known, nodes = {image}, []
        for node in graph.nodes:
            if node.bottoms and all(v in known for v in (*node.bottoms, *node.likes)):
                known.update(node.tops)
                nodes.append(node)
        if any(node.type in ("Convolution", "Deconvolution") for node in nodes):
            return image, nodes
    return None


def try_size(
    layers: Sequence[Layer],
    image: Value,
    nodes: Sequence[Node],
    shape: Shape,
    *,
    exact: bool = False,
) -> dict[Value, Shape] | None:
    """Shapes along the trunk for another image shape; None where a layer refuses it, or, if exact,
    at the first layer that leaves a rest or cuts off centre."""
    shapes = {image: shape}
    for node in nodes:
        try:
            if exact and (leaves_rest(node, layers, shapes) or cuts_aside(node, layers, shapes)):
                return None
            read = (*node.bottoms, *node.likes)
            tops = layers[node.index].top_shapes(*(shapes[v] for v in read))
        except ShapeError:
            return None
        if any(size < 1 for top in tops for size in top):
            return None
        shapes.update(zip(node.tops, tops, strict=True))
    return shapes


def leaves_rest(node: Node, layers: Sequence[Layer], shapes: Mapping[Value, Shape]) -> bool:
    """Whether this is a pooling whose windows do not cover its bottom without a rest."""
    if node.type != "Pooling" or node.layer.pooling_param.global_pooling:
        return False
    size = shapes[node.bottoms[0]][2:]
    window = layers[node.index].window(len(size))  # type: ignore[attr-defined]
    sides = zip(size, window.kernel, window.stride, window.pad, strict=True)
    return any((s + 2 * p - k) % step for s, k, step, p in sides)


def cuts_aside(node: Node, layers: Sequence[Layer], shapes: Mapping[Value, Shape]) -> bool:
    """Whether this is a Crop that cuts more on one side of a spatial axis than on the other."""
    if node.type != "Crop":
        return False
    data, like = (shapes[v] for v in node.bottoms)
    offsets = layers[node.index].offsets(len(data))  # type: ignore[attr-defined]
    return any(a - b != 2 * o for a, b, o in zip(data[2:], like[2:], offsets[2:], strict=True))


def unpadded(nodes: Sequence[Node]) -> bool:
    """Whether every convolution is valid; padded nets (FCN) mean to take any size."""
    return not any(
        any(node.layer.convolution_param.pad)
        or node.layer.convolution_param.pad_h
        or node.layer.convolution_param.pad_w
        for node in nodes
        if node.type == "Convolution"
    )


def local(nodes: Sequence[Node], layers: Sequence[Layer], axes: int) -> bool:
    """Whether an output pixel depends only on image pixels, wherever the image is cut: nothing adds
    zeros around what it reads, leaves sums at an edge incomplete, or looks at the whole."""
    for node in nodes:
        if node.type in ("Convolution", "Deconvolution", "Pooling", "Im2col"):
            if node.layer.pooling_param.global_pooling:
                return False
            window = layers[node.index].window(axes)  # type: ignore[attr-defined]
            # of a deconvolution, the outermost extent - stride pixels get only a part of their sum
            deconvolves = node.type == "Deconvolution"
            edges = zip(window.extent, window.stride, window.pad, strict=True)
            if any(n - s > p if deconvolves else p > 0 for n, s, p in edges):
                return False
        elif node.type == "BatchNorm":
            param = node.layer.batch_norm_param
            if param.HasField("use_global_stats") and not param.use_global_stats:
                return False
        elif node.type == "MVN":
            return False
        elif node.type == "LRN":
            lrn = node.layer.lrn_param
            if lrn.norm_region == lrn.WITHIN_CHANNEL and lrn.local_size > 1:
                return False
    return True


def misfit(
    graph: Graph, layers: Sequence[Layer], shapes: Mapping[Value, Shape]
) -> ShapeError | None:
    """Why these shapes, though Caffe would run them, put an unpadded net's skips off centre."""
    found = trunk(graph)
    if found is None or not unpadded(found[1]):
        return None
    image, nodes = found
    pool = next((node for node in nodes if leaves_rest(node, layers, shapes)), None)
    crop = next((node for node in nodes if cuts_aside(node, layers, shapes)), None)
    if pool is None or crop is None:
        return None
    size = " x ".join(map(str, shapes[pool.bottoms[0]][2:]))
    return ShapeError(
        f"an image of {' x '.join(map(str, shapes[image][2:]))} pixels does not fit this net: "
        f"layer '{pool.name}' (Pooling) gets {size}, which its windows do not divide, so that "
        f"layer '{crop.name}' (Crop) would cut more on one side than on the other",
        where=pool.where,
    )


def legal(
    layers: Sequence[Layer], image: Value, nodes: Sequence[Node], shape: Shape
) -> dict[Value, Shape] | None:
    """Shapes along the trunk if nothing is left over or off centre, else None."""
    return try_size(layers, image, nodes, shape, exact=True)


@dataclass(frozen=True)
class Geometry:
    """How an output lies in its input, for one spatial axis of all: legal inputs are
    smallest + k * step pixels, an input of n pixels gives n - before - after, and output pixel i
    lies on input pixel i + before."""

    smallest: int
    step: int
    before: int
    after: int

    def input_for(self, output: int) -> int:
        """The smallest legal input that gives at least `output` pixels."""
        wanted = output + self.before + self.after
        return self.smallest + max(0, -(-(wanted - self.smallest) // self.step)) * self.step

    def output_of(self, size: int) -> int:
        return size - self.before - self.after

    def nearest(self, size: int) -> tuple[int, int]:
        """The nearest legal inputs not above and not below `size`."""
        k = max(0, (size - self.smallest) // self.step)
        low = self.smallest + k * self.step
        return low, low if low == size else low + (self.step if low < size else 0)

    def is_legal(self, size: int) -> bool:
        return size >= self.smallest and (size - self.smallest) % self.step == 0


def needed_besides(graph: Graph, nodes: Sequence[Node], image: Value, output: Value) -> list[Value]:
    """The values made from nothing, apart from the image, that an output depends on."""
    if any(output in node.tops for node in nodes):
        return []
    maker = {top: node for node in graph.nodes for top in node.tops}
    seen, waiting = {output}, [output]
    while waiting:
        new = set(maker[waiting.pop()].bottoms) - seen
        seen |= new
        waiting.extend(new)
    return [v for v in maker if v in seen and not maker[v].bottoms and v != image]


def geometry(graph: Graph, layers: Sequence[Layer], output: str) -> Geometry:
    """Measure the geometry from the image blob to the blob `output` by trying sizes, in a net that
    treats its spatial axes alike (one_axis.py knows the others).

    Raises ShapeError where the output needs more than the image, or where they do not differ by a
    constant (the net changes scale).
    """
    found = trunk(graph)
    value = next((v for v in graph.outputs if v.blob == output), None)
    if found is None or value is None:
        raise ShapeError(f"there is no path from an image to '{output}'", where=graph.path)
    image, nodes = found
    others = needed_besides(graph, nodes, image, value)
    if others:
        raise ShapeError(
            f"the output '{output}' needs more than the image '{image.blob}'",
            where=graph.path,
            expected="one input",
            found=f"also {', '.join(repr(v.blob) for v in others)}",
            remedy="Remove from the deploy prototxt what the score does not need",
        )
    source = next(node for node in graph.nodes if image in node.tops)
    shape = layers[source.index].shapes().tops[source.tops.index(image)]
    axes = len(shape[2:])
    fits: list[tuple[int, int]] = []
    size = 1
    while len(fits) < 3 and size < 4096:
        shapes = legal(layers, image, nodes, shape[:2] + (size,) * axes)
        if shapes is not None:
            out = shapes[value][2:]
            if not out:
                raise ShapeError(
                    f"the output '{output}' is no image",
                    where=graph.path,
                    found=f"a blob of {' x '.join(map(str, shapes[value])) or 'one number'}",
                )
            fits.append((size, out[0]))
        size += 1
    if len(fits) < 3:  # though it runs, off centre?
        fits = loose(layers, image, nodes, shape, value)
        if len({n - m for n, m in fits}) > 1:
            raise another_scale(graph, output, fits)
        raise ShapeError("no legal image size below 4096 was found for this net", where=graph.path)
    (n0, m0), (n1, m1), (n2, m2) = fits
    if n1 - n0 != n2 - n1 or n0 - m0 != n1 - m1 or n1 - m1 != n2 - m2:
        raise another_scale(graph, output, fits)
    border = n0 - m0
    return Geometry(n0, n1 - n0, border // 2, border - border // 2)


def loose(
    layers: Sequence[Layer], image: Value, nodes: Sequence[Node], shape: Shape, output: Value
) -> list[tuple[int, int]]:
    """Sizes that the net runs at, though not as `legal` wants it, and those of its output; the size
    that it names itself comes last."""
    found = []
    for size in (*range(1, LOOSE), *shape[2:3]):
        shapes = try_size(layers, image, nodes, shape[:2] + (size,) * len(shape[2:]))
        if shapes is not None and len(shapes[output]) > 2:
            found.append((size, shapes[output][2]))
    return found


def another_scale(graph: Graph, output: str, fits: Sequence[tuple[int, int]]) -> ShapeError:
    """Of an output that is not the input less a constant border; fits: sizes of both."""
    larger = all(m > n for n, m in fits[-2:])
    how = "is larger than the image" if larger else "is not the input less a constant border"
    return ShapeError(
        f"the output '{output}' {how}",
        where=graph.path,
        found=", ".join(f"{n} -> {m} pixels" for n, m in fits[-1 if larger else -3 :]),
        remedy="Only nets whose output has the scale of the image can be tiled; pycaffe runs "
        "others",
    )

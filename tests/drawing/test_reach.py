"""Receptive fields, against which pixels really change a value."""

import numpy as np
import pytest
from demitasse import drawing, netspec
from demitasse.drawing.reach import field
from demitasse.net import Net

LAYER = 'layer {{ name: "{0}" type: "{1}" bottom: "{2}" top: "{0}" {3} }}\n'
POSITIVE = 'weight_filler { type: "uniform" min: 0.5 max: 1 }'


def conv(name, bottom, settings):
    return LAYER.format(
        name, "Convolution", bottom, f"convolution_param {{ num_output: 2 {settings} {POSITIVE} }}"
    )


def up(name, bottom, settings):
    return conv(name, bottom, settings).replace('"Convolution"', '"Deconvolution"')


def pool(name, bottom, settings):
    return LAYER.format(name, "Pooling", bottom, f"pooling_param {{ {settings} }}")


NETS = {
    "a strided, dilated convolution": conv("a", "data", "kernel_size: 3 stride: 2 dilation: 2")
    + conv("top", "a", "kernel_size: 3 pad: 1"),
    "overlapping windows": pool("a", "data", "pool: AVE kernel_size: 3 stride: 2")
    + up("top", "a", "kernel_size: 4 stride: 2 pad: 1"),
    "a small U": conv("a", "data", "kernel_size: 3")
    + pool("b", "a", "pool: MAX kernel_size: 2 stride: 2")
    + conv("c", "b", "kernel_size: 3")
    + up("d", "c", "kernel_size: 2 stride: 2")
    + 'layer { name: "e" type: "Crop" bottom: "a" bottom: "d" top: "e" '
    "crop_param { axis: 2 offset: 2 } }\n"
    'layer { name: "f" type: "Concat" bottom: "d" bottom: "e" top: "f" }\n'
    + conv("top", "f", "kernel_size: 3"),
}


@pytest.mark.parametrize("text", NETS.values(), ids=NETS)
@pytest.mark.parametrize("size", [22, 30])
def test_as_many_pixels_change_a_value_as_its_field_is_wide(text, size):
    head = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape '
        f"{{ dim: {size + 1} dim: 1 dim: {size} dim: {size} }} }} }}\n"
    )
    graph = netspec.build(netspec.parse_net(head + text, "net"), "TEST")
    net = Net(graph, dtype=np.float64)
    image = np.zeros((size + 1, 1, size, size))
    for column in range(size):
        image[column, 0, :, column] = 1000
    net.blobs["data"].data[...] = image
    net.forward()
    (top,) = net.outputs
    found = net.blobs[top].data
    changed = (found[:-1] != found[-1]).any(axis=(1, 2))  # column of the image, column of the top
    widths = [np.ptp(np.flatnonzero(c)) + 1 for c in changed.T if c.any()]
    facts = drawing.look(graph)
    value = {m.blob: m.value for m in facts.maps}
    expected = field(graph, facts.layers, facts.shapes, value[top], value["data"])
    inner = widths[3:-3] or widths  # at the rim a part of the field is padding
    assert expected == (max(inner),) * 2


def test_what_looks_at_all_of_the_image_has_no_field():
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape '
        "{ dim: 1 dim: 1 dim: 8 dim: 8 } } }\n"
        + pool("top", "data", "global_pooling: true")
        + conv("last", "top", "kernel_size: 1")
    )
    facts = drawing.look(netspec.build(netspec.parse_net(text, "net"), "TEST"))
    value = {m.blob: m.value for m in facts.maps}
    assert field(facts.graph, facts.layers, facts.shapes, value["last"], value["data"]) is None

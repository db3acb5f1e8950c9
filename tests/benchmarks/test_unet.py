"""The list of steps is the net of the prototxt."""

import numpy as np
import pytest
from demitasse import netspec
from demitasse.tools.plan import plan_deploy


@pytest.mark.parametrize("base", [64, 4])
def test_steps_are_the_layers_of_the_prototxt(base):
    import _unet

    graph, planned = plan_deploy(_unet.source(base), (1, 1, 188, 188))
    values = planned.inferred.values
    shapes = {v.blob: values[v] for node in graph.nodes for v in node.tops}
    sizes = _unet.sizes(188, base)
    learnt = {node.name for node in graph.nodes if "onvolution" in node.type}
    assert {s.name for s in _unet.steps(base)} <= {node.name for node in graph.nodes}
    assert {s.name for s in _unet.steps(base) if s.kind in _unet.LEARNT} == learnt
    for step in _unet.steps(base):
        n = sizes[step.top]
        assert shapes[step.top] == (1, step.outputs, n, n)
    assert sizes["score"] == 188 - _unet.LOST


def test_parameters_and_operations_of_the_paper():
    import _unet

    steps = [s for s in _unet.steps(64) if s.kind in _unet.LEARNT]
    assert sum(np.prod(s.shape) + s.outputs for s in steps) == 31_030_658
    work = [_unet.flop(s, _unet.sizes(572, 64)) for s in steps]
    assert sum(f for f, _ in work) == pytest.approx(300.86e9, rel=1e-4)
    assert work[0][1] == work[0][0] and work[1][1] == 2 * work[1][0]


def test_every_blob_ends_once():
    import _unet

    steps = _unet.steps(8)
    ends = [blob for s in steps for blob in s.ends]
    assert sorted(ends) == sorted({b for s in steps for b in s.bottoms})
    assert "d0c" not in next(s for s in steps if s.name == "pool_d0c-1a").ends


def test_the_width_of_the_source():
    import _unet

    message = netspec.deploy(_unet.source(16), softmax=False)
    outputs = [x.convolution_param.num_output for x in message.layer if x.type == "Convolution"]
    assert outputs[0] == 16 and max(outputs) == 256 and outputs[-1] == 2


def test_ncnn_s_graph_reads_every_blob_once():
    import peer_ncnn

    magic, counts, *lines = peer_ncnn.graph(8).splitlines()
    assert magic == "7767517"
    bottoms, tops = [], []
    for line in lines:
        _, _, n, m, *rest = line.split()
        bottoms += rest[: int(n)]
        tops += rest[int(n) : int(n) + int(m)]
    assert counts == f"{len(lines)} {len(tops)}"
    assert len(set(tops)) == len(tops) and sorted(bottoms) == sorted(set(tops) - {"score"})

"""The nets that came after the U-Net's release: parameters, sizes, and what training adds."""

import pytest
from demitasse import netspec
from demitasse.errors import ShapeError
from demitasse.net.one_axis import geometries
from demitasse.net.sizes import Geometry

from .nets import MODELS, deployed

# net, size of a tile, of its score, classes, parameters
SIZES = [
    ("unet.prototxt", (572, 572), (388, 388), 2, 31_030_658),
    ("phseg_v7.prototxt", (540, 540), (356, 356), 2, 31_030_658),
    ("2d_cell_net_v0.prototxt", (540, 540), (356, 356), 2, 31_321_794),
    ("2d_cell_net_v0.prototxt", (188, 188), (4, 4), 2, 31_321_794),
    ("unet_augmented.prototxt", (572, 572), (388, 388), 2, 31_030_658),
    ("unet3d.prototxt", (116, 132, 132), (28, 44, 44), 3, 19_069_123),
    ("unet3d.prototxt", (92, 92, 100), (4, 4, 12), 3, 19_069_123),
    ("unet3d_bn.prototxt", (116, 132, 132), (28, 44, 44), 3, 19_072_387 + 6_481),
    ("unet3d_anisotropic.prototxt", (32, 212, 212), (16, 124, 124), 2, 5_944_482),
    ("unet3d_anisotropic.prototxt", (18, 92, 100), (2, 4, 12), 2, 5_944_482),
]
AUGMENTED = sorted({name for name, *_ in SIZES} - {"unet.prototxt"})


@pytest.mark.parametrize(("name", "size", "out", "classes", "count"), SIZES)
def test_sizes_and_parameters(name, size, out, classes, count):
    net = deployed(name, *size)
    assert net.sizes["score"] == (1, classes, *out)
    assert net.count == count


def test_what_batch_normalisation_learns():
    net = deployed("unet3d_bn.prototxt", 116, 132, 132)
    learned = [p for p in net.table if net.layers[p.node].learns]
    assert sum(p.count for p in learned) == 19_072_387  # 64 + 1 more for each of 18 more classes
    assert 19_072_387 + 18 * 65 == 19_073_557
    norms = [n for n in net.graph.nodes if n.type == "BatchNorm"]
    assert len(norms) == 17
    for node in norms:
        param = node.layer.batch_norm_param
        assert param.HasField("use_global_stats") and not param.use_global_stats
        assert [p.lr_mult for p in node.layer.param] == [0, 0, 0]
    biased = [n.name for n in net.graph.nodes if n.layer.convolution_param.bias_term]
    assert [n for n in biased if "conv" in n] == ["conv_d0a-b", "conv_u0d-score"]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("unet3d.prototxt", (116, 132, 130)),
        ("unet3d.prototxt", (84, 132, 132)),
        ("unet3d_anisotropic.prototxt", (17, 92, 92)),
        ("phseg_v7.prototxt", (572, 570)),
    ],
)
def test_other_sizes_are_refused(name, size):
    with pytest.raises(ShapeError):
        deployed(name, *size)


@pytest.mark.parametrize("name", AUGMENTED)
def test_training_bends_all_maps_alike_and_deploying_needs_the_image_alone(name):
    source = netspec.read_net(str(MODELS / name))
    nodes = {node.name: node for node in netspec.build(source, "TRAIN").nodes}
    (create,) = (n for n in nodes.values() if n.type == "CreateDeformation")
    applied = [n for n in nodes.values() if n.type == "ApplyDeformation"]
    assert {n.layer.bottom[1].partition("_")[0] for n in applied} == {create.layer.top[0]}
    rules = {n.layer.top[0]: n.layer.apply_deformation_param for n in applied}
    loss = nodes["loss"]
    for blob in loss.layer.bottom[1:]:
        assert rules[blob].output_shape_from == "score"
    assert rules["labelcrop"].interpolation == "nearest"
    assert all(layer.name for layer in source.message.layer)

    deploy = netspec.deploy(source, softmax=False)
    made = [la.top[0] for la in deploy.layer if la.type == "Input"]
    assert made == ["data3" if name.startswith("2d") else "data"]
    assert not [la.type for la in deploy.layer if "Deformation" in la.type or "Augm" in la.type]


@pytest.mark.parametrize("name", AUGMENTED)
def test_the_tile_that_training_bends_is_legal(name):
    source = netspec.read_net(str(MODELS / name))
    (param,) = (
        la.create_deformation_param for la in source.message.layer if la.type == "CreateDeformation"
    )
    size = (param.nz, param.ny, param.nx) if param.nz else (param.ny, param.nx)
    assert param.ncomponents == len(size) == len(param.random_elastic_grid_spacing.v)
    assert min(deployed(name, *size).sizes["score"][2:]) > 0


def test_how_a_volume_may_be_cut():
    net = deployed("unet3d.prototxt", 92, 92, 92)
    assert geometries(net.graph, net.layers, "score") == (Geometry(92, 8, 44, 44),) * 3
    net = deployed("unet3d_anisotropic.prototxt", 20, 92, 92)
    plane = Geometry(92, 8, 44, 44)
    assert geometries(net.graph, net.layers, "score") == (Geometry(18, 2, 8, 8), plane, plane)


def test_a_refused_volume_names_the_nearest_of_each_axis():
    with pytest.raises(ShapeError) as refused:
        deployed("unet3d_anisotropic.prototxt", 21, 92, 90)
    assert "instead of 21 along z: 20 or 22; instead of 90 along x: 92" in str(refused.value)

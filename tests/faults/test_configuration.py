"""Configuration: prototxt, solver and command line

Every refusal says path:line:column where a text is at fault, and comes before iteration 0.
"""

from pathlib import Path

import pytest
from demitasse.tools import caffe, deploy, plan, solve

pytestmark = pytest.mark.usefixtures("tiny")

SOLVER = "solver.prototxt"
POOL = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"


@pytest.fixture
def net(edit, refused):
    """Train with words of net.prototxt replaced; what was said."""

    def net(old, new):
        edit("net.prototxt", old, new)
        said = refused(solve.main, SOLVER)
        assert not list(Path().glob("tiny*"))  # nothing was begun
        return said

    return net


@pytest.fixture
def solver(edit, refused):
    """Train with words of solver.prototxt replaced; what was said."""

    def solver(old, new):
        edit(SOLVER, old, new)
        said = refused(solve.main, SOLVER)
        assert not list(Path().glob("tiny*"))
        return said

    return solver


# ---------------------------------------------------------------------- the text


def test_a_misspelt_field(net):
    """A field's name was misspelt.
    Refused with path:line:column and the nearest known field.
    """
    said = net("num_output: 4 kernel_size: 3", "num_outputs: 4 kernel_size: 3")
    assert "net.prototxt:5:23: 'convolution_param' has no field 'num_outputs'" in said
    assert "Did you mean num_output?" in said


def test_a_misspelt_value_of_an_enum(net):
    """A named value (`pool: MAXX`) was misspelt.
    Refused with path:line:column and the nearest known value.
    """
    said = net("pool: MAX", "pool: MAXX")
    assert "net.prototxt:8:25: 'pool' has no value 'MAXX'" in said and "Did you mean MAX?" in said


@pytest.mark.parametrize("place", ["} }\nlayer", 'd0" }'])
def test_a_missing_brace(place, net):
    """A closing brace was left out.
    Refused at the field that cannot stand there, with the block that lacks its brace.
    """
    old = {"} }\nlayer": "batch_size: 1 } }", 'd0" }': 'bottom: "d0" top: "d0" }'}[place]
    said = net(old, old[:-1])
    assert "net.prototxt:" in said and "A '}' seems to be missing before it, for 'layer'" in said


def test_a_brace_too_many(net):
    """One closing brace too many.
    Refused at that brace.
    """
    said = net("batch_size: 1 } }", "batch_size: 1 } } }")
    assert "net.prototxt:3:59: a block is closed that was not opened" in said


def test_a_negative_size(net):
    """A size that cannot be negative was negative.
    Refused with path:line:column and the range.
    """
    said = net(POOL, "pooling_param { pool: MAX kernel_size: -2 stride: 2 }")
    assert "net.prototxt:8:42: 'kernel_size' is out of range" in said
    assert "expected 0 to 4294967295, found '-2'" in said


def test_a_field_given_twice(net):
    """A field that takes one value was given twice.
    Refused with both places.
    """
    said = net("num_output: 4 kernel_size: 3", "num_output: 4 num_output: 5 kernel_size: 3")
    assert "net.prototxt:5:37: 'num_output' is given twice" in said
    assert "the first in line 5, column 23" in said


def test_a_net_where_a_solver_belongs(refused, edit):
    """Net and solver were confused.
    Refused, saying which kind of file it is.
    """
    said = refused(solve.main, "net.prototxt")
    assert "net.prototxt:1:1: a solver has no field 'name'. It is a field of a net" in said
    edit(SOLVER, '"net.prototxt"', '"solver.prototxt"')
    said = refused(solve.main, SOLVER)
    assert "solver.prototxt: is a solver, not a net. Give the net that it trains." in said


# ---------------------------------------------------------------------- layers and blobs


def test_an_unknown_layer_type(net):
    """A layer's type was misspelt.
    Refused with its place, the nearest types first, then all that are known.
    """
    said = net('"ReLU"', '"Relu"')
    assert "net.prototxt:6:1: layer 'r0' is of an unknown type 'Relu'" in said
    assert said.index("Did you mean ReLU") < said.index("Known types: AbsVal")


def test_a_layer_that_only_freiburgs_caffe_has(net):
    """A net needs a layer of Freiburg's Caffe that demitasse lacks.
    Refused, naming the program that has it.
    """
    said = net('"ReLU"', '"GradientReversal"')
    assert "which only Freiburg's caffe_unet has; demitasse does not have it yet" in said


def test_a_bottom_that_no_layer_makes(net):
    """A bottom's name was misspelt.
    Refused with path:line:column, layer and blob.
    """
    said = net('bottom: "d1"', 'bottom: "dl"')
    assert "net.prototxt:9:40: layer 'd1' reads the blob 'dl', which no layer makes" in said


def test_two_layers_that_make_one_blob(net):
    """Two layers write the same top, not in place.
    Refused with path:line:column and both layers.
    """
    said = net('top: "e1"', 'top: "d0"')
    assert "net.prototxt:9:53: the blob 'd0' is made twice, by layer 'd0' and by layer 'd1'" in said


def test_a_cycle(net):
    """A layer reads what a later layer makes.
    Refused with both layers and which must come first.
    """
    said = net('bottom: "data" top: "d0"', 'bottom: "v0" top: "d0"')
    assert "net.prototxt:4:40: layer 'd0' reads the blob 'v0', which is made later" in said
    assert "Put layer 'cat' before it" in said


def test_a_layer_that_reads_itself(net):
    """A layer reads the blob that it makes, and nobody made it before.
    Refused with path:line:column.
    """
    said = net('bottom: "data" top: "d0"', 'bottom: "d0" top: "d0"')
    assert "net.prototxt:4:40: layer 'd0' reads the blob 'd0', which it makes itself" in said


def test_a_top_that_nobody_reads(edit, run):
    """A top is read by no layer.
    Allowed, as in Caffe: it is an output of the net, and shown with the others.
    """
    spare = (
        'layer { name: "spare" type: "Pooling" bottom: "score" top: "spare" '
        "pooling_param { pool: AVE global_pooling: true } }\n"
    )
    edit("net.prototxt", 'layer { name: "loss"', f'{spare}layer {{ name: "loss"')
    edit(SOLVER, "max_iter: 4", "max_iter: 1 display: 1")
    ended = run(solve.main, SOLVER)
    assert ended.code == 0 and "Train net output #1: spare = " in ended.out


def test_a_size_that_the_net_cannot_take(refused):
    """An image size does not divide on its way down the U-Net.
    Refused with the layer, its size and the two nearest legal sizes.
    """
    unet = Path(plan.__file__).parents[1] / "models" / "unet.prototxt"
    said = refused(plan.main, unet, "--input", 570)
    assert said.startswith(f"error: {unet}:55:1: an image of 570 x 570 pixels does not fit this")
    assert "layer 'pool_d1c-2a' (Pooling) gets 279 x 279" in said
    assert "Nearest legal sizes instead of 570: 556 or 572." in said


# ---------------------------------------------------------------------- the solver


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("base_lr: 0.01", "", "has no base_lr. Add a line such as base_lr: 0.01"),
        ("base_lr: 0.01", "base_lr: nan", "base_lr is not finite; found nan"),
        ('lr_policy: "fixed"', "", "has no lr_policy; expected one of fixed, step"),
        ('"fixed"', '"stp"', "lr_policy 'stp' is not known; expected one of fixed, step"),
        ('"fixed"', '"step" gamma: 0.1', "lr_policy 'step' needs stepsize; expected at least 1"),
        ("max_iter: 4", "", "max_iter must be at least 1; found 0. Add a line"),
        ("max_iter: 4", "max_iter: 0", "max_iter must be at least 1; found 0. Add a line"),
        ("max_iter: 4", "max_iter: 4 test_iter: 1", "has test_iter but no test_interval"),
        ("max_iter: 4", "max_iter: 4 iter_size: 0", "iter_size must be at least 1; found 0"),
        ("max_iter: 4", 'max_iter: 4 type: "Adm"', "type 'Adm' is not known"),
    ],
)
def test_a_solver_that_cannot_be_followed(old, new, words, solver):
    """base_lr, lr_policy, stepsize, max_iter, test_interval, iter_size or type is missing or wrong.
    Refused before iteration 0 with the field and what it should be.
    """
    assert f"solver.prototxt: {words}" in solver(old, new).replace("solver type", "type")


def test_a_test_interval_without_test_iter(edit, run):
    """A solver says how often to test, but not with how many batches.
    Trains, and says that nothing will be tested.
    """
    edit(SOLVER, "max_iter: 4", "max_iter: 1 test_interval: 1")
    ended = run(solve.main, SOLVER)
    assert ended.code == 0
    assert "test_interval is given but no test_iter, so nothing will be tested" in ended.out


@pytest.mark.parametrize("main", [solve.main, lambda argv: caffe.main(["train", *argv])])
def test_a_training_net_without_a_loss(main, edit, refused):
    """The loss is missing from the training net, or left out of phase TRAIN.
    Refused, where Caffe would run to the end and learn nothing.
    """
    edit("net.prototxt", '"SoftmaxWithLoss"', '"SoftmaxWithLoss" include { phase: TEST }')
    said = refused(main, "-solver", SOLVER)
    assert "net.prototxt: the training net has no loss, so nothing would be learned" in said
    assert not list(Path().glob("tiny*"))


def test_a_training_net_whose_layers_are_all_frozen(edit, refused):
    """Every layer has lr_mult: 0.
    Refused: no parameter can learn.
    """
    text = Path("net.prototxt").read_text()
    frozen = text.replace(
        "convolution_param", "param { lr_mult: 0 } param { lr_mult: 0 } convolution_param"
    )
    Path("net.prototxt").write_text(frozen)
    said = refused(solve.main, SOLVER)
    assert "no parameter of the training net can learn" in said and "lr_mult: 0" in said


def test_a_deployment_with_the_training_net(trained, run):
    """The training net, with its data layer and loss, was given to deploy.
    Works: data layer and loss are left out.
    """
    given = ["--weights", "tiny_iter_4.caffemodel.h5", "--model", "net.prototxt", "img.tif"]
    assert run(deploy.main, *given).code == 0 and Path("img.labels.tif").exists()


# ---------------------------------------------------------------------- files and devices


def test_a_net_file_that_is_not_there(solver):
    """The solver names a net that does not exist.
    Refused with the nearest file names and the folder that the path is relative to.
    """
    said = solver('"net.prototxt"', '"nte.prototxt"')
    assert "nte.prototxt: there is no such file. Did you mean net.prototxt" in said
    assert f"The path is relative to {Path.cwd()}" in said


def test_a_data_source_that_is_not_there(net):
    """The data layer names a list that does not exist.
    Refused with the path and the folder that it is relative to.
    """
    said = net('source: "train.txt"', 'source: "lists/train.txt"')
    assert f"lists/train.txt: does not exist. The path is relative to {Path.cwd()}" in said


@pytest.mark.parametrize("device", ["99", "all", "-1", "first"])
def test_a_gpu_that_cannot_be_used(device, refused):
    """A GPU was asked for where none can be used.
    Refused with CUDA's words "invalid device ordinal", which the Fiji plugin looks for.
    """
    said = refused(solve.main, SOLVER, "-gpu", device)
    assert f"-gpu {device}: invalid device ordinal" in said and "-gpu none" in said

"""The paper's net on a card: the CPU's numbers, the same bits twice, resumed, recorded or not; what
happens where memory ends; and the sanitizer on small shapes.

Bodies that take `where` run on the CPU as well, with few channels.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import DeviceError, MemoryBudgetError
from demitasse.kernels.device import CPU
from demitasse.net import Net
from demitasse.solvers.sgd import SGD
from demitasse.tools import solve
from demitasse.tools._main import guarded
from demitasse.tools.plan import plan_deploy, training_graph
from devices import CARD, EMULATOR, card, device

from ..models.nets import MODELS

SIZE = 188
# By precision: of the loss and the scores, and of the gradient of any parameter (norms).  Gradients
# jump: of millions of values behind a rectifier or in a pooling window some lie so near the kink
# that rounding decides their side, and each that changes it changes gradients by up to 3e-2.  So it
# is between two float32 engines of the CPU, and rounded operands change 0.1 or 0.3 of the gradient
# and 0.001 or 0.01 of the scores (test_bounds.py).
BOUNDS = {
    "fp32-strict": (1e-5, 5e-2),
    "fp32": (1e-5, 5e-2),
    "tf32": (5e-3, 0.3),
    "bf16": (3e-2, 0.6),
}
# ... and of each layer, given the same values, so that all take the same side
OF_A_LAYER = {"fp32-strict": 2e-6, "fp32": 2e-6, "tf32": 1e-3, "bf16": 1e-2}
SOLVER = """
base_lr: 1e-3 lr_policy: "fixed" momentum: 0.9 weight_decay: 5e-4 max_iter: 99 random_seed: 3
snapshot_prefix: "run" snapshot_format: HDF5
"""
ON = [pytest.param(CARD, marks=pytest.mark.gpu), "cpu"]


def graph(base):
    source = netspec.read_net(str(MODELS / "unet.prototxt"))
    for layer in source.message.layer:
        if layer.type in ("Convolution", "Deconvolution") and layer.top[0] != "score":
            layer.convolution_param.num_output = layer.convolution_param.num_output * base // 64
    deploy, planned = plan_deploy(source, (1, 1, SIZE, SIZE))
    return training_graph(source, deploy, planned.inferred.values)


def net_on(device, base, seed=5, **settings):
    return Net(graph(base), seed=seed, device=device, **settings)


def give(net):
    rng = np.random.default_rng(1)
    for name in net.inputs:
        blob = net.blobs[name]
        values = rng.standard_normal(blob.shape, np.float32)
        if name == "label":
            values = (values > 0).astype(np.float32)
        blob.data[...] = np.abs(values) if name == "weight" else values


def learned(device, base, seed=5, **settings):
    """Loss, scores and gradients of one pass; of the scores' own one before it, for a pass that
    goes on writes over them."""
    net = net_on(device, base, seed, **settings)
    give(net)
    last = next(n.index for n in net.graph.nodes if any(top.blob == "score" for top in n.tops))
    net.forward(end=last)
    scores = net.read("score").astype(float)
    net.clear_param_diffs()
    loss = net.forward()
    net.backward()
    flat = net.device.host(net.flat_diff).astype(float)
    return (
        loss,
        scores,
        {f"{p.layer}/{p.index}": flat[p.offset : p.offset + p.count] for p in net.learnable},
    )


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


def worst(there, here):
    """How far apart two are that learned: loss, scores, and the parameter whose gradient differs
    most, with how much."""
    off = {k: relative(there[2][k], g) for k, g in here[2].items()}
    most = max(off, key=off.get)
    return abs(there[0] / here[0] - 1), relative(there[1], here[1]), (most, off[most])


@pytest.mark.gpu
@pytest.mark.parametrize("precision", BOUNDS)
def test_the_papers_net_learns_as_on_the_cpu(precision):
    """Dropout included: the masks are the same."""
    there, here = learned(card(precision), 64), learned(CPU, 64, engine="caffe")
    loss, scores, (parameter, gradient) = worst(there, here)
    of_scores, of_gradient = BOUNDS[precision]
    assert max(loss, scores) <= of_scores
    assert gradient <= of_gradient, f"{parameter} is off by {gradient}"


def each_layer(there, here):
    """How far each layer's tops and gradients on `there` are from the CPU's, given the same bottoms
    and diffs: (what, found, wanted, scale)."""

    def give(name, value):
        mine, theirs = (getattr(net.values[value], name) for net in (here, there))
        if mine is not None and theirs is not None:
            mine[...] = there.device.host(theirs)
            if name == "data":  # a part of a net reads what is seen
                here.blobs[value.blob].data[...] = mine

    def both(name, value):
        theirs, mine = (getattr(net.values[value], name) for net in (there, here))
        return there.device.host(theirs).astype(float), mine.astype(float)

    here.device.write(here.flat_data, there.device.host(there.flat_data))
    for node in here.graph.nodes:
        for bottom in node.bottoms:
            give("data", bottom)
        for net in (there, here):
            net.forward(node.index, node.index)
        for top in node.tops:
            yield (f"{top} of {node.name}", *both("data", top), None)
    for net in (there, here):
        net.clear_param_diffs()
    for node in reversed(here.graph.nodes):
        for top in node.tops:
            give("diff", top)
        before = [here.values[t].diff.copy() for t in node.tops if here.values[t].diff is not None]
        for net in (there, here):
            net.backward(node.index, node.index)
        if not here.flags.backward[node.index]:
            continue
        for bottom, wanted in zip(node.bottoms, here.flags.propagate_down[node.index], strict=True):
            if wanted:
                yield (f"diff of {bottom} of {node.name}", *both("diff", bottom), None)
        for k, (theirs, mine) in enumerate(
            zip(there.params.get(node.name, ()), here.params.get(node.name, ()), strict=True)
        ):
            scale = None
            if mine.data.ndim == 1:  # a bias's gradient is a sum of terms that nearly cancel
                scale = np.linalg.norm(np.abs(before[0]).sum(axis=(0, 2, 3)))
            wanted = mine.diff.astype(float)
            yield f"{node.name}/{k}", there.device.host(theirs.diff).astype(float), wanted, scale


@pytest.mark.parametrize(
    ("where", "precision"),
    [
        *(pytest.param(CARD, precision, marks=pytest.mark.gpu) for precision in OF_A_LAYER),
        (EMULATOR, "tf32"),  # the quickest there
        ("cpu", "fp32"),
    ],
)
def test_each_layer_of_the_papers_net_is_near_float64(where, precision):
    base = 64 if where == CARD else 4
    there = net_on(CPU if where == "cpu" else device(where, precision), base, keep=True)
    here = net_on(CPU, base, keep=True, engine="caffe", dtype=np.float64)
    give(there)
    give(here)
    count = 0
    for what, found, wanted, scale in each_layer(there, here):
        size = np.linalg.norm(wanted) if scale is None else scale
        off = np.linalg.norm(found - wanted)
        assert off <= OF_A_LAYER[precision] * size, f"{what} is off by {off / max(size, 1e-300)}"
        count += 1
    assert count > 2 * len(here.graph.nodes)


def steps(device, base, count, *, recorded=True, restore=None):
    """A solver after `count` steps, the same image in each."""
    if not recorded:
        device.capture = None
    solver = SGD(netspec.parse_solver(SOLVER).message, net_on(device, base))
    if restore is not None:
        solver.restore(restore)
    while solver.iter < count:
        give(solver.net)
        solver.step(1)
    return solver


def bits(solver):
    net = solver.net
    return net.device.host(net.flat_data).tobytes(), [
        net.device.host(h).tobytes() for h in solver.history
    ]


@pytest.mark.parametrize("where", ON)
def test_two_trainings_and_one_without_graph_give_the_same_bits(where):
    base = 16 if where == CARD else 1
    device = (lambda: card("fp32")) if where == CARD else type(CPU)
    first = steps(device(), base, 5)
    assert bits(first) == bits(steps(device(), base, 5))
    assert bits(first) == bits(steps(device(), base, 5, recorded=False))
    assert where != CARD or first._recorded._replay is not None


@pytest.mark.parametrize("where", ON)
def test_a_resumed_training_gives_the_same_bits(where, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = 16 if where == CARD else 1
    device = (lambda: card("fp32")) if where == CARD else type(CPU)
    straight, part = steps(device(), base, 6), steps(device(), base, 3)
    assert bits(steps(device(), base, 6, restore=part.snapshot())) == bits(straight)


@pytest.mark.gpu
def test_a_tile_that_is_too_large_is_refused_and_the_card_stays_usable():
    device = card()
    text = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1
      dim: 90000 dim: 90000 } } } layer { name: "c" type: "Convolution" bottom: "x" top: "y"
      convolution_param { num_output: 8 kernel_size: 3 } }"""
    with pytest.raises(MemoryBudgetError, match="is free on"):
        Net(netspec.build(netspec.parse_net(text), "TEST"), fill=False, device=device)
    with pytest.raises(DeviceError, match=r"out of memory.*MiB free"):
        device.zeros(1 << 40, np.float32)
    learned(device, 4)


LARGE = """
layer { name: "d" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 1 dim: 1 dim: 90000 dim: 90000 } shape { dim: 1 dim: 1 dim: 89998 dim: 89998 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "score"
  convolution_param { num_output: 64 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""


@pytest.mark.parametrize("where", ON)
def test_a_training_that_is_too_large_names_the_tile_that_fits(
    where, tmp_path, monkeypatch, capsys
):
    device = card() if where == CARD else CPU
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(LARGE)
    Path("solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 1 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "run"'
    )
    argv = ["solver.prototxt", "--gpu", "0" if where == CARD else "none"]
    assert guarded(solve.main, argv) == 2
    said = capsys.readouterr().err
    assert "needs more memory than" in said and "Traceback" not in said
    assert 500 < int(said.split("The largest tile that fits has ")[1].split()[0]) < 90000
    assert np.isfinite(learned(device, 16 if where == CARD else 1)[0])


SANITIZED = "every_kernel or softmax_loss"


@pytest.mark.gpu
@pytest.mark.timeout(540)
@pytest.mark.parametrize("tool", ["memcheck", "racecheck"])
def test_the_sanitizer_finds_nothing(tool):
    """The kernels' own tests, on a card, under NVIDIA's compute-sanitizer."""
    card()
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not Path(program).exists():
        pytest.skip("compute-sanitizer is not installed")
    tests = Path(__file__).resolve().parents[1] / "kernels" / "cuda"
    argv = [program, "--tool", tool, "--error-exitcode", "99"]
    argv += ["--report-api-errors", "no"] * (tool == "memcheck")  # CuPy asks, and may be refused
    # every array a block of the driver's: in CuPy's pool an overrun would meet a neighbour
    begin = "import cupy; cupy.cuda.set_allocator(None); " if tool == "memcheck" else ""
    begin += "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    argv += [sys.executable, "-c", begin]
    argv += ["-q", "-m", "gpu", "-x", "-p", "no:cacheprovider", "-W", "default"]
    argv += ["-k", f"({SANITIZED}) and card", str(tests)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

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
from demitasse.tools.plan import plan_deploy, training_graph
from devices import CARD, card

from ..models.nets import MODELS

SIZE = 188
# by precision: of the loss, and of the gradient of any parameter (norms)
BOUNDS = {
    "fp32-strict": (1e-5, 2e-5),
    "fp32": (1e-5, 2e-5),
    "tf32": (1e-2, 3e-2),
    "bf16": (5e-2, 2e-1),
}
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


def net_on(device, base, **settings):
    return Net(graph(base), seed=5, device=device, **settings)


def give(net):
    rng = np.random.default_rng(1)
    for name in net.inputs:
        blob = net.blobs[name]
        values = rng.standard_normal(blob.shape, np.float32)
        if name == "label":
            values = (values > 0).astype(np.float32)
        blob.data[...] = np.abs(values) if name == "weight" else values


def learned(device, base, **settings):
    """Loss and gradients of one pass."""
    net = net_on(device, base, **settings)
    give(net)
    net.clear_param_diffs()
    loss = net.forward()
    net.backward()
    flat = net.device.host(net.flat_diff).astype(float)
    return loss, {
        f"{p.layer}/{p.index}": flat[p.offset : p.offset + p.count] for p in net.learnable
    }


@pytest.mark.gpu
@pytest.mark.parametrize("precision", BOUNDS)
def test_the_papers_net_learns_as_on_the_cpu(precision):
    """Dropout included: the masks are the same."""
    there, here = learned(card(precision), 64), learned(CPU, 64, engine="caffe")
    of_loss, of_gradient = BOUNDS[precision]
    assert abs(there[0] - here[0]) <= of_loss * abs(here[0])
    off = {k: np.linalg.norm(there[1][k] - g) / np.linalg.norm(g) for k, g in here[1].items()}
    worst = max(off, key=off.get)
    assert off[worst] <= of_gradient, f"{worst} is off by {off[worst]}"


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
    argv += [sys.executable, "-m", "pytest"]
    argv += ["-q", "-m", "gpu", "-x", "-p", "no:cacheprovider", "-W", "default"]
    argv += ["-k", f"({SANITIZED}) and card", str(tests)]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]

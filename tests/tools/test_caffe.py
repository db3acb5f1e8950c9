"""`caffe train | test | time | device_query`: Caffe's flags, Caffe's log."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.net import Net
from demitasse.solvers import Observer, build
from demitasse.tools import _device, _signals, caffe
from demitasse.tools._glog import SolverLog
from demitasse.tools._main import guarded

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests" / "golden" / "solvers" / "sgd_step"
# what BVLC's log readers split a line by: level and date, time, thread, place, text
HEADER = re.compile(r"[IWE](\d\d)(\d\d) (\d\d:\d\d:\d\d\.\d{6}) +(\d+) (\S+)\] (.*)")
NET = """name: "line"
layer { name: "rows" type: "DummyData" top: "x" top: "y" dummy_data_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 }
  data_filler { type: "gaussian" } data_filler { type: "constant" value: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" param { name: "w" }
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "y" top: "loss" loss_weight: 0.5 }
layer { name: "far" type: "Power" bottom: "ip" top: "far" include { stage: "far" min_level: 2 } }
layer { name: "learning" type: "Silence" bottom: "ip" include { phase: TRAIN } }
"""
SOLVER = """net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 4 display: 2
random_seed: 1 snapshot_prefix: "line" test_iter: 2 test_interval: 2 snapshot_format: HDF5
"""


@pytest.fixture
def line(tmp_path, monkeypatch):
    """A folder, the current one, with a net that fits a line."""
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)


@pytest.fixture
def run(capsys):
    """Run the command; the places and texts of its log."""

    def run(*argv):
        capsys.readouterr()
        assert guarded(caffe.main, [str(a) for a in argv]) == 0
        return entries(capsys.readouterr().err)

    return run


def entries(log):
    """(place, text) of each line; a line without a header has no place."""
    found = [HEADER.fullmatch(line) for line in log.splitlines()]
    return [
        (match[5], match[6]) if match else ("", text)
        for match, text in zip(found, log.splitlines(), strict=True)
    ]


def said(log, start):
    return [text for _, text in log if text.startswith(start)]


# ---- the log -----------------------------------------------------------------------------------


def test_the_log_is_the_one_that_caffe_wrote(tmp_path, monkeypatch, run):
    """Line by line, but for what layers say of themselves and for times."""
    shutil.copytree(RECORDED, tmp_path / "case")
    monkeypatch.chdir(tmp_path / "case")
    got = run("train", "-solver", "solver_log.prototxt", "-weights", "init.caffemodel.h5")
    recorded = re.sub(r"(?m)^([IWE])\d{4}(\d{4} )", r"\1\2", Path("train.log").read_text())
    expected = entries(recorded)
    assert all(place for place, _ in expected if place)
    inner = [k for k, line in enumerate(expected) if line[1] == "Creating layer loss"][1::2]
    own = ("hdf5_data_layer", "hdf5.cpp")
    expected = [
        line for k, line in enumerate(expected) if k not in inner and not line[0].startswith(own)
    ]
    got = [line for line in got if line[0] != "demitasse"]
    assert [place for place, _ in got] == [place for place, _ in expected]
    for (_, mine), (_, theirs) in zip(got, expected, strict=True):
        assert same(mine, theirs), (mine, theirs)


def same(mine, theirs):
    """Equal but for speeds, and for the last digit of a loss."""
    mine, theirs = (re.sub(r"\(.* iter/s, .*s/5 iters\)", "", text) for text in (mine, theirs))
    numbers = re.compile(r"(?<== )\d+\.\d+")
    if numbers.sub("#", mine) != numbers.sub("#", theirs):
        return False
    values = ([float(x) for x in numbers.findall(text)] for text in (mine, theirs))
    return np.allclose(*values, rtol=2e-5)


def test_every_line_has_the_header_that_log_readers_split(line, run):
    log = run("train", "-solver", "solver.prototxt")
    begin = next(k for k, (_, text) in enumerate(log) if text == "Solving line")
    assert all(place for place, _ in log[begin:])
    places = {text: place for place, text in log}
    assert places["Iteration 2, lr = 0.01"] == "sgd_solver.cpp:112"
    assert places["Optimization Done."] == "caffe.cpp:250"


@pytest.mark.parametrize("flags", [["-logtostderr=1"], ["--alsologtostderr"]])
def test_glogs_flags_for_what_is_so_anyway(line, run, flags):
    assert ("solver.cpp:289", "Solving line") in run(*flags, "train", "-solver", "solver.prototxt")


@pytest.mark.parametrize("flags, said", [([], "1"), (["-minloglevel", "1"], "0")])
def test_a_log_is_silenced_as_by_glog(line, run, monkeypatch, flags, said):
    monkeypatch.setenv("GLOG_minloglevel", said)
    assert run("train", "-solver", "solver.prototxt", *flags) == []


def test_iterations_losses_and_outputs(line, run):
    log = run("train", "-solver", "solver.prototxt")
    assert len(said(log, "    Train net output #0: loss = ")) == 2
    tests = said(log, "    Test net output #")
    assert [text.split(":")[0][-2:] for text in tests] == ["#0"] * 3
    for text in tests:
        loss, weighted = (float(x) for x in re.findall(r"= ([\d.e+-]+)", text))
        assert weighted == pytest.approx(loss / 2, rel=1e-5) and "(* 0.5 = " in text
    assert said(log, "Iteration 4, loss = ")
    ignored = [f"Ignoring source layer {name}" for name in ("ip_ip_0_split", "learning")]
    assert said(log, "Ignoring source layer") == ignored * 3
    assert said(log, "Snapshotting") == [
        "Snapshotting to HDF5 file line_iter_4.caffemodel.h5",
        "Snapshotting solver state to HDF5 file line_iter_4.solverstate.h5",
    ]


def test_shared_parameters_and_loss_weights_are_told(line, run):
    Path("net.prototxt").write_text(
        NET.replace("layer { name: \"loss\"", """layer { name: "again" type: "InnerProduct"
        bottom: "x" top: "again" param { name: "w" }
        inner_product_param { num_output: 2 } }
        layer { name: "loss\"""")
    )  # fmt: skip
    log = run("time", "-model", "net.prototxt", "-iterations", 1)
    assert said(log, "Sharing") == ["Sharing parameters 'w' owned by layer 'ip', param index 0"]
    assert said(log, "    with loss weight") == ["    with loss weight 0.5"]
    assert said(log, "This network produces") == [
        "This network produces output again",
        "This network produces output loss",
    ]


def test_clipping_steps_and_the_test_loss_are_told(line, run):
    text = SOLVER.replace('"fixed"', '"multistep" stepvalue: 1 stepvalue: 3 gamma: 0.5')
    Path("solver.prototxt").write_text(text + "clip_gradients: 0.001 test_compute_loss: true")
    log = run("train", "-solver", "solver.prototxt")
    assert said(log, "MultiStep") == [
        f"MultiStep Status: Iteration {i}, step = {k}" for i, k in ((1, 1), (3, 2))
    ]
    clipped = said(log, "Gradient clipping: scaling down gradients (L2 norm ")
    assert len(clipped) == 4
    norm, limit, factor = (float(x) for x in re.findall(r"\d[\d.e+-]*", clipped[0])[1:])
    assert limit == 0.001 and factor == pytest.approx(limit / norm, rel=1e-4)
    losses = [float(text.split()[-1]) for text in said(log, "Test loss: ")]
    outputs = [float(text.split()[-2]) for text in said(log, "    Test net output #0")]
    np.testing.assert_allclose(losses, outputs, rtol=1e-5)


def test_debug_info_shows_every_mean(line, run):
    Path("solver.prototxt").write_text(
        SOLVER.replace("0.01", "0").replace("max_iter: 4", "max_iter: 1") + "debug_info: true"
    )
    log = run("train", "-solver", "solver.prototxt")
    w, b = weights.read("line_iter_1.caffemodel.h5").layers["ip"]
    forward = said(log, "    [Forward] Layer ip, param blob w data: ")
    assert len(forward) == 3  # the test net twice, then the training net
    assert {text.split()[-1] for text in forward} == {f"{np.abs(w).mean():g}"}
    assert len(said(log, "    [Forward] Layer rows, top blob y data: 2")) == 3  # data as well
    assert len(said(log, "    [Backward] Layer ip, param blob 0 diff: ")) == 1
    (norms,) = said(log, "    [Backward] All net params (data, diff): L1 norm = (")
    l1, _, l2, _ = (float(x) for x in re.findall(r"[\d.e+-]+(?=[,)])", norms.split("norm", 1)[1]))
    both = np.concatenate([w.ravel(), b.ravel()])
    np.testing.assert_allclose([l1, l2], [np.abs(both).sum(), np.linalg.norm(both)], rtol=1e-5)


# ---- train -------------------------------------------------------------------------------------


def test_a_snapshot_continues_bit_by_bit(line, run):
    Path("solver.prototxt").write_text(SOLVER + "snapshot: 2")
    run("train", "-solver", "solver.prototxt")
    straight = Path("line_iter_4.caffemodel.h5").read_bytes()
    Path("line_iter_4.caffemodel.h5").unlink()
    log = run("train", "-solver", "solver.prototxt", "-snapshot", "line_iter_2.solverstate.h5")
    assert said(log, "Resuming from line_iter_2.solverstate.h5")
    assert not said(log, "Iteration 0")
    with h5py.File("line_iter_4.caffemodel.h5") as file:
        resumed = file["data/ip/0"][()]
    Path("straight.h5").write_bytes(straight)
    assert np.array_equal(weights.read("straight.h5").layers["ip"][0], resumed)


def test_weights_take_the_place_of_the_solvers(line, run):
    run("train", "-solver", "solver.prototxt")
    learned = weights.read("line_iter_4.caffemodel.h5").layers["ip"][0]
    Path("solver.prototxt").write_text(
        SOLVER.replace("0.01", "0").replace('"line"', '"tuned"') + 'weights: "absent.h5"'
    )
    log = run("train", "-solver", "solver.prototxt", "-weights", "line_iter_4.caffemodel.h5")
    assert said(log, "Finetuning from") == ["Finetuning from line_iter_4.caffemodel.h5"] * 2
    assert np.array_equal(weights.read("tuned_iter_4.caffemodel.h5").layers["ip"][0], learned)


def test_level_and_stage_choose_layers(line, run):
    log = run("time", "-model", "net.prototxt", "-iterations", 1)
    assert not said(log, "Creating Layer far")
    log = run("time", "-model", "net.prototxt", "-iterations", 1, "-stage", "near,far", "-level=2")
    assert said(log, "Creating Layer far")
    log = run("train", "-solver", "solver.prototxt", "-stage", "far", "-level", 2)
    assert said(log, "Creating Layer far") == ["Creating Layer far"]  # in the training net alone


def test_a_folder_that_is_not_there_is_said_before_the_work(line, capsys):
    Path("solver.prototxt").write_text(SOLVER.replace('"line"', '"no/such/line"'))
    assert guarded(caffe.main, ["train", "-solver", "solver.prototxt"]) == 2
    message = capsys.readouterr().err
    assert "no/such" in message and "Initializing" not in message


# ---- signals -----------------------------------------------------------------------------------


class Iterations:
    """Stands for a solver: what signals may set, and what is said of it."""

    stop = snapshot_now = False
    iter, last_snapshot = 7, Path("a_iter_5.solverstate")

    def __init__(self):
        self.lines = []
        self.observer = SimpleNamespace(said=self.lines.append)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("effect", _signals.EFFECTS)
def test_effects(number, effect):
    solver, before = Iterations(), signal.getsignal(number)
    with _signals.obeyed(solver, {number: effect}):
        signal.raise_signal(number)
        signal.raise_signal(number)
    assert (solver.stop, solver.snapshot_now) == (effect == "stop", effect == "snapshot")
    assert signal.getsignal(number) is before


def test_the_second_stop_is_at_once_where_that_is_wanted(capfd):
    solver = Iterations()
    with (
        pytest.raises(KeyboardInterrupt),
        _signals.obeyed(solver, {signal.SIGINT: "stop"}, again_at_once=True),
    ):
        signal.raise_signal(signal.SIGINT)
        assert solver.stop and "again: at once" in capfd.readouterr().err
        signal.raise_signal(signal.SIGINT)
    (line,) = solver.lines
    assert line.startswith("interrupted at iteration 7: the last good snapshot is a_iter_5.solver")


@pytest.fixture
def signalled(monkeypatch):
    """Send a signal to ourselves when iteration 2 is displayed."""

    def send(number):
        shown = SolverLog.displayed

        def displayed(self, display):
            shown(self, display)
            if display.iter == 2:
                signal.raise_signal(number)

        monkeypatch.setattr(SolverLog, "displayed", displayed)

    return send


@pytest.mark.parametrize(
    "flags, number, last",
    [
        ([], signal.SIGINT, 3),
        (["-sigint_effect", "none"], signal.SIGINT, 4),
        (["-sigint_effect=snapshot"], signal.SIGINT, 4),
        ([], signal.SIGHUP, 4),
        (["--sighup_effect=stop"], signal.SIGHUP, 3),
    ],
)
def test_a_signal_acts_after_the_iteration(line, run, signalled, flags, number, last):
    signalled(number)
    log = run("train", "-solver", "solver.prototxt", *flags)
    states = sorted(path.name for path in Path().glob("*.solverstate.h5"))
    wanted = {last} if "none" in flags else {3, last}
    assert states == [f"line_iter_{i}.solverstate.h5" for i in sorted(wanted)]
    assert bool(said(log, "Optimization stopped early.")) == (last == 3)


def test_a_stop_ends_a_running_test(line):
    heard = []

    class Listener(Observer):
        def tested(self, tested):
            heard.append(tested)

        def said(self, message):
            heard.append(message)

    solver = build(netspec.read_solver("solver.prototxt"), observer=Listener())

    def stop(layer):
        solver.stop = True

    solver.test_nets[0].callbacks.after_forward.append(stop)
    solver.test_all()
    assert heard == ["Test interrupted."]


# ---- test, time, device_query ------------------------------------------------------------------


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """A recorded net whose data come from an HDF5 file of five rows, two a batch."""
    case = ROOT / "tests" / "golden" / "nets" / "lenet_like"
    for path in case.glob("weights*"):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    with h5py.File(case / "io.h5") as recorded:
        shape = recorded["inputs/data"].shape[1:]
        labels = recorded["inputs/label"][()]
    rng = np.random.default_rng(0)
    with h5py.File("rows.h5", "w") as file:
        file["data"] = rng.standard_normal((5, *shape)).astype("f4")
        file["label"] = rng.integers(0, int(labels.max()) + 1, (5, *labels.shape[1:]))
    Path("rows.txt").write_text("rows.h5\n")
    net = (case / "net.prototxt").read_text()
    net = re.sub(r'(?m)^layer \{ name: "(data|label)".*\n', "", net)
    rows = """layer { name: "rows" type: "HDF5Data" top: "data" top: "label"
      hdf5_data_param { source: "rows.txt" batch_size: 2 } }\n"""
    Path("net.prototxt").write_text(rows + net)


@pytest.mark.parametrize("file", ["weights.caffemodel", "weights.caffemodel.h5"])
def test_scores_are_printed_by_batch_and_as_means(scored, run, file):
    log = run("test", "-model", "net.prototxt", "-weights", file, "-iterations", 3)
    net = Net(netspec.build(netspec.read_net("net.prototxt"), "TEST"))
    net.load(weights.read(file), complete=True)
    losses = [net.forward() for _ in range(3)]
    for i, loss in enumerate(losses):
        assert said(log, f"Batch {i}, loss = ") == [f"Batch {i}, loss = {loss:g}"]
    assert len(said(log, "Batch ")) == 3 * len(net.outputs)
    mean = np.mean(losses)
    (total,) = said(log, "Loss: ")
    assert float(total.split()[-1]) == pytest.approx(mean, rel=1e-5)
    (last,) = said(log, "loss = ")
    assert re.fullmatch(r"loss = (\S+) \(\* 1 = \1 loss\)", last)
    assert said(log, "Ignoring source layer data") == ["Ignoring source layer data"]


def test_layers_that_a_file_lacks_are_named(scored, run):
    text = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(text.replace('"conv2"', '"renamed"'))
    log = run("test", "-model", "net.prototxt", "-weights", "weights.caffemodel", "-iterations=1")
    assert said(log, "layer renamed is not in weights.caffemodel")
    assert said(log, "Ignoring source layer conv2")


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_times_of_every_layer(line, run, phase):
    log = run("-phase", phase, "--iterations", "2", "--model=net.prototxt", "time")
    layers = [text.split(" ", 2)[2] for text in said(log, "Creating Layer ")]
    assert ("learning" in layers) == (phase == "TRAIN")
    for way in ("forward", "backward"):
        times = [text for _, text in log if f"\t{way}: " in text]
        assert [text.split("\t")[0].strip() for text in times] == layers
        assert all(float(re.search(r": (\S+) ms\.$", text)[1]) >= 0 for text in times)
    assert len(said(log, "Iteration: ")) == 2
    totals = dict(
        text.split(": ") for text in (*said(log, "Average "), *said(log, "Total")) if ": " in text
    )
    total, average = (
        float(totals[name].split()[0]) for name in ("Total Time", "Average Forward-Backward")
    )
    assert average == pytest.approx(total / 2, rel=1e-4)


def test_as_a_script():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "caffe.py", "device_query"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout == ""
    assert "CPU: " in done.stderr and done.stderr.count("\n") == 2


# ---- a card ------------------------------------------------------------------------------------


def test_rows_that_fit_are_taken_on_a_card(line, run, cards):
    """What the Fiji plugin starts: a score of other classes, fine-tuned on a card."""
    run("train", "-solver", "solver.prototxt")
    learned = weights.read("line_iter_4.caffemodel.h5").layers["ip"]
    Path("net.prototxt").write_text(
        NET.replace("num_output: 2", "num_output: 3").replace("dim: 2 }", "dim: 3 }")
    )
    Path("solver.prototxt").write_text(SOLVER.replace("0.01", "0").replace('"line"', '"more"'))
    tuned = ("-weights", "line_iter_4.caffemodel.h5", "-adapt_classes", "-gpu", "0")
    log = run("train", "-solver", "solver.prototxt", *tuned)
    assert said(log, "layer ip: 2 outputs in line_iter_4.caffemodel.h5, 3 in the net")
    w, b = weights.read("more_iter_4.caffemodel.h5").layers["ip"]
    assert np.array_equal(w[:2], learned[0]) and np.array_equal(b[:2], learned[1])


def numbers(lines):
    """The lines without their numbers, and these."""
    number = re.compile(r"(?<=[ (])-?\d[\d.e+-]*(?=[,)\s]|$)")
    found = [float(x) for line in lines for x in number.findall(line)]
    return [number.sub("#", line) for line in lines], found


def alike(here, there, *starts, least=1):
    """Two logs say the same in the lines that start so, but for rounding."""
    pair = [[line for start in starts for line in said(log, start)] for log in (here, there)]
    (texts, values), (others, found) = map(numbers, pair)
    assert texts == others and len(texts) >= least
    np.testing.assert_allclose(found, values, rtol=1e-3, atol=1e-5)


def test_outputs_of_a_card_are_printed_by_batch_and_as_means(scored, run, cards):
    argv = ("test", "-model", "net.prototxt", "-weights", "weights.caffemodel", "-iterations", 2)
    alike(run(*argv), run(*argv, "-gpu", 0), "Batch ", "Loss: ", "loss = ", least=4)
    Path("net.prototxt").write_text("debug_info: true " + Path("net.prototxt").read_text())
    alike(run(*argv), run(*argv, "-gpu", 0), "    [Forward]", least=20)


def test_debug_info_of_a_card_shows_every_pass(tiny, run, cards):
    """Of a training that would else be recorded, without the callbacks that look at it."""
    text = Path("solver.prototxt").read_text().replace("snapshot: 2", "debug_info: true display: 1")
    Path("solver.prototxt").write_text(text)
    here, there = (run("train", "-solver", "solver.prototxt", *more) for more in ((), ("-gpu", 0)))
    alike(here, there, "    [Forward]", "    [Backward]", least=4 * 20)
    assert not said(there, "passes cannot be recorded")


def test_the_log_names_the_device(scored, run, cards):
    """By its number, also where that was chosen; in Caffe's words."""
    model = ("-model", "net.prototxt", "-weights", "weights.caffemodel", "-iterations", 1)
    for command in ("test", "time"):
        log = run(command, *model, "-gpu", 1)
        assert said(log, "Use ") == ["Use GPU with device ID 1"]
        assert said(run(command, *model, "-gpu", "auto"), "Use ") == ["Use GPU with device ID 0"]
        assert said(run(command, *model), "Use ") == ["Use CPU."]


@pytest.mark.parametrize(
    ("mode", "argv", "number"),
    [
        ("solver_mode: GPU device_id: 1", [], 1),
        ("solver_mode: GPU", [], 0),
        ("solver_mode: GPU device_id: 1", ["-gpu", "0"], 0),
        ("solver_mode: CPU device_id: 1", ["-gpu", "auto"], 0),
        ("solver_mode: CPU device_id: 1", [], None),
        ("solver_mode: GPU device_id: 1", ["-gpu", "none"], None),
    ],
)
def test_a_solver_may_name_the_card(line, run, cards, mode, argv, number):
    Path("solver.prototxt").write_text(f"{SOLVER} {mode}")
    log = run("train", "-solver", "solver.prototxt", *argv)
    name = f"NVIDIA Emulated (cuda:{number}), fp32"
    wanted = [] if number is None else [f"Using GPUs {number}", f"GPU {number}: {name}"]
    assert said(log, "Using GPUs") + said(log, "GPU ") == wanted
    assert len(said(log, "Use CPU.")) == (number is None)


def test_a_card_that_a_solver_names_must_be_there_where_there_are_any(line, run, cards, capsys):
    Path("solver.prototxt").write_text(SOLVER + "solver_mode: GPU device_id: 2")
    assert guarded(caffe.main, ["train", "-solver", "solver.prototxt"]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "solver.prototxt" in message and "device_id 2: invalid device ordinal" in message
    assert "expected 0 to 1" in message and "-gpu none" in message and "Leave" not in message
    cards.count = 0
    cards.error = "cudaErrorNoDevice: no CUDA-capable device is detected"
    log = run("train", "-solver", "solver.prototxt")
    assert said(log, "Use CPU.") and said(log, "solver_mode: GPU, but no card can be used")


def test_processes_that_train_together_have_a_card_each(cards):
    for alone, gpu in ((True, "1"), (False, "auto")):
        args = SimpleNamespace(gpu=None, precision="fp32")
        named = netspec.parse_solver("solver_mode: GPU device_id: 1")
        _device.follow_mode(args, named, alone=alone)
        assert args.gpu == gpu


# ---- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv, words",
    [
        (["tarin"], ["Did you mean train"]),
        (["train"], ["needs -solver"]),
        (["test", "-model", "net.prototxt"], ["needs -weights"]),
        (["time"], ["needs -model"]),
        (["train", "-solver", "s", "-weights", "a", "-snapshot", "b"], ["exclude each other"]),
        (["train", "-solver", "absent.prototxt"], ["absent.prototxt", "no such file"]),
        (["device_query", "-gpu", "all"], ["-gpu all"]),
        (["time", "-model", "net.prototxt", "-gpu=0"], ["-gpu 0"]),
    ],
)
def test_what_is_refused(line, capsys, argv, words):
    assert guarded(caffe.main, argv) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: ") and all(word in message for word in words)


def test_without_a_command_the_help_teaches(capsys):
    assert guarded(caffe.main, []) == 0
    assert "device_query" in capsys.readouterr().out


@pytest.mark.parametrize(
    "option",
    [
        ["-iterations", "0"],
        ["-phase", "ALL"],
        ["-sigint_effect", "die"],
        ["-level", "high"],
        ["-minloglevel", "4"],
        ["-log_dir", "/tmp"],
    ],
)
def test_values_out_of_range_are_usage_errors(option, capsys):
    with pytest.raises(SystemExit) as ended:
        caffe.main(["time", *option])
    assert ended.value.code == 2 and option[0] in capsys.readouterr().err


# ---- Python layers -----------------------------------------------------------------------------


@pytest.fixture
def scripted(line, monkeypatch):
    """A net with a Python layer, whose module is written for pycaffe."""
    Path("doubling.py").write_text(
        "import caffe\n"
        "class Double(caffe.Layer):\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)\n"
        "    def forward(self, bottom, top): top[0].data[...] = 2 * bottom[0].data\n"
        "    def backward(self, top, down, bottom): bottom[0].diff[...] = 2 * top[0].diff\n"
    )
    Path("net.prototxt").write_text(
        NET.replace('"ip" bottom: "y"', '"twice" bottom: "y"').replace(
            'layer { name: "loss"',
            """layer { name: "py" type: "Python" bottom: "ip" top: "twice"
                 python_param { module: "doubling" layer: "Double" } }
               layer { name: "loss\"""",
        )
    )


def test_python_layers_are_refused_unless_allowed(scripted, capsys):
    assert guarded(caffe.main, ["train", "-solver", "solver.prototxt"]) == 2
    assert "--allow-python-layers" in capsys.readouterr().err


def test_python_layers_written_for_pycaffe(scripted):
    program = [sys.executable, "-m", "demitasse.pycaffe", ROOT / "tools" / "caffe.py"]
    done = subprocess.run(
        [*program, "train", "-solver", "solver.prototxt", "--allow-python-layers"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert done.returncode == 0, done.stderr
    assert Path("line_iter_4.caffemodel.h5").exists()

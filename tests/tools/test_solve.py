"""The trainer as a user runs it: from a script, interrupted, continued, fine-tuned."""

import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import weights
from demitasse.tools import caffe, deploy, plan, solve
from demitasse.tools._main import guarded

ROOT = Path(__file__).resolve().parent.parent.parent


def run(*argv, **settings):
    return subprocess.run(
        [sys.executable, *map(str, argv)], capture_output=True, text=True, **settings
    )


def training():
    command = [sys.executable, ROOT / "tools" / "solve.py", "solver.prototxt"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def parameters(path):
    return {k: [a.tobytes() for a in v] for k, v in weights.read(path).layers.items()}


def test_as_a_script_with_caffes_flags(tiny):
    done = run(ROOT / "tools" / "solve.py", "-solver=solver.prototxt", "--gpu", "none")
    assert done.returncode == 0, done.stderr
    assert "net tiny: " in done.stdout and "tiny.h5: the model" in done.stdout
    assert {"tiny.h5", "tiny_iter_2.solverstate.h5"} <= {p.name for p in tiny.iterdir()}
    done = run(ROOT / "tools" / "deploy.py", "--weights", "tiny.h5", "img.tif")
    assert done.returncode == 0 and Path("img.labels.tif").exists()


def test_without_its_libraries_one_line_says_what_to_do(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("_root.py", "solve.py"):
        (tools / name).write_text((ROOT / "tools" / name).read_text())
    done = run("-S", tools / "solve.py", "solver.prototxt")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and f"make -C {tmp_path} setup" in done.stderr


def test_the_model_describes_itself(trained):
    found = weights.read(trained)
    assert found.kind == "model" and found.verified
    assert 'type: "HDF5Data"' not in found.model.deploy and "Loss" not in found.model.deploy
    assert found.model.origin["iterations"] == 4 and found.model.origin["seed"] == 1
    assert set(found.layers) >= {"d0", "d1", "up", "score"}


def test_the_last_snapshot_holds_the_models_parameters(trained):
    model, snapshot = parameters(trained), parameters("tiny_iter_4.caffemodel.h5")
    assert {k: snapshot[k] for k in model} == model


def test_continuing_gives_the_same_bits(trained):
    straight = parameters(trained)
    trained.unlink()
    Path("tiny_iter_4.caffemodel.h5").unlink()
    assert guarded(solve.main, ["solver.prototxt", "-snapshot", "tiny_iter_2.solverstate.h5"]) == 0
    assert parameters(trained) == straight


def test_binary_snapshots_continue_with_the_same_bits(trained):
    straight = parameters(trained)
    trained.unlink()
    text = Path("solver.prototxt").read_text()
    Path("solver.prototxt").write_text(text.replace("snapshot_format: HDF5", "snapshot_diff: true"))
    assert guarded(solve.main, ["solver.prototxt", "--max-iter", "2"]) == 0
    names = {p.name for p in Path().glob("tiny_iter_2.*")}
    assert {"tiny_iter_2.caffemodel", "tiny_iter_2.solverstate"} <= names
    argv = ["solver.prototxt", "-snapshot", "tiny_iter_2.solverstate"]
    assert guarded(solve.main, argv) == 0
    last = parameters("tiny_iter_4.caffemodel")
    assert parameters(trained) == straight == {name: last[name] for name in straight}


def test_the_solvers_own_weights_are_loaded_unless_others_are_given(trained, capsys):
    with open("solver.prototxt", "a") as file:
        file.write('weights: "tiny_iter_2.caffemodel.h5"\n')
    argv = ["solver.prototxt", "--prefix", "fine", "--max-iter", "1", "--overwrite"]
    assert guarded(solve.main, argv) == 0
    assert "from tiny_iter_2.caffemodel.h5" in capsys.readouterr().out
    assert guarded(solve.main, [*argv, "-weights", "tiny.h5,tiny_iter_4.caffemodel.h5"]) == 0
    said = capsys.readouterr().out
    assert "from tiny.h5" in said and "from tiny_iter_4" in said and "tiny_iter_2" not in said


def test_fine_tuning_starts_from_the_weights(trained, capsys):
    before = parameters(trained)
    argv = ["solver.prototxt", "-weights", "tiny.h5", "--prefix", "fine", "--max-iter", "1"]
    assert guarded(solve.main, argv) == 0
    after = weights.read("fine.h5").layers
    assert "loaded" in capsys.readouterr().out
    for name, blobs in weights.read(trained).layers.items():
        for a, b in zip(blobs, after[name], strict=True):
            assert np.abs(a - b).max() < 0.1
    assert parameters("fine.h5") != before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_keeps_what_it_learned(tiny, number):
    edited = Path("solver.prototxt").read_text().replace("max_iter: 4", "max_iter: 1000000")
    Path("solver.prototxt").write_text(edited.replace("snapshot: 2", "display: 1"))
    with training() as process:
        for line in process.stdout:
            if b"Iteration 3 " in line:
                break
        process.send_signal(number)
        rest = process.stdout.read().decode()
        assert process.wait(timeout=60) == 0
    (state,) = Path().glob("tiny_iter_*.solverstate.h5")
    assert "stopping after this iteration" in rest and state.name in rest
    with h5py.File(state) as file:
        assert file["iter"][0] >= 4
    assert weights.read("tiny.h5").kind == "model"


def test_a_hangup_writes_a_snapshot_and_goes_on(tiny):
    edited = Path("solver.prototxt").read_text().replace("max_iter: 4", "max_iter: 1000000")
    Path("solver.prototxt").write_text(edited.replace("snapshot: 2", "display: 1"))
    with training() as process:
        for line in process.stdout:
            if line.startswith(b"Iteration 3 "):
                process.send_signal(signal.SIGHUP)
            if b"Snapshotting" in line:
                break
        assert b"Iteration" in process.stdout.readline() + process.stdout.readline()
        process.kill()
    assert len(list(Path().glob("tiny_iter_*.solverstate.h5"))) == 1


def test_the_built_in_data_are_made_on_first_use(tiny, capsys):
    net = Path("net.prototxt").read_text().replace("train.txt", "membranes-22-16/train.txt")
    Path("net.prototxt").write_text(net)
    assert guarded(solve.main, ["solver.prototxt", "--max-iter", "1"]) == 0
    assert "membranes-22-16: making the built-in" in capsys.readouterr().out
    assert guarded(solve.main, ["solver.prototxt", "--max-iter", "1", "--overwrite"]) == 0
    assert "making" not in capsys.readouterr().out
    described = weights.read("tiny.h5").model
    assert described.normalization["name"] == "zscore" and len(described.class_names) == 2


def test_the_tiling_does_not_change_the_result(trained):
    import tifffile

    results = []
    for options in ([], ["--tiles", "6"], ["--tile-size", "22"], ["--memory", "0.05"]):
        argv = ["--weights", "tiny.h5", "img.tif", "--output", "score", "--overwrite", *options]
        assert guarded(deploy.main, argv) == 0
        results.append(tifffile.imread("img.score.tif"))
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-5, atol=1e-5)


def test_the_plan_of_the_paper(capsys):
    assert guarded(plan.main, [str(ROOT / "models" / "unet.prototxt"), "--layers"]) == 0
    said = capsys.readouterr().out
    assert "31,030,658 parameters" in said and "score: 1 x 2 x 388 x 388" in said
    assert "TEST:" in said and "TRAIN:" in said
    lines = {line.split()[0]: line for line in said.splitlines() if line}
    assert lines["conv_d0b-c"].endswith("Winograd")
    assert lines["conv_u0d-score"].endswith("im2col") and lines["pool_d0c-1a"].endswith("284")


def test_a_plan_counts_threads(capsys):
    sizes = []
    for threads in "12":
        assert guarded(plan.main, [str(ROOT / "models/unet.prototxt"), "--threads", threads]) == 0
        sizes.append(capsys.readouterr().out)
    assert sizes[0] != sizes[1]


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("unet3d", [], "data: 1 x 1 x 116 x 132 x 132\n  score: 1 x 3 x 28 x 44 x 44"),
        ("unet3d", ["--input", "92x100x92"], "score: 1 x 3 x 4 x 12 x 4"),
        ("unet3d_anisotropic", [], "data: 1 x 1 x 32 x 212 x 212\n  score: 1 x 2 x 16 x 124 x 124"),
        ("2d_cell_net_v0", ["--channels", "3"], "data3: 1 x 3 x 540 x 540"),
    ],
)
def test_the_plan_of_the_tiles_that_a_net_cuts_or_of_others(name, size, said, capsys):
    assert guarded(plan.main, [str(ROOT / "models" / f"{name}.prototxt"), *size]) == 0
    assert said in capsys.readouterr().out


def test_the_plan_of_a_volume_that_does_not_fit(capsys):
    path = str(ROOT / "models" / "unet3d_anisotropic.prototxt")
    assert guarded(plan.main, [path, "--input", "31x212x200"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {path}:106:1: ")
    assert "instead of 31 along z: 30 or 32; instead of 200 along x: 196 or 204" in said


def test_the_plan_in_less_memory(tiny, capsys):
    assert guarded(plan.main, ["net.prototxt", "--input", "20", "--recompute"]) == 0
    assert "recompute: " in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--recompute", "--no-fuse"])
def test_neither_less_memory_nor_more_passes_change_the_model(trained, option, capsys):
    before = parameters(trained)
    assert guarded(solve.main, ["solver.prototxt", "--overwrite", option]) == 0
    assert parameters(trained) == before


def test_a_model_that_exists_is_not_replaced_unasked(trained, capsys):
    before = trained.read_bytes()
    assert guarded(solve.main, ["solver.prototxt"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert trained.read_bytes() == before


def test_the_model_is_described_before_the_training_begins(tiny):
    """What is on disk may change meanwhile; the model is of the net that was trained."""
    edited = Path("solver.prototxt").read_text().replace("max_iter: 4", "max_iter: 40 display: 1")
    Path("solver.prototxt").write_text(edited)
    with training() as process:
        for line in process.stdout:
            if b"Iteration 1 " in line:
                Path("net.prototxt").unlink()
                Path("train.txt").unlink()
                break
        rest = process.stdout.read()
        assert process.wait(timeout=60) == 0, rest
    assert weights.read("tiny.h5").model.origin["iterations"] == 40


def test_a_net_without_an_image_trains_without_a_model(tiny, capsys):
    Path("net.prototxt").write_text(
        """layer { name: "d" type: "DummyData" top: "x" top: "y" dummy_data_param {
             shape { dim: 2 dim: 3 } shape { dim: 2 dim: 1 } data_filler { type: "gaussian" } } }
           layer { name: "ip" type: "InnerProduct" bottom: "x" top: "s"
             inner_product_param { num_output: 1 } }
           layer { name: "l" type: "EuclideanLoss" bottom: "s" bottom: "y" top: "l" }"""
    )
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    assert "only snapshots will be written" in capsys.readouterr().out
    assert Path("tiny_iter_4.solverstate.h5").exists() and not Path("tiny.h5").exists()


def test_without_random_seed_a_snapshot_continues_with_its_own(tiny):
    text = Path("solver.prototxt").read_text().replace("random_seed: 1", "")
    Path("solver.prototxt").write_text(text)
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    straight = parameters("tiny.h5")
    assert guarded(solve.main, ["solver.prototxt", "-snapshot", "tiny_iter_2.solverstate.h5"]) == 0
    assert parameters("tiny.h5") == straight


def test_a_snapshot_that_is_finished_is_said(trained, capsys):
    argv = ["solver.prototxt", "-snapshot", "tiny_iter_4.solverstate.h5"]
    assert guarded(solve.main, argv) == 2
    assert "--max-iter" in capsys.readouterr().err


def test_a_prefix_that_is_a_folder_takes_the_solvers_name(tiny):
    Path("out").mkdir()
    assert guarded(solve.main, ["solver.prototxt", "--prefix", "out"]) == 0
    assert Path("out/solver.h5").exists()


def test_settings_that_are_not_followed_are_said(tiny, capsys):
    with open("solver.prototxt", "a") as file:
        file.write("solver_mode: GPU\n")
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    assert "solver_mode:" in capsys.readouterr().out


def test_debug_info_and_the_test_loss_are_shown(tiny, capsys):
    with open("solver.prototxt", "a") as file:
        file.write("display: 4 debug_info: true test_iter: 1 test_interval: 4\n")
        file.write("test_compute_loss: true\n")
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    said = capsys.readouterr().out
    assert said.count("    [Backward] All net params (data, diff): ") == 1
    assert said.count("Test loss: ") == 2 and "    [Forward] Layer d0, param blob 0 data: " in said


@pytest.mark.parametrize(
    "option", [["--max-iter", "0"], ["--max-iter", "3000000000"], ["--seed", "-1"], ["--time", "x"]]
)
def test_numbers_out_of_range_are_usage_errors(tiny, option, capsys):
    with pytest.raises(SystemExit) as ended:
        solve.main(["solver.prototxt", *option])
    assert ended.value.code == 2 and option[0] in capsys.readouterr().err


def test_a_missing_solver_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended:
        solve.main(["--max-iter", "3"])
    assert ended.value.code == 2
    assert "the solver is missing: SOLVER, or -solver SOLVER" in capsys.readouterr().err


def test_signals_mean_afterwards_what_they_meant_before(tiny):
    before = signal.getsignal(signal.SIGINT)
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("command", ["solve", "caffe"])
def test_the_xavier_of_2015_is_a_switch_that_is_said(tiny, capfd, command):
    net = Path("net.prototxt")
    net.write_text(net.read_text().replace("msra", "xavier"))
    solver = Path("solver.prototxt")
    solver.write_text(solver.read_text().replace("base_lr: 0.01", "base_lr: 1e-30"))
    start = ["-solver", "solver.prototxt"]
    start = ["solver.prototxt"] if command == "solve" else ["train", *start]
    main = {"solve": solve.main, "caffe": caffe.main}[command]
    starts, said = [], []
    for switch in ([], ["--caffe-unet-2015"]):
        assert guarded(main, [*start, *switch]) == 0
        found = weights.read("tiny_iter_4.caffemodel.h5").layers
        starts.append(np.concatenate([found[n][0].ravel() for n in ("d0", "d1", "up", "score")]))
        text = "".join(capfd.readouterr())
        said.append("xavier is N(0, sqrt(2 / fan_in))" in text)
        Path("tiny.h5").unlink(missing_ok=True)
    assert said == [False, True] and not np.array_equal(*starts)


def test_a_net_that_augments_in_itself_becomes_a_model_too(tiny):
    net = Path("net.prototxt")
    first = 'layer { name: "d0" type: "Convolution" bottom: "data" top: "d0"'
    augmented = """
layer { name: "noise" type: "DummyData" top: "noise" include { phase: TRAIN }
  dummy_data_param { shape { dim: 1 dim: 1 dim: 22 dim: 22 } data_filler { type: "gaussian" } } }
layer { name: "lit" type: "Eltwise" bottom: "data" bottom: "noise" top: "lit"
  include { phase: TRAIN } }
"""
    text = net.read_text()
    start = text.index(first)
    end = text.index('layer { name: "r0"')
    conv = text[start:end]
    train = conv.replace('bottom: "data"', 'bottom: "lit" include { phase: TRAIN }')
    test = conv.replace('bottom: "data"', 'bottom: "data" include { phase: TEST }')
    net.write_text(text[:start] + augmented + train + test + text[end:])
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    found = weights.read("tiny.h5")
    assert found.kind == "model" and "noise" not in found.model.deploy
    assert guarded(deploy.main, ["--weights", "tiny.h5", "img.tif"]) == 0


def add_slopes(where):
    """A layer that learns, in some states of the net."""
    path, pool = Path("net.prototxt"), 'layer { name: "pool"'
    slopes = f'layer {{ name: "extra" type: "PReLU" bottom: "d0" top: "d0" include {{ {where} }} }}'
    path.write_text(path.read_text().replace(pool, f"{slopes}\n{pool}"))


def test_the_model_is_of_the_stage_that_was_trained(tiny):
    add_slopes('stage: "deep"')
    with Path("solver.prototxt").open("a") as file:
        file.write('train_state { stage: "deep" }')
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    found = weights.read("tiny.h5")
    assert "extra" in found.layers and 'name: "extra"' in found.model.deploy


def test_a_layer_that_only_segments_may_learn_by_another_name(tiny):
    for phase in ("TRAIN", "TEST"):
        add_slopes(f"phase: {phase}")
    net = Path("net.prototxt")
    first, second = 'name: "extra"', 'name: "other"'
    text = net.read_text().replace('type: "PReLU"', 'type: "PReLU" param { name: "slope" }')
    net.write_text(text.replace(first, second, 1))
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    assert Path("tiny.h5").exists()


@pytest.mark.parametrize(
    "layer",
    ['type: "Python" python_param { module: "m" layer: "L" }', 'type: "Nothing"'],
    ids=["Python", "unknown"],
)
def test_a_layer_of_the_test_phase_does_not_stop_a_training(layer, tiny, capsys):
    with Path("net.prototxt").open("a") as file:
        file.write(
            f'layer {{ name: "x" bottom: "score" top: "x" include {{ phase: TEST }} {layer} }}'
        )
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    assert "only snapshots will be written" in capsys.readouterr().out


def test_a_layer_that_only_segments_is_not_trained(tiny, capsys):
    add_slopes("phase: TEST")
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    said = capsys.readouterr().out
    assert "only snapshots will be written" in said and "layer 'extra' is in the net that" in said
    assert not Path("tiny.h5").exists()

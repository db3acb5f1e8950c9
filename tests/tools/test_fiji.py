"""The contract of the Fiji plugin U-Net Segmentation, with real processes.

What it starts, what it reads and by which patterns was read off its sources (SegmentationJob.java,
FinetuneJob.java, Tools.java); the arguments and files are made here after it.
"""

import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from demitasse import netspec, weights
from demitasse.imaging import caffe_tiles
from demitasse.imaging.caffe_tiles import Pads
from demitasse.imaging.modeldef import build
from demitasse.net import Net
from demitasse.net.saving import save_hdf5
from demitasse.tools import caffe, caffe_unet, deploy, fiji, port
from demitasse.tools._main import guarded
from demitasse.weights import ModelDef, write_modeldef

# ---- what the plugin writes ---------------------------------------------------------------------

TILE, ANSWER = (22, 22), (16, 16)  # f 2, padInput 6 + 2 d, padOutput 2 d
TRAIN = """
layer { name: "loaddata" type: "HDF5Data" top: "data" top: "labels" top: "weights" top: "weights2"
  hdf5_data_param { source: "train.txt" batch_size: 1 shuffle: false } include { phase: TRAIN } }
layer { name: "create_deformation" type: "CreateDeformation" bottom: "weights2" top: "def"
  create_deformation_param { batch_size: 1 ny: 22 nx: 22 ncomponents: 2
    random_elastic_grid_spacing { v: 8 v: 8 } random_elastic_deform_magnitude { v: 1 v: 1 }
    random_offset_range_from_pdf: true random_offset_from { v: -1 v: -1 }
    random_offset_to { v: 1 v: 1 } random_rotate_from { v: 0 } random_rotate_to { v: 360 } }
  include { phase: TRAIN } }
layer { name: "def_data" type: "ApplyDeformation" bottom: "data" bottom: "def" top: "data2"
  apply_deformation_param { interpolation: "linear" extrapolation: "mirror" }
  include { phase: TRAIN } }
layer { name: "augm" type: "ValueAugmentation" bottom: "data2" top: "data3"
  value_augmentation_param { black_from: -0.05 black_to: 0.05 slope_min: 0.8 slope_max: 1.2
    white_from: 0.95 white_to: 1.05 } include { phase: TRAIN } }
"""
BODY = """
layer { name: "trafo" type: "ValueTransformation" bottom: "data3" top: "d0a"
  value_transformation_param { offset { v: -0.5 } } }
layer { name: "d0" type: "Convolution" bottom: "d0a" top: "d0"
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "r0" type: "ReLU" bottom: "d0" top: "d0" relu_param { negative_slope: 0.1 } }
layer { name: "pool" type: "Pooling" bottom: "d0" top: "d1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "d1" type: "Convolution" bottom: "d1" top: "e1"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "up" type: "Deconvolution" bottom: "e1" top: "u0"
  convolution_param { num_output: 3 kernel_size: 2 stride: 2 weight_filler { type: "msra" } } }
layer { name: "cat" type: "Concat" bottom: "u0" bottom: "d0" top: "v0" }
layer { name: "score" type: "Convolution" bottom: "v0" top: "score"
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }
"""
LOSS = """
layer { name: "def_label" type: "ApplyDeformation" bottom: "labels" bottom: "def" top: "labelcrop"
  apply_deformation_param { interpolation: "nearest" extrapolation: "mirror"
    output_shape_from: "score" } include { phase: TRAIN } }
layer { name: "def_weight" type: "ApplyDeformation" bottom: "weights" bottom: "def"
  top: "weightcrop" apply_deformation_param { interpolation: "linear" extrapolation: "mirror"
    output_shape_from: "score" } include { phase: TRAIN } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "labelcrop"
  bottom: "weightcrop" top: "loss" include { phase: TRAIN } }
"""
NET = 'name: "tiny" force_backward: true' + TRAIN + BODY + LOSS
VALID = (
    """
layer { name: "loaddata_valid" type: "HDF5Data" top: "data3" top: "labels" top: "weights"
  include { phase: TEST } hdf5_data_param { source: "valid.txt" batch_size: 1 shuffle: false } }
"""
    + NET
    + "".join(
        f"""layer {{ name: "{name}" type: "{kind}" bottom: "score" bottom: "labels"
  bottom: "weights" top: "{name}" include {{ phase: TEST }} {more} }}
"""
        for name, kind, more in (
            ("loss_valid", "SoftmaxWithLoss", ""),
            ("IoU", "IoU", ""),
            ("F1_detection", "F1", "f1_param { distance_mode: EUCLIDEAN distance_threshold: 3.0 }"),
            ("F1_segmentation", "F1", ""),
        )
    )
)
SOLVER = """net: "%s" base_lr: 1e-3 lr_policy: "fixed" max_iter: %d display: 1 momentum: 0.9
momentum2: 0.999 snapshot: %d snapshot_prefix: "%s" snapshot_format: HDF5 solver_mode: CPU
type: "Adam" test_iter: 2 test_interval: 2
"""


def definition(axes=2):
    return ModelDef(
        ident="tiny",
        name="Tiny",
        model_prototxt=NET,
        solver_prototxt="base_lr: 1e-5",
        element_size_um=(0.5,) * axes,
        downsample_factor=(2,) * axes,
        pad_input=(6,) * axes,
        pad_output=(0,) * axes,
        class_names=("background", "cell"),
        memory_map=((100, 50), (400, 80), (900, 200)),
    )


def write_weights(path, axes=2, channels=1, seed=1, body=BODY):
    shape = "".join(f"dim: {n} " for n in (1, channels, *(22,) * axes))
    text = f'layer {{ name: "i" type: "Input" top: "data3" input_param {{ shape {{ {shape} }} }} }}'
    net = Net(netspec.build(netspec.parse_net(text + body), "TEST"), seed=seed)
    save_hdf5(net, path)


def whole(modeldef, path, images):
    """Scores of each image as one tile, padded by NumPy."""
    border, scores = Pads((2,), (6,), (0,)).border[0], []
    for image in images:
        odd = [(s % 2) for s in image.shape[1:]]
        pad = [(0, 0)] + [(border, border + o) for o in odd]
        mode = {"mirror": "reflect", "zero": "constant"}[modeldef.padding]
        given = np.pad(image, pad, mode=mode)
        net = build(modeldef, weights.read(path), given.shape)
        net.blobs["data3"].data[0] = given
        net.forward()
        crop = tuple(slice(0, s) for s in image.shape[1:])
        scores.append(net.blobs["score"].data[0][(slice(None), *crop)].copy())
    return np.array(scores)


# ---- the processes ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The folder with both launchers."""
    folder = tmp_path_factory.mktemp("a b") / "unet"
    assert guarded(fiji.main, ["--install", str(folder)]) == 0
    return folder


@pytest.fixture
def start(programs):
    """Start a program with nothing in its environment; the finished process."""

    def run(program, *argv):
        command = [str(programs / program), *map(str, argv)]
        return subprocess.run(command, env={}, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """A folder, the current one, with a model, its weights and images."""
    monkeypatch.chdir(tmp_path)
    write_modeldef("m.modeldef.h5", definition())
    write_weights("w.caffemodel.h5")
    write_images("job.h5")


def write_images(path, shape=(2, 1, 37, 50), name="data"):
    images = np.random.default_rng(0).random(shape, np.float32)
    with h5py.File(path, "w") as file:
        made = file.create_dataset(name, data=images, compression="gzip", compression_opts=3)
        made.attrs["element_size_um"] = [0.5] * (len(shape) - 2)
        file["conversionParameters"] = 1.0
    return images


def arguments(tiling, *more, job="job.h5"):
    return [
        *("tiled_predict", "-infileH5", job, "-outfileH5", job, "-model", "m.modeldef.h5"),
        *("-weights", "w.caffemodel.h5", "-iterations", "0"),
        *tiling.split(),
        *more,
    ]


PROGRESS = re.compile(r"Processing batch ([0-9]+)/([0-9]+), tile ([0-9]+)/([0-9]+)")


def predicted(capsys, *argv, job="job.h5"):
    """Run tiled_predict here; the scores and the progress it showed."""
    capsys.readouterr()
    assert guarded(caffe_unet.main, [str(a) for a in argv]) == 0
    lines = capsys.readouterr().out.splitlines()
    progress = [tuple(map(int, PROGRESS.fullmatch(line).groups())) for line in lines]
    with h5py.File(job) as file:
        assert list(file) == ["score"] and file["score"].dtype == np.float32
        return file["score"][()], progress


def test_the_programs_are_found(start):
    """Without arguments they must end with 0, or the plugin says they are not there."""
    for program in fiji.PROGRAMS:
        done = start(program)
        assert done.returncode == 0 and "usage: " in done.stdout


def test_a_whole_prediction_as_the_plugin_asks_for_it(start, cells):
    expected = whole(definition(), "w.caffemodel.h5", write_images("job.h5"))
    check = [
        "check_model_and_weights_h5",
        "-model",
        Path("m.modeldef.h5").resolve(),
        "-weights",
        "w.caffemodel.h5",
        "-n_channels",
        "1",
    ]
    assert start("caffe_unet", *check).returncode == 0
    done = start("caffe_unet", *arguments("-n_tiles 1"))
    assert done.returncode == 0, done.stderr
    shown = [PROGRESS.fullmatch(line).groups() for line in done.stdout.splitlines()]
    assert shown == [("1", "2", "1", "1"), ("2", "2", "1", "1")]
    with h5py.File("job.h5") as file:
        assert list(file) == ["score"]
        np.testing.assert_allclose(file["score"][()], expected, atol=1e-5)


def test_a_card_that_is_not_there_is_said_in_the_plugin_s_words(start, cells):
    before = Path("job.h5").read_bytes()
    for program, argv in (
        ("caffe_unet", arguments("-n_tiles 1", "-gpu", "0")),
        ("caffe", ["train", "-solver", "s.prototxt", "-gpu", "all", "-sigint_effect", "stop"]),
    ):
        done = start(program, *argv)
        assert done.returncode and "invalid device ordinal" in done.stderr and not done.stdout
    assert Path("job.h5").read_bytes() == before


def test_the_net_is_built_as_the_options_say(capsys, cells, cards, monkeypatch):
    """Device, engine, precision and fusion are those of the command line."""
    made, begin = [], Net.__init__
    monkeypatch.setattr(Net, "__init__", lambda *a, **k: made.append(a[0]) or begin(*a, **k))
    images = write_images("job.h5", (1, 1, 20, 30))
    expected = whole(definition(), "w.caffemodel.h5", images)
    made.clear()
    asked = ("-gpu", "1", "--engine", "caffe", "--precision", "tf32", "--no-fuse")
    got, _ = predicted(capsys, *arguments("-n_tiles 2x1", *asked))
    np.testing.assert_allclose(got, expected, atol=1e-2)
    check = ["check_model_and_weights_h5", "-model", "m.modeldef.h5", "-weights"]
    assert guarded(caffe_unet.main, [*check, "w.caffemodel.h5", *asked]) == 0
    for net in made:
        assert (net.device.name, net.device.precision) == ("cuda:1", "tf32")
        assert not net.planned.fused.slices
    assert len(made) == 2 and cards.launches > 0
    made.clear()
    write_images("job.h5", (1, 1, 20, 30))
    predicted(capsys, *arguments("-n_tiles 2x1", "--engine", "fast", "--threads", "1"))
    assert {layer.context.engine for layer in made[0].layers} == {"fast"}
    assert made[0].device.on_host and made[0].workers.threads == 1
    assert made[0].planned.fused.slices


def test_all_cards_are_the_first_one_for_the_plugin_alone(capsys, cells, cards):
    """Its choice "all available" means any that there is; who says so to Caffe means all."""
    write_images("job.h5", (1, 1, 20, 30))
    assert guarded(caffe_unet.main, arguments("-n_tiles 1", "-gpu", "all")) == 0
    said = capsys.readouterr().err
    assert "-gpu all: one process computes on one card: NVIDIA Emulated (cuda:0), fp32" in said
    query = ["device_query", "-gpu", "all"]
    assert guarded(caffe.main, [*fiji.PROGRAMS["caffe"][1], *query]) == 0
    said = capsys.readouterr().err
    assert "-gpu all: one process computes on one card" in said and "Querying GPUs 0" in said
    assert guarded(caffe.main, query) == 2
    assert "mpiexec starts several" in capsys.readouterr().err


# ---- tiles --------------------------------------------------------------------------------------

TILINGS = {
    "-n_tiles 5": 5,
    "-n_tiles 2x3": 6,
    "-tile_size 12x20": 12,
    "-mem_available_px 400": None,
    "-gpu_mem_available_MB 100": None,  # 400 px by the model's map
}


@pytest.mark.parametrize(
    ("tiling", "padding"), [*((t, "mirror") for t in TILINGS), ("-n_tiles 2x3", "zero")]
)
def test_tiles_give_the_scores_of_the_whole_image(capsys, cells, tiling, padding):
    """Answers of an even number of pixels keep this net's pooling grid."""
    modeldef = replace(definition(), padding=padding)
    write_modeldef("m.modeldef.h5", modeldef)
    images = write_images("job.h5")
    expected = whole(modeldef, "w.caffemodel.h5", images)
    got, progress = predicted(capsys, *arguments(tiling))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    number = progress[0][3]
    assert progress == [(b, 2, t, number) for b in (1, 2) for t in range(1, number + 1)]
    if TILINGS[tiling]:
        assert number == TILINGS[tiling]


def test_tiles_shift_the_pooling_grid_unless_aligned(capsys, cells):
    """As those of caffe_unet do.  Pooling by 4, answers of 4 d - 10 pixels."""
    body = BODY.replace("kernel_size: 2 stride: 2", "kernel_size: 4 stride: 4")
    body = body.replace("num_output: 2 kernel_size: 1", "num_output: 2 kernel_size: 3")
    modeldef = replace(
        definition(),
        model_prototxt=body,
        downsample_factor=(4, 4),
        pad_input=(2, 2),
        pad_output=(-10, -10),
    )
    write_modeldef("m.modeldef.h5", modeldef)
    write_weights("w.caffemodel.h5", body=body)
    images = write_images("job.h5", (1, 1, 14, 54))
    net = build(modeldef, weights.read("w.caffemodel.h5"), (1, 26, 66))

    def score(padded):
        net.reshape({"data3": (1, *padded.shape)})
        net.blobs["data3"].data[0] = padded
        net.forward()
        return net.blobs["score"].data[0].copy()

    padded = np.pad(images[0], [(0, 0), (6, 6), (6, 30)], mode="reflect")
    entire = score(padded[:, :, :66])
    apart = [score(padded[:, :, x : x + 26]) for x in range(0, 54, 14)]
    apart = np.concatenate(apart, axis=2)[:, :, :54]
    got, _ = predicted(capsys, *arguments("-tile_size 14x14"))
    np.testing.assert_allclose(got[0], apart, atol=1e-5)
    assert np.abs(apart - entire).max() > 1e-2
    write_images("job.h5", (1, 1, 14, 54))
    got, progress = predicted(capsys, *arguments("-tile_size 14x14", "-aligned"))
    np.testing.assert_allclose(got[0], entire, atol=1e-5)
    assert progress[-1] == (1, 1, 5, 5)  # 12 pixels apart


@pytest.mark.parametrize("average", ["-average_mirror", "-average_rotate"])
def test_averages_are_means_over_four_versions(capsys, cells, average):
    images = write_images("job.h5", (1, 1, 20, 30))
    versions = [
        (lambda x: x, lambda x: x),
        *(
            [(lambda x, a=axes: np.flip(x, a),) * 2 for axes in ((-1,), (-2,), (-2, -1))]
            if average.endswith("mirror")
            else [
                (lambda x, k=k: np.rot90(x, -k, (-2, -1)), lambda x, k=k: np.rot90(x, k, (-2, -1)))
                for k in (1, 2, 3)
            ]
        ),
    ]
    expected = np.mean(
        [undo(whole(definition(), "w.caffemodel.h5", do(images))) for do, undo in versions], axis=0
    )
    got, progress = predicted(capsys, *arguments("-n_tiles 2x1", average))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert {(batch, batches) for batch, batches, _, _ in progress} == {(b, 4) for b in range(1, 5)}


def test_volumes(capsys, cells):
    modeldef = definition(axes=3)
    write_modeldef("m.modeldef.h5", modeldef)
    write_weights("w.caffemodel.h5", axes=3)
    images = write_images("job.h5", (1, 1, 6, 14, 10))
    expected = whole(modeldef, "w.caffemodel.h5", images)
    got, progress = predicted(capsys, *arguments("-n_tiles 1x2x2"))
    assert got.shape == (1, 2, 6, 14, 10) and progress[-1] == (1, 1, 4, 4)
    np.testing.assert_allclose(got, expected, atol=1e-5)


# ---- which tiles: U-Net of 2015: f 16, padInput 60, padOutput -124 -------------------------------

UNET = Pads((16, 16), (60, 60), (-124, -124))


def test_the_tiles_of_the_2015_net():
    assert UNET.border == (92, 92) and UNET.least == (188, 188)
    assert UNET.tile((388, 389)) == caffe_tiles.Tile((572, 588), (388, 404))
    laid = caffe_tiles.by_grid((520, 696), (1, 2), UNET, aligned=False)
    assert laid.tile.inputs == (716, 540) and laid.counts == (1, 2)
    assert laid.apart == laid.tile.outputs == (532, 356)


def test_aligned_tiles_lie_on_the_pooling_grid():
    for shape in ((520, 696), (37, 1000), (16, 5)):
        for laid in (
            caffe_tiles.by_grid(shape, (2, 3), UNET, aligned=True),
            caffe_tiles.by_number(shape, 7, UNET, aligned=True),
            caffe_tiles.by_pixels(shape, 400 * 400, UNET, aligned=True),
        ):
            for n, count, apart, out in zip(
                shape, laid.counts, laid.apart, laid.tile.outputs, strict=True
            ):
                assert count == 1 or apart % 16 == 0
                assert apart <= out and (count - 1) * apart < n <= count * apart


# ---- bad input ----------------------------------------------------------------------------------


def drop(path, name):
    with h5py.File(path, "r+") as file:
        del file[name]


def spoil_map():
    write_modeldef("m.modeldef.h5", replace(definition(), memory_map=((900, 50), (-4, 80))))


BAD = {
    "no prototxt": (lambda: drop("m.modeldef.h5", "model_prototxt"), "it has no /model_prototxt"),
    "weights as model": (lambda: write_weights("m.modeldef.h5"), "give it to -weights"),
    "model as weights": (
        lambda: write_modeldef("w.caffemodel.h5", definition()), "is a model definition"),
    "nonsense map": (spoil_map, "memory map (mapInputNumPxGPUMemMB) is nonsense"),
    "no dataset": (lambda: drop("job.h5", "data"), "has no 'data'"),
    "wrong channels": (lambda: write_images("job.h5", (1, 3, 20, 20)), "file has 3x1x3x3"),
    "3-D data": (lambda: write_images("job.h5", (1, 1, 9, 20, 20)), "wants 2-D images"),
    "no image": (lambda: Path("job.h5").unlink(), "does not exist"),
    "wrong pads": (
        lambda: write_modeldef("m.modeldef.h5", replace(definition(), pad_output=(-2, -2))),
        "are not those of its net"),
    "no net": (
        lambda: write_modeldef("m.modeldef.h5", replace(definition(), input_blob_name="x")),
        "no layer reads the input blob 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_touches_nothing(capsys, cells, case):
    spoil, words = BAD[case]
    spoil()
    job = Path("job.h5")
    before = job.read_bytes() if job.exists() else None
    assert guarded(caffe_unet.main, arguments("-gpu_mem_available_MB 100")) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("error: ") and words in said[0]
    assert (job.read_bytes() if job.exists() else None) == before


def test_weights_of_another_model_do_not_pass_the_check(capsys, cells):
    argv = ["check_model_and_weights_h5", "-model", "m.modeldef.h5", "-weights", "w.caffemodel.h5"]
    assert guarded(caffe_unet.main, [*argv, "-n_channels", "3"]) == 2
    assert guarded(caffe_unet.main, argv) == 0
    with h5py.File("w.caffemodel.h5", "r+") as file:
        file[".unet-ident"] = np.bytes_("other")
    capsys.readouterr()
    assert guarded(caffe_unet.main, argv) == 2
    assert "belongs to another model; expected tiny, found other" in capsys.readouterr().err


def test_too_little_memory_is_said_in_the_plugin_s_words(capsys, cells):
    assert guarded(caffe_unet.main, arguments("-mem_available_px 9")) == 2
    assert "out of memory" in capsys.readouterr().err


# ---- training -----------------------------------------------------------------------------------


@pytest.fixture
def job(cells):
    """The files of a fine-tuning, with 3 classes where the weights have 2."""
    rng = np.random.default_rng(3)
    for name, image in (("train", "data"), ("valid", "data3")):
        answer = (30, 30) if name == "train" else ANSWER
        Path(f"{name}.txt").write_text(f"{name}.h5\n")
        with h5py.File(f"{name}.h5", "w") as file:
            file[image] = rng.random((2, 1, *((30, 30) if name == "train" else TILE)), np.float32)
            file["labels"] = rng.integers(0, 3, (2, 1, *answer)).astype(np.float32)
            for weight in ("weights", "weights2"):
                file[weight] = rng.random((2, 1, *answer), np.float32)
    Path("j-model.prototxt").write_text(VALID.replace("num_output: 2", "num_output: 3"))
    return Path("j-solver.prototxt")


def training(solver, n):
    solver.write_text(SOLVER % ("j-model.prototxt", n, n, "j-snapshot"))
    return ["train", "-solver", solver, "-weights", "w.caffemodel.h5", "-sigint_effect", "stop"]


PER_CLASS = [("IoU", what) for what in ("intersection", "union")] + [
    (f"F1_{kind}", f"{what} count")
    for kind in ("detection", "segmentation")
    for what in ("true positive", "prediction", "object")
]


def test_a_fine_tuning_as_the_plugin_asks_for_it(start, job):
    done = start("caffe", *training(job, 4))
    assert done.returncode == 0 and done.stdout == "", done.stderr
    lines = done.stderr.splitlines()
    losses = {}
    for line in lines:
        if re.fullmatch(r".*Iteration [0-9]+ .* loss = .*", line):
            losses[int(line.split("Iteration ")[1].split(" ")[0])] = float(line.split("loss = ")[1])
    assert list(losses) == [0, 1, 2, 3, 4][: len(losses)] and len(losses) >= 4
    tested = [line for line in lines if re.fullmatch(r".*Iteration [0-9]+, Testing net.*", line)]
    valid = [
        line for line in lines if re.fullmatch(r".*Test net output #\d*: loss_valid = .*", line)
    ]
    assert len(tested) == len(valid) == 3
    assert all(float(line.split("loss_valid = ")[1].split(" ")[0]) > 0 for line in valid)
    counts = {}
    for name, what in PER_CLASS:
        head = f"{name} - Per class {what}: "
        found = [line.split(head)[1].split(" ") for line in lines if re.match(f".*{head}.*", line)]
        # before each test come as many lines as it has tiles, with a number for each class
        assert len(found) == 3 * 2 and all(len(list(filter(None, x))) == 2 for x in found)
        counts[name, what] = np.array([[float(v) for v in x if v] for x in found])
        last = max(i for i, line in enumerate(lines) if head in line)
        assert any(f": {name} = " in line for line in lines[last:])
    assert (counts["IoU", "intersection"] <= counts["IoU", "union"]).all()
    assert "2 outputs in w.caffemodel.h5, 3 in the net" in done.stderr
    got, old = (
        weights.read(f).layers for f in ("j-snapshot_iter_4.caffemodel.h5", "w.caffemodel.h5")
    )
    assert got["score"][0].shape[0] == 3
    np.testing.assert_allclose(got["d0"][0], old["d0"][0], atol=5e-3)  # it started there


def test_kill_2_writes_a_snapshot_to_go_on_from(programs, start, job):
    """Of a net without augmentation and tests, which starts sooner."""
    plain = VALID[: VALID.index('name: "tiny"')].replace("TEST", "TRAIN") + BODY
    loss = LOSS[LOSS.index('layer { name: "loss"') :].replace("crop", "s")
    Path("j-model.prototxt").write_text(plain.replace("num_output: 2", "num_output: 3") + loss)
    argv = [str(a) for a in training(job, 100_000)]
    tests = "test_iter: 2 test_interval: 2"
    job.write_text(job.read_text().replace(tests, ""))
    process = subprocess.Popen(
        [programs / "caffe", *argv],
        env={},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stderr:
        if "Iteration 3 " in line:
            break
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and out == "", err
    told = [
        re.sub("^.* Snapshotting to HDF5 file ", "", line)
        for line in err.splitlines()
        if re.match("^.* Snapshotting to HDF5 file ", line)
    ]
    assert len(told) == 1
    n = int(re.sub(r"\.caffemodel\.h5$", "", re.sub("^.*_iter_", "", told[0])))
    state = re.sub("caffemodel.h5$", "solverstate.h5", told[0])
    training(job, n + 1)
    job.write_text(job.read_text().replace(tests, ""))
    done = start("caffe", "train", "-solver", job, "-snapshot", state, "-sigint_effect", "stop")
    assert done.returncode == 0, done.stderr
    assert Path(f"j-snapshot_iter_{n + 1}.caffemodel.h5").exists()


# ---- elsewhere ----------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["mirror", "zero"])
def test_our_own_commands_take_the_model(capsys, cells, padding):
    """deploy with the model definition, and with what port makes of it, give the same scores."""
    modeldef = replace(definition(), padding=padding, normalization_type=1)
    write_modeldef("m.modeldef.h5", modeldef)
    image = np.arange(37 * 50, dtype=np.uint8).reshape(37, 50)
    tifffile.imwrite("img.tif", image)
    options = ["--model", "m.modeldef.h5", "--output", "score", "--tile-size", "14x16", "img.tif"]
    assert guarded(deploy.main, ["--weights", "w.caffemodel.h5", *options]) == 0
    expected = whole(modeldef, "w.caffemodel.h5", image[None, None].astype(np.float32) / 255)[0]
    np.testing.assert_allclose(tifffile.imread("img.score.tif"), expected, atol=1e-5)
    argv = ["w.caffemodel.h5", "--net", "m.modeldef.h5", "-o", "unet.h5"]
    assert guarded(port.main, argv) == 0
    model = weights.read("unet.h5").model
    assert model.normalization["name"] == "minmax" and model.padding == padding
    assert (model.pixel_size, model.class_names) == ((0.5, 0.5), ("background", "cell"))
    options = ["--output", "score", "--overwrite", "img.tif"]
    assert guarded(deploy.main, ["--weights", "unet.h5", *options]) == 0
    np.testing.assert_allclose(tifffile.imread("img.score.tif"), expected, atol=1e-5)

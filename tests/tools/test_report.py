"""The page about a training: what is on it, whatever files and blobs are called, in a browser."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse.data.crops import Pair
from demitasse.data.pack import Recipe, pack
from demitasse.tools import _page, _samples, cli, report, solve
from demitasse.tools import _runs as runs
from demitasse.tools._main import guarded

EVIL = '<b onload="x">&\'"</script><img src=http://evil.example>'

AUGMENTED = """
layer { name: "def" type: "CreateDeformation" bottom: "data" top: "field" include { phase: TRAIN }
  create_deformation_param { batch_size: 1 ny: 22 nx: 22
    random_offset_range_from_in_blob_shape: true
    random_elastic_grid_spacing { v: 8 v: 8 } random_elastic_deform_magnitude { v: 2 v: 2 } } }
layer { name: "bent" type: "ApplyDeformation" bottom: "data" bottom: "field" top: "bent"
  include { phase: TRAIN } }
"""

VOLUMES = """
layer { name: "rows" type: "HDF5Data" top: "data" top: "label" top: "weight"
  hdf5_data_param { source: "train.txt" batch_size: 1 } }
layer { name: "def" type: "CreateDeformation" bottom: "data" top: "field" include { phase: TRAIN }
  create_deformation_param { batch_size: 1 nz: 10 ny: 16 nx: 16
    random_rotate_from { v: 0 v: 0 v: -9 } random_rotate_to { v: 0 v: 0 v: 9 } } }
layer { name: "bent" type: "ApplyDeformation" bottom: "data" bottom: "field" top: "seen"
  include { phase: TRAIN } apply_deformation_param { extrapolation: "zero" } }
layer { name: "score" type: "Convolution" bottom: "seen" top: "score" include { phase: TRAIN }
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "score" type: "Convolution" bottom: "data" top: "score" include { phase: TEST }
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" bottom: "weight"
  top: "loss" }
"""


class Page(HTMLParser):
    """Tags, attributes and text of a page, whose elements must nest."""

    EMPTY = ("meta", "link", "img")

    def __init__(self, path):
        super().__init__()
        self.source = Path(path).read_text(encoding="utf-8")
        self.tags, self.attributes, self.text, self.open = [], [], "", []
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def headings(self):
        return re.findall(r"<h2>(.*?)</h2>", self.source)


@pytest.fixture
def run(tiny):
    """A run with tests, weights and deformations in the folder `run`."""
    with open("solver.prototxt", "a") as file:
        file.write("display: 1 average_loss: 2 test_iter: 3 test_interval: 2\n")
    net = Path("net.prototxt").read_text()
    first = net.index('layer { name: "d0"')
    Path("net.prototxt").write_text(net[:first] + AUGMENTED + net[first:])
    Path("net.prototxt").write_text(
        Path("net.prototxt").read_text()
        + 'layer { name: "silence" type: "Silence" bottom: "bent" include { phase: TRAIN } }\n'
    )
    Path("run").mkdir()
    assert guarded(solve.main, ["solver.prototxt", "--prefix", "run/tiny"]) == 0
    return tiny


def made(*argv, out="report.html"):
    assert guarded(report.main, [*map(str, argv), "-o", out, "--overwrite"]) == 0
    return Page(out)


def test_everything_about_a_training_is_on_its_page(run, capsys):
    page = made("run")
    assert page.headings() == [
        *("Curves", "Tests", "Tiles", "Augmentation", "Weights"),
        *("Settings", "Environment", "Files"),
    ]
    assert "Not to be shown" not in page.text
    # 3 tiles, all of them among the worst; a picture of deformations and one of weights
    assert page.tags.count("img") == 5 and page.source.count('class="chart"') == 3
    digest = json.loads(Path("run/log.jsonl").read_text().splitlines()[0])["files"]["train.h5"]
    assert digest["sha256"] in page.text and "numpy" in page.text and "random_seed: 1" in page.text
    assert "4 iterations of SGD" in page.text and "finished." in page.text
    assert "report.html: " in capsys.readouterr().out


def test_it_asks_the_network_for_nothing_and_runs_nothing(run):
    page = made("run")
    assert "script" not in page.tags and "iframe" not in page.tags
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href"):
            assert value.startswith(("data:", "#")), (tag, value)
    assert "http" not in page.source.replace('http-equiv="', "") and "@import" not in page.source
    assert "url(" not in page.source and f'content="{_page.POLICY}"' in page.source.replace(
        "&#x27;", "'"
    )


def test_names_are_text_whatever_they_hold(run):
    lines = Path("run/log.jsonl").read_text().splitlines()
    start = json.loads(lines[0])
    start |= {"prefix": EVIL, "command": [EVIL], "files": {EVIL: {"sha256": EVIL, "bytes": 1}}}
    start["nets"] = {EVIL: EVIL}
    start["solver"] |= {"path": EVIL, "text": EVIL, "type": EVIL}
    start["net"]["name"] = start["time"] = EVIL
    for group in ("options", "versions", "machine"):
        start[group] = {EVIL: EVIL}
    records = [json.loads(line) for line in lines[1:]]
    for record in records:
        record |= {"path": EVIL, "reason": EVIL, "error": EVIL}
        if "outputs" in record:
            record["outputs"] = {EVIL: [1.0, 2.0], "\ud800": [1.0]}
    Path("log.jsonl").write_text("\n".join(map(json.dumps, [start, *records])))
    for page in (made("log.jsonl"), made("--compare", "log.jsonl", "run")):
        assert EVIL in page.text
        assert "b" not in {tag for tag, name, _ in page.attributes if name == "onload"}
        assert all(
            "evil" not in (value or "") for _, name, value in page.attributes if name == "src"
        )


def test_worst_tiles_come_first(run):
    worst, best = (_samples.tiles(runs.read("run"), 1)[0][k] for k in (0, -1))
    every, seen, path, tests, only = _samples.tiles(runs.read("run"), 3)
    assert seen == 3 and path == "tiny.h5" and tests and only is None
    errors = [tile.error for tile in every]
    assert errors == sorted(errors, reverse=True)
    assert (worst.error, best.error) == (errors[0], errors[-1])


def test_the_error_of_a_tile_is_what_the_net_says(run, monkeypatch):
    """Against the prediction of deploy's own way through the net."""
    from demitasse.imaging.deployed import load_deployed

    predictor = load_deployed("run/tiny.h5").predictor
    with h5py.File("train.h5") as file:
        images, labels = file["data"][:], file["label"][:, 0]
    for tile in _samples.tiles(runs.read("run"), 3)[0]:
        image, label = images[tile.number - 1], labels[tile.number - 1]
        score = predictor.predict(image[:, 3:-3, 3:-3], predictor.choose((16, 16)))
        inner = predictor.net
        inner.reshape({predictor.input: (1, 1, 22, 22)})
        inner.blobs[predictor.input].data[0] = image
        inner.forward()
        score = inner.blobs[predictor.output].data[0]
        assert tile.error == pytest.approx((score.argmax(axis=0) != label).mean())
        np.testing.assert_array_equal(tile.truth, label)
        np.testing.assert_array_equal(tile.image, image[:, 3:-3, 3:-3])


def test_a_grid_that_is_not_deformed_stays_as_it_is():
    from demitasse.tools import _gallery

    at = np.stack(np.meshgrid(np.arange(40.0), np.arange(40.0), indexing="ij"), axis=-1)
    still = _samples.Deformed(np.zeros((1, 40, 40), np.float32), at.astype(np.float32), True)
    grid = _gallery.regular_grid((40, 40))
    np.testing.assert_array_equal(still.applied(grid), grid)


def test_the_deformations_are_the_recipes(run):
    drawn = _samples.deformations(runs.read("run"), 3)
    fields = np.stack([one.field for one in drawn])
    assert fields.shape == (3, 22, 22, 2) and not np.array_equal(fields[0], fields[1])
    again = _samples.deformations(runs.read("run"), 3)
    np.testing.assert_array_equal(fields, [one.field for one in again])  # of the run's seed
    with h5py.File("train.h5") as file:
        np.testing.assert_array_equal([one.image for one in drawn], file["data"][:])


@pytest.mark.parametrize("kinds", [("flips", "elastic", "grey"), ("flips", "grey"), ()])
def test_of_tiles_that_were_bent_when_packed_a_grid_is_bent_alike(tiny, kinds):
    from demitasse.data import augment

    rng = np.random.default_rng(2)
    images, labels = rng.integers(0, 255, (2, 2, 40, 50)).astype("u1")
    recipe = Recipe(Pair((22, 22), (16, 16)), tiles=5, augment=kinds, seed=3)
    pack(images, np.where(labels > 99, 255, 0), "train.h5", recipe, overwrite=True)
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    drawn = _samples.deformations(runs.read("."), 4)
    page = made(".")
    assert len(drawn) == (4 if "elastic" in kinds else 0)
    assert ("Augmentation" in page.headings()) == bool(drawn)
    assert "Not to be shown" not in page.text
    if drawn:
        assert "bent when they were packed" in page.text
        with h5py.File("train.h5") as file:
            np.testing.assert_array_equal([one.image for one in drawn], file["data"][:4])
        moved = augment.elastic(augment.generator(3, 1), (22, 22))
        at = np.stack(np.meshgrid(np.arange(22), np.arange(22), indexing="ij"))
        np.testing.assert_allclose(drawn[1].field.transpose(2, 0, 1), at + moved, atol=1e-5)


@pytest.mark.parametrize(
    "origin",
    ['{"augment": 5}', '{"augment": ["elastic"]}', '{"augment": ["elastic"], "seed": -1}', "[5]"],
)
def test_of_tiles_packed_with_a_recipe_that_is_none_no_grid_is_shown(trained, origin):
    with h5py.File("train.h5", "r+") as file:
        file.attrs["normalization"], file.attrs["origin"] = '{"name": "zscore"}', origin
    assert "bent when they were packed" not in made(".").text


def test_of_volumes_a_slice_is_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.zeros((2, 1, 8, 14, 14), np.uint8)
    labels[:, :, 5, 3:9, 3:9] = 1  # the only slice with an object
    with h5py.File("train.h5", "w") as file:
        file["data"] = rng.random((2, 1, 10, 16, 16), np.float32)
        file["label"], file["weight"] = labels, 1.0 + labels
    Path("train.txt").write_text("train.h5\n")
    Path("net.prototxt").write_text(VOLUMES)
    Path("solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 random_seed: 1 display: 1'
    )
    assert guarded(solve.main, ["solver.prototxt", "--prefix", "vol"]) == 0
    page = made(".")
    assert "Not to be shown" not in page.text and page.tags.count("img") == 4
    assert "2 training tiles" in page.text  # there is no test net
    for tile in _samples.tiles(runs.read("."), 2)[0]:
        assert tile.truth.sum() == 36 and tile.image.shape == (1, 14, 14)
    (sample,) = _samples.weighted(runs.read("."), 1)
    assert sample.labels.sum() == 36 and sample.maps[0][1].max() == 2


def test_of_several_classes_prediction_and_truth_are_beside_each_other():
    import io

    import PIL.Image
    from demitasse.tools import _gallery

    classes = np.repeat(np.arange(3), 20)[:, None] * np.ones(60, int)
    tile = _samples.Tile(1, 0.5, np.zeros((1, 60, 60), np.float32), classes, classes.T)
    assert [words for _, words in _gallery.classes([classes])] == ["class 1", "class 2"]
    picture = PIL.Image.open(io.BytesIO(_gallery.tile(tile, several=True)))
    assert picture.size[0] == _gallery.TILE_WIDTH * 3 // 2 > 2.5 * picture.size[1]


def across(page):
    """The round iterations below every chart of a page."""
    charts = re.findall(r'<svg class="chart".*?</svg>', page.source)
    return [re.findall(r'text-anchor="middle">([\d,]+)<', chart) for chart in charts]


def test_all_charts_have_the_same_iterations_below(run):
    Path("other").mkdir()
    argv = ["solver.prototxt", "--prefix", "other/tiny", "--max-iter", "20"]
    assert guarded(solve.main, argv) == 0
    alone, compared = across(made("other")), across(made("--compare", "run", "other"))
    assert len(alone) == 3 and len(compared) == 4
    assert all(found == ["0", "5", "10", "15", "20"] for found in alone + compared)


def test_colours_of_pictures_are_explained(run):
    legends = re.findall(r'<div class="legend keys">(.*?)</div>', made("run").source)
    tiles, grid, weights = (re.findall(r"</i>(.*?)</span>", legend) for legend in legends)
    assert "rgb(230, 159, 0)" in legends[0]
    assert tiles == ["prediction only", "truth only", "both"]
    assert grid == ["the grid", "the border"]
    assert weights[:3] == ["class 0", "class 1", "weighs nothing"] and len(weights) == 5


def test_what_has_gone_is_said_and_the_rest_is_shown(run):
    Path("train.h5").unlink()
    page = made("run")
    assert page.text.count("Not to be shown") == 3 and page.source.count('class="chart"') == 3
    for path in Path("run").glob("*.h5"):
        path.unlink()
    assert "names no parameters that are still there" in made("run").text


def test_a_log_that_was_moved_finds_its_data_where_they_were(run, tmp_path_factory, monkeypatch):
    moved = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree("run", moved / "run")
    monkeypatch.chdir(moved)
    assert "Not to be shown" not in made("run").text


def test_without_tiles_no_net_is_run(run):
    for path in Path("run").glob("*.h5"):
        path.unlink()
    assert "Tiles" not in made("run", "--tiles", "0").headings()


def test_a_comparison_says_what_differs_and_only_that(run):
    Path("other").mkdir()
    text = Path("solver.prototxt").read_text().replace("base_lr: 0.01", "base_lr: 0.02")
    Path("solver.prototxt").write_text(text)
    Path("net.prototxt").write_text(Path("net.prototxt").read_text().replace("msra", "xavier"))
    assert guarded(solve.main, ["solver.prototxt", "--prefix", "other/tiny"]) == 0
    page = made("--compare", "run", "other")
    assert page.headings() == ["Results", "Curves", "Settings that differ", "Nets that differ"]
    table = page.source.partition("Settings that differ</h2>")[2].partition("</section>")[0]
    rows = re.findall(r"<tr><td>(.*?)</td>", table)
    assert rows == [
        *("solver: base_lr", "solver: snapshot_prefix"),
        *("file: solver.prototxt", "file: net.prototxt"),
    ]
    assert '<span class="added">+      type: &quot;xavier&quot;' in page.source
    assert page.source.count(">other/tiny</span>") >= 3  # in the legends of charts
    same = made("--compare", "run", "run").text
    assert "None that the logs tell of." in same


def test_a_log_of_caffe_is_reported_as_far_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.log").write_text(
        "I0101 10:00:00.0 1 solver.cpp:45] Initializing solver from parameters: \nbase_lr: 0.5\n"
        "I0101 10:00:01.0 1 solver.cpp:239] Iteration 0 (0 iter/s, 0s/10 iters), loss = 2\n"
        "I0101 10:00:01.0 1 sgd_solver.cpp:112] Iteration 0, lr = 0.5\n"
        "I0101 10:00:09.0 1 solver.cpp:239] Iteration 10 (1 iter/s, 8s/10 iters), loss = 1\n"
    )
    page = made("train.log")
    assert page.headings() == ["Curves", "Settings"] and "base_lr: 0.5" in page.text
    assert "10 iterations in 9.0 s" in page.text


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["missing"], "No such file"),
        (["."], "holds no log.jsonl"),
        (["log.txt", "-o", "no/report.html"], "the folder to write into does not exist"),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, argv, says):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["report", *argv]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["a", "b"], ["--compare", "a"]])
def test_how_many_runs(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        report.main(argv)
    assert ended.value.code == 2 and "--compare" in capsys.readouterr().err


def test_a_report_that_exists_is_not_replaced_unasked(run, capsys):
    Path("report.html").write_text("mine")
    assert guarded(report.main, ["run"]) == 2
    assert Path("report.html").read_text() == "mine"


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("there is no Chromium with its driver here")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,900"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    with webdriver.Chrome(options=options, service=service) as found:
        yield found


def test_in_a_browser_nothing_is_fetched_and_nothing_goes_wrong(run, browser):
    made("run")
    url = Path("report.html").absolute().as_uri()
    browser.get(url)
    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    sent = [e["params"]["request"]["url"] for e in events if e["method"].endswith("WillBeSent")]
    assert [u for u in sent if not u.startswith("data:")] == [url]
    assert browser.get_log("browser") == []
    broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0
    wide = "return document.documentElement.scrollWidth - innerWidth"
    for width in (1100, 500):
        browser.set_window_size(width, 900)
        assert browser.execute_script(wide) <= 0  # nothing sticks out


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(run, browser, scheme):
    made("run", "--tiles", "0")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(Path("report.html").absolute().as_uri())
    style = "const s = getComputedStyle(document.querySelector('{}')); return s.{}"
    ground = browser.execute_script(style.format("body", "backgroundColor"))
    ink = browser.execute_script(style.format("body", "color"))
    light, dark = (sum(map(int, re.findall(r"\d+", c)[:3])) for c in (ground, ink))
    assert (light > dark + 400) == (scheme == "light") and abs(light - dark) > 400

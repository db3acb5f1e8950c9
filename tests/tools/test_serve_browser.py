"""The page in Chromium: by mouse and drop, and by keyboard alone."""

import base64
import json
import shutil
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse.imaging import tiff
from demitasse.imaging.deployed import load_deployed
from demitasse.tools import _http, _jobs, deploy, serve, solve
from demitasse.tools._main import guarded

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.usefixtures("trained"),
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="Chromium is missing: apt-get install chromium chromium-driver",
    ),
]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1200,800",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    folder = tmp_path_factory.mktemp("downloads")
    driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    driver.downloads = folder
    yield driver
    driver.quit()


class Page:
    """A server and the page it serves."""

    def __init__(self, driver, server):
        self.driver, self.server = driver, server
        driver.get_log("browser"), driver.get_log("performance")
        driver.get(server.url)
        self.wait(lambda: "tiny.h5" in self["model"].text)

    def __getitem__(self, name):
        return self.driver.find_element(By.ID, name)

    def wait(self, until, seconds=20):
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, self.driver.execute_script(
                "return document.body.innerText"
            )
            time.sleep(0.02)

    def done(self):
        self.wait(lambda: self["save"].is_displayed() and self["swipe"].is_displayed())

    def drop(self, *paths):
        """Drop files on the page, as a hand does: over it, then let go."""
        files = [[Path(p).name, base64.b64encode(Path(p).read_bytes()).decode()] for p in paths]
        self.driver.execute_script(
            """const carried = new DataTransfer();
            for (const [name, text] of arguments[0])
              carried.items.add(
                new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name));
            const desk = document.getElementById("desk");
            for (const type of ["dragover", "drop"])
              desk.dispatchEvent(new DragEvent(type,
                {bubbles: true, cancelable: true, dataTransfer: carried}));""",
            files,
        )

    def mask(self):
        """Which pixels of the segmentation are drawn, (height, width)."""
        width, height, alpha = self.driver.execute_script(
            """const mask = document.getElementById("mask"), {width, height} = mask;
            const copy = new OffscreenCanvas(width, height);
            const context = copy.getContext("2d", {willReadFrequently: true});
            context.drawImage(mask, 0, 0);
            const data = context.getImageData(0, 0, width, height).data;
            return [width, height, Array.from(data).filter((_, i) => i % 4 === 3)];"""
        )
        return np.array(alpha).reshape(height, width) > 0

    def press(self, *keys):
        """Keys on whatever has the focus."""
        ActionChains(self.driver, 0).send_keys(*keys).perform()

    def focus(self):
        return self.driver.switch_to.active_element.get_attribute("id")

    def tab_to(self, name):
        for _ in range(25):
            self.press(Keys.TAB)
            if self.focus() == name:
                return
        raise AssertionError(f"the keyboard does not reach {name}")

    def saved(self, name):
        """The bytes of a file the browser has saved."""
        path = self.driver.downloads / name
        self.wait(lambda: path.exists() and path.stat().st_size)
        content = path.read_bytes()
        path.unlink()
        return content

    def check(self):
        """Nothing went wrong in the console, and nothing was asked of anyone else."""
        assert self.driver.get_log("browser") == []
        events = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        asked = [
            e["params"]["request"]["url"]
            for e in events
            if e["method"] == "Network.requestWillBeSent"
        ]
        own = f"http://127.0.0.1:{self.server.server_port}/{self.server.token}/"
        assert len(asked) > 5
        assert [u for u in asked if not u.startswith((own, f"blob:{own[:25]}"))] == []


@pytest.fixture
def page(chromium, tmp_path):
    with served(chromium, tmp_path) as page:
        yield page


@contextmanager
def served(chromium, tmp_path):
    args = serve.parser().parse_args(["--weights", "tiny.h5", "--tiles", "9"])
    folder = tmp_path / "served"
    folder.mkdir()
    jobs = _jobs.Jobs(load_deployed("tiny.h5"), args, folder)
    server = _http.Server(0, jobs, folder, 1 << 20)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield Page(chromium, server)
    finally:
        chromium.get("about:blank")
        server.shutdown()
        thread.join()
        server.server_close()
        jobs.end()


def as_deploy_writes():
    argv = ["--weights", "tiny.h5", "img.tif", "--tiles", "9", "--output", "labels,prob"]
    assert guarded(deploy.main, argv) == 0
    return Path("img.labels.tif").read_bytes(), tifffile.imread("img.prob.tif")


def test_by_mouse(page, monkeypatch):
    opened = threading.Event()
    predict = page.server.jobs.deployed.predictor.predict

    def held(image, tiling, on_tile, **more):
        def slowly(done, count):
            on_tile(done, count)
            assert done < 4 or opened.wait(20)

        return predict(image, tiling, slowly, **more)

    monkeypatch.setattr(page.server.jobs.deployed.predictor, "predict", held)
    page.drop("img.tif")
    page.wait(lambda: "Tile 5 of 9" in page["doing"].text)
    assert float(page["bar"].get_attribute("value")) == pytest.approx(4 / 9)
    assert page["image"].is_displayed() and not page["save"].is_displayed()
    opened.set()
    page.done()
    labels, prob = as_deploy_writes()
    np.testing.assert_array_equal(page.mask(), prob > 0.5)
    assert f"{100 * (prob > 0.5).mean():.1f} %" in page["share"].text
    assert page["live"].get_attribute("textContent") == "img.tif is segmented."

    # the handle follows the mouse, and the segmentation is what lies to its right
    clip = "return document.getElementById('mask').style.clipPath"
    before = page.driver.execute_script(clip)
    ActionChains(page.driver, 0).drag_and_drop_by_offset(page["swipe"], 150, 0).perform()
    assert 55 < int(page["swipe"].get_attribute("aria-valuenow")) < 75
    assert page.driver.execute_script(clip) != before

    page["labels"].click()
    assert page.saved("img.labels.tif") == labels
    page.check()


def test_by_keyboard_alone(page):
    page.tab_to("file")
    # what its dialogue would give, for that is the system's and not the page's
    page.driver.switch_to.active_element.send_keys(str(Path("img.tif").resolve()))
    page.done()
    labels, prob = as_deploy_writes()
    page.tab_to("swipe")
    page.press(Keys.ARROW_LEFT, Keys.PAGE_DOWN)
    assert page["swipe"].get_attribute("aria-valuenow") == "38"
    assert page["swipe"].get_attribute("aria-valuetext").startswith("image up to 38 %")
    page.press(Keys.END)
    assert page["swipe"].get_attribute("aria-valuenow") == "100"
    page.tab_to("threshold")
    page.press(*[Keys.ARROW_LEFT] * 25)
    expected = prob > 64 / 256
    page.wait(lambda: np.array_equal(page.mask(), expected))
    assert not np.array_equal(expected, prob > 0.5)
    assert page["threshold-said"].text == "0.25"
    page.tab_to("labels")
    assert page["labels"].text == "Labels at 0.25 (TIFF)"
    page.press(Keys.ENTER)
    Path("t.tif").write_bytes(page.saved("img.labels-0.25.tif"))
    np.testing.assert_array_equal(tifffile.imread("t.tif"), prob > 0.25)
    page.driver.execute_script("document.getElementById('threshold').focus()")
    page.tab_to("reset")
    page.press(Keys.ENTER)
    assert page.focus() == "threshold" and page["threshold-said"].text == "0.50"
    page.tab_to("labels")
    page.press(Keys.ENTER)
    assert page.saved("img.labels.tif") == labels
    page.check()


def test_more_files_than_the_server_keeps(page, monkeypatch):
    """They wait on the user's side until there is room; older ones say that they made it."""
    monkeypatch.setattr(_jobs, "MOST", 2)
    page.driver.refresh()
    page.wait(lambda: "tiny.h5" in page["model"].text)
    names = [f"cell{i}.tif" for i in range(5)]
    page.drop(*(shutil.copy("img.tif", name) for name in names[:3]))
    page.drop(*(shutil.copy("img.tif", name) for name in names[3:]))

    def rows():
        found = page["images"].find_elements(By.CSS_SELECTOR, "button.name")
        return [tuple(s.text for s in b.find_elements(By.TAG_NAME, "span")) for b in found]

    page.wait(lambda: [status for _, status in rows()] == ["made room"] * 3 + ["done"] * 2)
    assert [name for name, _ in rows()] == names
    page["images"].find_elements(By.CSS_SELECTOR, "button.name")[0].click()
    page.wait(lambda: page["error"].is_displayed())
    said = page["error"].text
    assert said.startswith("cell0.tif: has made room: the server keeps 2 images"), said
    assert not page["save"].is_displayed()
    page["images"].find_elements(By.CSS_SELECTOR, "button.name")[4].click()
    page.done()
    page.check()


def test_pages_of_a_stack_and_a_bad_file(page):
    rng = np.random.default_rng(0)
    tiff.write("s.tif", rng.integers(0, 255, (3, 30, 40)).astype(np.uint8), pixel_size=(0.5, 0.5))
    Path("notes.tif").write_text("no image")
    page.drop("notes.tif", "s.tif")
    page.done()  # of the two the one that is an image is shown
    argv = ["--weights", "tiny.h5", "s.tif", "--tiles", "9"]
    assert guarded(deploy.main, argv) == 0
    labels = tifffile.imread("s.labels.tif")
    np.testing.assert_array_equal(page.mask(), labels[0] > 0)
    page["page"].send_keys(Keys.ARROW_RIGHT * 2)
    assert page["page-said"].text == "3 of 3"
    page.wait(lambda: np.array_equal(page.mask(), labels[2] > 0))
    assert page["scale"].text == "5 µm"  # a quarter of 40 pixels of 0.5 µm
    assert page["scale"].size["width"] == pytest.approx(page["picture"].size["width"] / 4, abs=1)

    rows = page["images"].find_elements(By.CSS_SELECTOR, ".name")
    assert [row.text.split("\n") for row in rows] == [["notes.tif", "refused"], ["s.tif", "done"]]
    rows[0].click()
    page.wait(lambda: page["error"].is_displayed())
    assert page["error"].text.startswith("notes.tif: is not a TIFF or PNG file")
    assert page["error"].get_attribute("role") == "alert"

    Path("large.tif").write_bytes(bytes(2 << 20))
    page["file"].send_keys(str(Path("large.tif").resolve()))
    page.wait(lambda: "large.tif: is too large" in page["error"].text)
    for cross in page["images"].find_elements(By.CSS_SELECTOR, ".remove"):
        cross.click()
    page.wait(lambda: page["empty"].is_displayed() and not page.server.jobs.list())
    page.check()


def test_one_of_three_classes(chromium, tmp_path):
    net = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(net.replace("num_output: 2", "num_output: 3"))
    assert guarded(solve.main, ["solver.prototxt", "--overwrite"]) == 0
    assert guarded(deploy.main, ["--weights", "tiny.h5", "img.tif", "--output", "labels,ome"]) == 0
    labels, prob = tifffile.imread("img.labels.tif"), tifffile.imread("img.ome.tif")
    with served(chromium, tmp_path) as page:
        page.drop("img.tif")
        page.done()
        np.testing.assert_array_equal(page.mask(), labels > 0)
        assert not page["threshold"].is_enabled() and page["labels"].text == "Labels (TIFF)"
        Select(page["class"]).select_by_visible_text("class 2")
        page.wait(lambda: np.array_equal(page.mask(), prob[2] > 0.5))
        page["threshold"].send_keys(Keys.ARROW_LEFT * 25)
        page.wait(lambda: np.array_equal(page.mask(), prob[2] > 0.25))
        assert page["share"].text.startswith("Class 2 covers")
        page["labels"].click()
        Path("t.tif").write_bytes(page.saved("img.labels-0.25.tif"))
        np.testing.assert_array_equal(tifffile.imread("t.tif"), 2 * (prob[2] > 0.25))
        page.check()


def test_everything_has_a_name(page):
    """What a screen reader says of what can be reached."""
    page.drop("img.tif")
    page.done()
    nodes = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    reached = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if any(p["name"] == "focusable" and p["value"]["value"] for p in node.get("properties", []))
    ]
    assert {"slider", "button", "link", "combobox"} <= {role for role, _ in reached}
    assert [role for role, name in reached if not name and role != "RootWebArea"] == []
    page.check()

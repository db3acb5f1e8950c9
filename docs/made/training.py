"""Pictures of trainings: a small U-Net is trained twice on the built-in images, in build/pictures/.

    terminal.svg        a training as a terminal shows it
    report.png          the top of its report, in Chromium
    report-dark.png     the same where the system is dark
    compare.png         two trainings compared
    augmentation.png    the deformations of models/unet_augmented.prototxt

What is trained already is not trained again.  Screenshots want `chromium`; without it they are left
out.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from demitasse import netspec
from demitasse.solvers.observer import Tested
from demitasse.tools import _gallery, _live, _runs, _samples, report, solve

WHERE = Path("build/pictures")  # from the root
RUNS = {"a": [], "b": ["base_lr: 0.003"]}  # what differs from the solver below
SOLVER = """\
net: "models/unet-small.prototxt" type: "SGD" momentum: 0.99 base_lr: 0.01 lr_policy: "poly"
power: 0.9 weight_decay: 0.0005 max_iter: {iterations} display: 1 average_loss: 20 test_iter: 8
test_interval: 50 test_initialization: false snapshot_format: HDF5 random_seed: 1505
"""


def train(name: str, iterations: int) -> Path:
    """The folder of a run, trained if it is not there."""
    folder = WHERE / name
    if not (folder / "unet-small.h5").exists():
        folder.mkdir(parents=True, exist_ok=True)
        text = SOLVER.format(iterations=iterations)
        for line in RUNS[name]:
            text = re.sub(rf"{line.partition(':')[0]}: \S+", line, text)
        (folder / "solver.prototxt").write_text(text)
        prefix = str(folder / "unet-small")
        solve.main([str(folder / "solver.prototxt"), "--prefix", prefix])
    return folder


def terminal(folder: Path, part: float = 0.6) -> str:
    """The view of a training when this part of it was done, from its log, as SVG."""
    from rich.console import Console

    run = _runs.read(folder)
    now = [0.0]
    view = _live.View(clock=lambda: now[0])
    known = run.start
    view.begin(
        SimpleNamespace(
            net=SimpleNamespace(name=known["net"]["name"]),
            param=SimpleNamespace(max_iter=known["max_iter"], snapshot_prefix="runs/unet-small"),
            type=known["solver"]["type"],
            iter=0,
            stop=False,
        )
    )
    until = part * known["max_iter"]
    for step in run.steps:
        if step.iter < until:
            now[0] = step.seconds
            view.step(step.iter + 1, step.loss, step.rate, step.norm)
            view.memory = lambda bytes_=step.resident: bytes_
    for score in run.scores:
        if score.iter <= until:
            weights = {name: float("loss" in name) for name in score.outputs}
            view.test(Tested(score.iter, score.net, 0.0, score.outputs, weights))
    console = Console(record=True, width=_live.WIDEST, file=io.StringIO())
    console.print(view.draw())
    svg = console.export_svg(title="demitasse train models/solver-small.prototxt")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # fetched, otherwise


def shoot(page: Path, picture: Path, width: int, height: int, *, dark: bool = False) -> None:
    """A screenshot of the top of a page, in 256 colours."""
    import PIL.Image

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print(f"{picture}: left out, there is no chromium", file=sys.stderr)
        return
    subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *(f"--window-size={width},{height}", f"--screenshot={picture.absolute()}"),
            *(["--blink-settings=preferredColorScheme=0"] if dark else []),
            page.absolute().as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    few = PIL.Image.open(picture).convert("RGB").quantize(256, PIL.Image.Quantize.MAXCOVERAGE)
    few.save(picture, optimize=True)  # median cut would give all colours to the greys of a tile
    print(picture)


def augmentation() -> bytes:
    """What the paper's augmentation makes of drawn micrographs, and of a regular grid."""
    path = "models/unet_augmented.prototxt"
    for said in solve.make_data_of(netspec.read_net(path)):
        print(said)
    text = netspec.to_text(netspec.read_net(path).message)
    start = {"solver": {"text": f'net: "{path}"'}, "nets": {path: text}, "seed": 1505}
    return _gallery.deformations(_samples.deformations(_runs.Run(Path(path), start), 3))


def draw(folder: Path, iterations: int = 400) -> None:
    """All of them; takes minutes."""
    os.environ["COLUMNS"] = str(_live.WIDEST + 3)
    a, b = (train(name, iterations) for name in RUNS)
    (folder / "terminal.svg").write_text(terminal(a), encoding="utf-8")
    (folder / "augmentation.png").write_bytes(augmentation())
    page, compared = WHERE / "report.html", WHERE / "compare.html"
    report.main([str(a), "-o", str(page), "--tiles", "2", "--overwrite"])
    report.main(["--compare", str(a), str(b), "-o", str(compared), "--overwrite"])
    shoot(page, folder / "report.png", 1100, 1818)
    shoot(page, folder / "report-dark.png", 1100, 1818, dark=True)
    shoot(compared, folder / "compare.png", 1100, 1540)

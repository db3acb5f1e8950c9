"""The demo where demitasse was installed without its repository."""

from pathlib import Path

from demitasse import netspec
from demitasse.imaging import tiff
from demitasse.tools import demo


def test_it_brings_its_nets_along_and_leaves_ours_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    solver = Path("models/solver-small.prototxt")
    demo.bring(solver)
    assert "copied from the installation" in capsys.readouterr().out
    assert netspec.read_solver(str(solver)).message.net == "models/unet-small.prototxt"
    solver.write_text("mine")
    demo.bring(solver)
    assert solver.read_text() == "mine" and not capsys.readouterr().out


def test_its_images_know_how_large_a_pixel_is(tmp_path, monkeypatch):
    """So the pictures of them have a scale bar."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "run", lambda *_: None)
    assert demo.main([]) == 0
    for name in ("image", "truth"):
        found = tiff.read(f"demo/{name}.tif")
        assert (*found.pixel_size, found.unit) == (*demo.PIXEL, "um")

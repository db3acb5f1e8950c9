"""Reading a model while the compiled kernels are imported."""

import threading
from pathlib import Path

import pytest
from demitasse.errors import WeightsError
from demitasse.kernels import convolution
from demitasse.tools import _model
from devices import EMULATOR, device

pytestmark = pytest.mark.usefixtures("trained")


@pytest.fixture
def imports(monkeypatch):
    """The threads that imported compiled kernels; every file counts as large."""
    found = []
    monkeypatch.setattr(convolution, "prepare", lambda: found.append(threading.current_thread()))
    monkeypatch.setattr(_model, "LARGE", 1)
    return found


def load(**options):
    return _model.load_deployed("tiny.h5", None, None, **({"threads": 2} | options))


def test_a_thread_imports_the_kernels_and_ends(imports):
    load()
    [thread] = imports
    assert thread is not threading.main_thread() and not thread.is_alive()


def test_it_ends_where_the_file_is_refused_too(imports):
    content = bytearray(Path("tiny.h5").read_bytes())
    at = content.index(_model.weights.read("tiny.h5").layers["score"][0].tobytes())
    content[at] ^= 1
    Path("tiny.h5").write_bytes(content)
    with pytest.raises(WeightsError, match="checksum mismatch in score/0"):
        load()
    assert len(imports) == 1 and not imports[0].is_alive()


@pytest.mark.filterwarnings("error")
def test_why_they_cannot_be_imported_is_for_others_to_say(imports, monkeypatch, capfd):
    def broken():
        imports.append(threading.current_thread())
        raise OSError("no locator")

    monkeypatch.setattr(convolution, "prepare", broken)
    assert load().predictor.net.params
    assert imports and capfd.readouterr().err == ""


@pytest.mark.parametrize("options", [{"threads": 1}, {"device": device(EMULATOR)}])
def test_no_thread_where_there_is_to_be_one_only_or_another_device_computes(imports, options):
    load(**options)
    assert not imports


def test_no_thread_for_a_small_file(imports, monkeypatch):
    monkeypatch.setattr(_model, "LARGE", 1 + Path("tiny.h5").stat().st_size)
    load()
    assert not imports


def test_a_file_that_is_not_there_is_refused_as_ever(imports):
    Path("tiny.h5").unlink()
    with pytest.raises(WeightsError, match="does not exist"):
        load()
    assert not imports

"""`tools/doctor.py`: what computes here, whether it computes right, and whether files are whole."""

import ctypes
import importlib.util
import json
from types import SimpleNamespace

import numpy as np
import pytest
from demitasse import weights
from demitasse.errors import DeviceError
from demitasse.kernels import columns, tiles_numpy, winograd_cut
from demitasse.kernels.cuda import card
from demitasse.kernels.device import CPU
from demitasse.tools import _device, _machine, _selftest, doctor, solve
from demitasse.tools._main import guarded

from ..emulator.emulated import Emulated


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "a.h5"
    weights.write_hdf5(path, {"d0": [np.arange(18, dtype="f4").reshape(2, 1, 3, 3)]})
    return path


def test_the_stored_numbers_are_those_of_the_specification():
    found, _ = _selftest.numbers(dtype=np.float64, engine="caffe")
    assert found.keys() == _selftest.STORED.keys()
    assert _selftest.error(found)[0] < 1e-11


def test_a_device_gives_the_same_numbers(monkeypatch):
    """On a smaller tile: the emulator takes its time."""
    small = _selftest.TEXT.replace("196", "20").replace("188", "12")
    monkeypatch.setattr(_selftest, "TEXT", small)
    monkeypatch.setattr(_selftest, "STORED", _selftest.numbers(dtype=np.float64)[0])
    found, _ = _selftest.numbers(device=Emulated())
    assert 0 < _selftest.error(found)[0] < _selftest.LIMIT


def test_without_numba_the_numbers_are_the_same(monkeypatch):
    """Whose rounding is another: no value may be moved across a rectifier's kink by it."""
    monkeypatch.setattr(winograd_cut, "transforms", lambda: tiles_numpy)
    found, _ = _selftest.numbers(engine="fast")
    assert 0 < _selftest.error(found)[0] < _selftest.LIMIT


def test_all_is_well_here(capsys):
    assert guarded(doctor.main, []) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:14].split()[0] for line in lines].count("BAD") == 0
    assert sum(line.startswith("ok  self test") for line in lines) == 2
    said = "\n".join(lines)
    for word in ("numpy ", "h5py ", "BLAS", "threads", "memory", "MiB free", "GPU"):
        assert word in said


def test_json_says_the_same(model, capsys):
    assert guarded(doctor.main, ["--json", str(model)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["well"] and {f["name"] for f in found["findings"]} >= {"GPU", "self test"}
    (checked,) = found["files"][str(model)]
    assert checked["fine"] and checked["blobs"] == [
        {"name": "d0/0", "kind": "2x1x3x3 float32", "state": "ok", "why": ""}
    ]


def test_arithmetic_that_is_wrong_is_named(monkeypatch, capsys):
    right = columns.bias_gradient

    def wrong(dy, db, *rest):
        right(dy, db, *rest)
        db *= 1.01

    monkeypatch.setattr(columns, "bias_gradient", wrong)
    assert guarded(doctor.main, []) == 1
    said = capsys.readouterr().out
    assert "BAD self test" in said and "/1 is off by 0.01" in said


def test_a_kernel_that_fails_is_a_finding(monkeypatch, capsys):
    def broken(**options):
        raise RuntimeError("cannot compile")

    monkeypatch.setattr(_selftest, "numbers", broken)
    assert guarded(doctor.main, []) == 1
    assert "BAD self test engine auto: RuntimeError: cannot compile" in capsys.readouterr().out


def test_what_is_not_finite_is_infinitely_wrong():
    found = dict(_selftest.STORED)
    found["score"] = (float("nan"), 1.0)
    assert _selftest.error(found) == (float("inf"), "score")


class Driver:
    """Stands for libcuda.so.1."""

    def __init__(self, code):
        self.code = code

    def cuInit(self, flags):
        return self.code

    def cuDeviceGetCount(self, count):
        count._obj.value = 1

    def cuDeviceGet(self, device, i):
        device._obj.value = i

    def cuDeviceGetName(self, name, size, device):
        name.value = b"NVIDIA T4"

    def cuDeviceTotalMem_v2(self, size, device):
        size._obj.value = 16 << 30


@pytest.mark.parametrize(
    ("code", "there", "why"),
    [
        (None, [], "no NVIDIA driver is installed"),
        (100, [], "the NVIDIA driver finds no GPU; CUDA_VISIBLE_DEVICES is ''"),
        (803, [], "the NVIDIA driver cannot be used (cuInit gives error 803)"),
        (0, ["0: NVIDIA T4, 16,384 MiB"], "CuPy is not installed"),
        (0, ["0: NVIDIA T4, 16,384 MiB"], "CUDA finds no card it can use: driver too old"),
    ],
)
def test_why_no_gpu_is_used(monkeypatch, code, there, why):
    def load(name):
        if code is None:
            raise OSError("libcuda.so.1: cannot open shared object file")
        return Driver(code)

    def usable():
        cause = why if code == 0 else "CuPy is not installed"
        raise DeviceError(f"--gpu auto: {cause}")

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(ctypes, "CDLL", load)
    monkeypatch.setattr(card, "usable", usable)
    found, reasons = _machine.gpu()
    assert found == there and reasons[0].startswith(why)
    assert len(reasons) == (1 if code == 0 else 2)


def test_cards_are_tested_as_well(monkeypatch, capsys):
    def choose(gpu):
        if gpu == "1":
            raise DeviceError("-gpu 1: invalid device ordinal, because the card is too old")
        return SimpleNamespace(on_host=False)

    def numbers(*, device=CPU, engine=None):
        net = real()[1]
        net.device = device
        return _selftest.STORED, net

    real = _selftest.numbers
    monkeypatch.setattr(_selftest, "numbers", numbers)
    monkeypatch.setattr(_machine, "gpu", lambda: (["0: NVIDIA T4", "1: NVIDIA P4"], []))
    monkeypatch.setattr(_device, "choose", choose)
    assert guarded(doctor.main, []) == 1
    said = capsys.readouterr().out
    assert "GPU       0: NVIDIA T4; 1: NVIDIA P4; used with -gpu N" in said
    assert "ok  self test -gpu 0: loss, score and gradients within" in said
    assert "BAD self test -gpu 1: invalid device ordinal, because the card is too old" in said


def test_numba_that_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "Numba is not installed" in _machine.compiled()


def test_a_library_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(_machine, "version", lambda name: None if name == "scipy" else "1")
    assert _machine.versions()[1] == ["scipy"]


@pytest.mark.parametrize("main", [doctor.main, solve.main])
def test_a_file_is_checked_blob_by_blob(model, main, capsys):
    content = bytearray(model.read_bytes())
    content[content.index(np.float32(5).tobytes())] ^= 1
    model.write_bytes(content)
    if main is doctor.main:
        assert guarded(main, [str(model)]) == 1
    else:
        with pytest.raises(SystemExit) as ended:
            main(["--verify", str(model)])
        assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "damaged: checksum mismatch in d0/0" in said and f"{model}: damaged" in said

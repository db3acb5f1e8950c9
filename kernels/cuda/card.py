"""A CUDA card, through CuPy: arrays are CuPy's, kernels are ours, compiled by NVRTC when first used
and kept on disk by CuPy.

CuPy is imported here alone, when a card is asked for.  DeviceError, with the flag's value and the
cause, where there is no CuPy, no driver, no such card, or one older than compute capability 7.5.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DeviceError
from ..device import Slot
from .device import PRECISIONS, Array, Kernel, OwnKernels
from .table import HAS_WARPGROUPS

LEAST = 75  # compute capability, times ten
OPTIONS = ("-std=c++17",)  # of the compiler, beside CuPy's own (-arch, -ftz=true)
# CuPy asks for sm_90, which has no products of warpgroups; since this version both may stand
WARPGROUPS, WARPGROUP_COMPILER = "-arch=sm_90a", (12, 9)
FREE = "Leave --gpu out, or say --gpu none, to compute on the CPU"
INSTALL = "pip install 'demitasse[gpu]', which takes 'cupy-cuda13x[ctk]>=14.2'; [gpu12] for CUDA 12"
SPARE = 256 << 20  # bytes left to CuPy's own temporary arrays, and to whoever else uses the card


class Card(OwnKernels):
    """The card of that number."""

    def __init__(self, number: int = 0, precision: str = "fp32") -> None:
        assert precision in PRECISIONS
        self.cupy = cupy = _cupy(f"--gpu {number}")
        count = cupy.cuda.runtime.getDeviceCount()
        if not 0 <= number < count:
            raise DeviceError(
                f"--gpu {number}: invalid device ordinal",
                expected=f"0 to {count - 1}" if count > 1 else "0, the only card",
                remedy=FREE,
            )
        self.number, self.name = number, f"cuda:{number}"
        self._device = cupy.cuda.Device(number)
        try:
            self.place = str(self._device.pci_bus_id)  # numbers are each process's own
            self._device.use()
            self.stream = _stream(cupy, number)
            self.stream.use()
        except RuntimeError as error:
            raise DeviceError(
                f"--gpu {number}: CUDA cannot start there: {_cause(error)}",
                remedy="Look at nvidia-smi: another process may keep the card for itself, or have "
                "taken its memory. " + FREE,
            ) from error
        capability = int(self._device.compute_capability)
        if capability < LEAST:
            raise DeviceError(
                f"--gpu {number}: the card is too old for our kernels",
                expected="compute capability 7.5 or more",
                found=f"{capability / 10:g}",
                remedy=FREE,
            )
        processors = self._device.attributes["MultiProcessorCount"]
        super().__init__(precision, capability, processors)
        properties = cupy.cuda.runtime.getDeviceProperties(number)
        self.title = f"{properties['name'].decode()} ({self.name}), {precision}"
        if precision != self.precision:
            self.title += f" (float32 on CUDA cores: compute capability {capability / 10:g})"
        self._sent = cupy.cuda.Event(disable_timing=True)
        self._kernels: dict[tuple[str, str], Kernel] = {}
        self._options: tuple[str, ...] = (*OPTIONS, f"-I{_folder()}")
        self._try_compiler()

    def _try_compiler(self) -> None:
        """Compile one kernel of ours and one of CuPy's: the compiler and CUDA's headers are parts
        of their own, and CuPy looks for them only here."""
        compiler = self.cupy.cuda.compiler
        try:
            if self.warpgroups:
                self.warpgroups = self._tries_warpgroups()
            self.function("update.cu", "squares<float>")
            self.zeros(1, np.float32).fill(1)
        except (RuntimeError, compiler.CompileException) as error:
            raise DeviceError(
                f"--gpu {self.number}: CuPy cannot compile kernels: {_cause(error)}",
                remedy=f"Install CUDA's compiler and headers with CuPy: {INSTALL}. {FREE}",
            ) from error

    def _tries_warpgroups(self) -> bool:
        """Whether the compiler makes products of warpgroups: its version says so, and it does,
        although CuPy's options name another architecture behind ours."""
        if self.cupy.cuda.nvrtc.getVersion() < WARPGROUP_COMPILER:
            return False
        plain, self._options = self._options, (*self._options, WARPGROUPS)
        try:
            self.function(*HAS_WARPGROUPS[:2])
        except self.cupy.cuda.compiler.CompileException:
            self._options = plain
            return False
        return True

    def zeros(self, shape: Any, dtype: Any) -> Array:
        with self.memory():
            return self.cupy.zeros(shape, dtype)

    def block(self, size: int) -> Array:
        return self.zeros(size, np.uint8)

    def host_array(self, shape: Any, dtype: Any) -> np.ndarray:
        """Pinned, so that copies do not wait; ordinary memory where the system pins no more."""
        from cupyx import empty_pinned

        try:
            made: np.ndarray = empty_pinned(shape, dtype)
        except self.cupy.cuda.runtime.CUDARuntimeError:
            return np.zeros(shape, dtype)
        made.fill(0)
        return made

    def host(self, array: Array, out: np.ndarray | None = None) -> np.ndarray:
        self.use()
        found: np.ndarray = self.cupy.asnumpy(array, out=out)
        return found

    def sent(self) -> Callable[[], None]:
        self._sent.record(self.stream)
        wait: Callable[[], None] = self._sent.synchronize
        return wait

    def write(self, array: Array, values: Any) -> None:
        self.use()
        given = np.asarray(values, array.dtype, order="C")
        if array.flags.c_contiguous and given.shape == array.shape:
            array.set(given)
        else:
            array[...] = self.cupy.asarray(given)

    def function(self, file: str, expression: str) -> Kernel:
        key = (file, expression)
        if key not in self._kernels:
            module = self.cupy.RawModule(
                code=_source(file),
                options=self._options,
                name_expressions=[expression],
            )
            kernel = module.get_function(expression)
            self._kernels[key] = _launcher(kernel)
        return self._kernels[key]

    def capture(self, run: Callable[[], None]) -> Callable[[], None]:
        """Record what `run` launches as a CUDA graph; the result launches that.

        What it allocates on the way comes from a pool of the graph's own: a later run uses the same
        addresses, so nobody else may get them."""
        pool = self.cupy.cuda.MemoryPool()
        self.recording = True
        try:
            with self.cupy.cuda.using_allocator(pool.malloc):
                self.stream.begin_capture()
                try:
                    run()
                except BaseException:
                    with suppress(Exception):  # it fails as well, and says less than the cause
                        self.stream.end_capture()
                    raise
                graph = self.stream.end_capture()
        finally:
            self.recording = False
        return _Replay(graph, self.stream, pool)

    def begin(self, looks: bool) -> None:
        self.use()
        super().begin(looks)

    def use(self) -> None:
        """Let CuPy compute on this card, in its stream: both are settings of a thread."""
        self._device.use()
        self.stream.use()

    def slot(self, like: Sequence[Array]) -> Slot:
        return _Pinned(self, like)

    def free(self) -> int:
        """What is free on the card, and what CuPy holds for new arrays."""
        pool = self.cupy.get_default_memory_pool()
        return max(0, self._device.mem_info[0] + pool.free_bytes() - SPARE)

    def synchronize(self) -> None:
        self.stream.synchronize()

    def nccl(self) -> Any:
        """CuPy's NCCL, which sums over cards; DeviceError where it has none."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # CuPy's, which says less
            found = import_module("cupy.cuda.nccl")
        if not found.available:
            raise DeviceError(
                f"--gpu {self.number}: CuPy finds no NCCL, which sums over several cards",
                remedy="Install it for the CUDA that CuPy is for: pip install nvidia-nccl-cu13, or"
                " -cu12. Or train in one process, or say -gpu none",
            )
        return found

    def memory(self) -> Any:
        return _Memory(self)


class _Replay:
    """Launches a recorded graph; keeps the memory that it computes in."""

    def __init__(self, graph: Any, stream: Any, pool: Any) -> None:
        self._graph, self._stream, self._pool = graph, stream, pool

    def __call__(self) -> None:
        self._graph.launch(self._stream)


class _Pinned(Slot):
    """Pinned memory of the host, copied by a stream of its own to the card, while that computes;
    `give` copies on the card.  Events order the two: `_there`, the copy to the card is done;
    `_taken`, nobody on the card reads it any more."""

    def __init__(self, card: Card, like: Sequence[Array]) -> None:
        self.card, cuda = card, card.cupy.cuda
        self.arrays = [card.host_array(array.shape, array.dtype) for array in like]
        self._twins = [card.zeros(array.shape, array.dtype) for array in like]
        card.synchronize()  # the zeros are written by another stream than what follows
        self._stream = cuda.Stream(non_blocking=True)
        self._there, self._taken = (cuda.Event(disable_timing=True) for _ in range(2))

    def ready(self) -> None:
        self.card.use()
        self._there.synchronize()

    def filled(self) -> None:
        self._stream.wait_event(self._taken)
        for twin, array in zip(self._twins, self.arrays, strict=True):
            twin.set(array, stream=self._stream)
        self._there.record(self._stream)

    def give(self, targets: Sequence[Array]) -> None:
        self.card.stream.wait_event(self._there)
        for target, twin in zip(targets, self._twins, strict=True):
            target[...] = twin
        self._taken.record(self.card.stream)


class _Memory:
    """Turns CuPy's error of a full card into ours; what is free stays usable."""

    def __init__(self, card: Card) -> None:
        self.card = card

    def __enter__(self) -> None:
        self.card.use()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        cupy = self.card.cupy
        if isinstance(error, cupy.cuda.memory.OutOfMemoryError):
            cupy.get_default_memory_pool().free_all_blocks()
            free, total = self.card._device.mem_info
            raise DeviceError(
                f"--gpu {self.card.number}: out of memory",
                found=f"{free / 2**20:.0f} of {total / 2**20:.0f} MiB free",
                remedy="Take a smaller tile, a smaller batch or --recompute, or close what else "
                "uses the card",
            ) from error


def _launcher(kernel: Any) -> Kernel:
    allowed = [(48 << 10) - kernel.shared_size_bytes]  # without asking, static memory included

    def launch(grid: Any, block: Any, args: Any, shared: int = 0) -> None:
        if shared > allowed[0]:
            kernel.max_dynamic_shared_size_bytes = allowed[0] = shared
        kernel(tuple(grid), tuple(block), tuple(args), shared_mem=shared)

    return launch


def usable() -> int:
    """How many cards there are that CuPy can use; DeviceError, with the cause, where none is."""
    count: int = _cupy("--gpu auto").cuda.runtime.getDeviceCount()
    return count


def _cupy(flag: str) -> Any:
    """CuPy, if it can compute here."""
    try:
        import cupy
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        raise DeviceError(
            f"{flag}: CuPy " + ("is not installed" if missing else f"cannot be loaded ({error})"),
            remedy=f"Install it: {INSTALL}. {FREE}",
        ) from error
    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f"{flag}: CUDA finds no card it can use: {_cause(error)}",
            remedy="Look at nvidia-smi: the driver must run, and be as new as CuPy's CUDA. " + FREE,
        ) from error
    return cupy


def _cause(error: Exception) -> str:
    """The first line of an error of CUDA's, without the name of its code."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    code, _, said = line.partition(": ")
    return said if code.startswith(("cuda", "CUDA_", "NVRTC_")) and said else line


@cache
def _stream(cupy: Any, number: int) -> Any:
    """The one stream that a process computes in on a card, in whatever precision; a stream of its
    own, for the default one cannot be captured."""
    return cupy.cuda.Stream(non_blocking=True)


@cache
def _folder() -> Path:
    return Path(str(files(__package__)))


@cache
def _source(file: str) -> str:
    """A file's text.  CuPy keeps what it compiled by that text alone, so the headers' is told, too:
    a header that changed would else go unnoticed."""
    headers = b"".join(path.read_bytes() for path in sorted(_folder().glob("*.cuh")))
    return f"{(_folder() / file).read_text()}// headers: {sha256(headers).hexdigest()}\n"

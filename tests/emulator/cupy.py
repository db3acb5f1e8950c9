"""As much of CuPy 14 as card.py calls, without a card: arrays are `DeviceArray`, kernels run on the
emulator.  What CuPy refuses is refused: lists for tuples, Python's numbers, host arrays.

    cupy = FakeCupy()
    for name, module in cupy.names().items():
        monkeypatch.setitem(sys.modules, name, module)

free, total: bytes of memory; `calls` is what streams, events, graphs and pools were told, in order;
`launches` counts kernels.  A kernel runs when it is launched, whichever the stream; what NCCL is
told waits in its stream until somebody waits for that (nccl.py).  A stream that captures runs no
kernel; its graph does, when it is launched.

Facts: CuPy 14.2, cupy/_core/raw.pyx, cupy/cuda/function.pyx (_pointer), stream.pyx, graph.pyx.
"""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from .device_array import DeviceArray, done
from .emulated import FOLDER
from .memory import empty
from .module import Module
from .nccl import FakeNccl

SHARED = 48 << 10  # bytes a block may have unless it asks for more


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class CompileException(Exception):
    pass


class FakeCupy:
    """count: of cards; error: what CUDA says instead; busy: what it says when a card is to be used;
    compiles: what is raised where a kernel is compiled; nvrtc: the compiler's version; lacks: a
    kernel that it refuses."""

    def __init__(
        self, count=1, capability="90", error=None, free=1 << 30, total=4 << 30, busy=None,
        compiles=None, nvrtc=(13, 0), lacks="",
    ):  # fmt: skip
        self.count, self.capability, self.error = count, capability, error
        self.busy, self.compiles, self.lacks = busy, compiles, lacks
        self.free, self.total, self.held = free, total, 0
        self.calls, self.capturing, self.modules = [], None, {}
        self.launches, self.streams, self.current = 0, {}, None
        self.architectures = set()  # whether kernels were compiled for 9.0 and its products
        runtime = SimpleNamespace(
            getDeviceCount=self._device_count,
            getDeviceProperties=lambda number: {"name": b"NVIDIA Emulated"},
            CUDARuntimeError=CUDARuntimeError,
        )
        self.cuda = SimpleNamespace(
            runtime=runtime,
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            compiler=SimpleNamespace(CompileException=CompileException),
            nvrtc=SimpleNamespace(getVersion=lambda: nvrtc),
            Device=lambda number: Device(self, number),
            Stream=lambda non_blocking=False: Stream(self),
            Event=lambda disable_timing=False: Event(self),
            MemoryPool=lambda: SimpleNamespace(malloc="a pool of its own"),
            using_allocator=self._using_allocator,
            get_elapsed_time=lambda a, b: 1000 * (b.time - a.time),
            nccl=FakeNccl(self),
        )
        self.cupyx = SimpleNamespace(empty_pinned=lambda shape, dtype: np.empty(shape, dtype))

    def names(self):
        """The modules it stands for."""
        return {"cupy": self, "cupyx": self.cupyx, "cupy.cuda.nccl": self.cuda.nccl}

    def _device_count(self):
        if self.error:
            raise CUDARuntimeError(self.error)
        return self.count

    @contextmanager
    def _using_allocator(self, allocator):
        self.calls.append(("allocator", allocator))
        yield
        self.calls.append(("allocator", None))

    def get_default_memory_pool(self):
        return SimpleNamespace(
            free_all_blocks=lambda: self.calls.append(("pool", "freed")),
            free_bytes=lambda: self.held,
        )

    def zeros(self, shape, dtype):
        made = empty(shape, dtype)
        if made.nbytes > self.free:
            raise OutOfMemoryError(f"Out of memory allocating {made.nbytes} bytes")
        made.fill(0)
        return DeviceArray(made)

    def empty(self, shape, dtype):
        return DeviceArray(empty(shape, np.dtype(dtype)))

    def matmul(self, a, b, out):
        done(lambda: np.matmul(a.host, b.host, out.host), out)

    def asarray(self, values):
        return DeviceArray(np.array(values))

    def asnumpy(self, array, out=None):
        assert isinstance(array, DeviceArray)
        if out is None:
            return array.get()
        assert out.dtype == array.dtype and out.shape == array.shape
        out[...] = array.get()
        return out

    def RawModule(self, *, code, options=(), name_expressions=None):
        assert isinstance(options, tuple) and f"-I{FOLDER}" in options
        (path,) = (p for p in FOLDER.glob("*.cu") if code.startswith(p.read_text()))
        module = self.modules.setdefault(path, Module(path))

        def get_function(name):
            if self.compiles:
                raise self.compiles
            if name == self.lacks:
                raise CompileException(f"ptxas: {name} is not supported on this target")
            self.architectures.add("-arch=sm_90a" in options)
            return RawKernel(self, module.function(name))

        return SimpleNamespace(get_function=get_function)


class RawKernel:
    shared_size_bytes = 0

    def __init__(self, cupy, function):
        self.cupy, self.function, self.max_dynamic_shared_size_bytes = cupy, function, SHARED

    def __call__(self, grid, block, args, *, shared_mem=0):
        assert all(isinstance(x, tuple) for x in (grid, block, args))
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        bare = [self._argument(a) for a in args]

        def launch():
            self.cupy.launches += 1
            self.function(grid, block, bare, shared_mem)

        if self.cupy.capturing is None:
            launch()
        else:
            self.cupy.capturing.append(launch)

    def _argument(self, a):
        if isinstance(a, DeviceArray):
            return np.atleast_1d(a.host)
        if isinstance(a, np.ndarray):
            if a.size != 1:
                raise TypeError(f"You are trying to pass a numpy.ndarray of shape {a.shape}")
            return a
        assert isinstance(a, np.generic), f"{type(a)} would be passed as 8 bytes"
        return a


class Device:
    attributes = {"MultiProcessorCount": 4}  # noqa: RUF012 (CuPy's is a property)

    def __init__(self, cupy, number):
        self.cupy, self.number, self.compute_capability = cupy, number, cupy.capability
        self.pci_bus_id = f"0000:{number:02x}:00.0"

    def use(self):
        if self.cupy.busy:
            raise CUDARuntimeError(self.cupy.busy)
        self.cupy.calls.append(("use", self.number))

    @property
    def mem_info(self):
        return self.cupy.free, self.cupy.total


class Stream:
    """seen: how many launches it is behind; told: what it still has to do."""

    def __init__(self, cupy):
        self.cupy, self.seen, self.told = cupy, 0, []
        self.ptr = 1 + len(cupy.streams)
        cupy.streams[self.ptr] = self

    def do(self):
        """All that it was told."""
        while self.told:
            self.told.pop(0)()

    def use(self):
        self.cupy.current = self
        return self

    def synchronize(self):
        self.cupy.calls.append(("synchronize", self))

    def wait_event(self, event):
        self.cupy.calls.append(("wait", self, event))
        self.seen = max(self.seen, event.launches)

    def begin_capture(self):
        self.cupy.calls.append(("begin", self))
        self.cupy.capturing = DeviceArray.recorded = []
        DeviceArray.busy, DeviceArray.refused = True, False

    def end_capture(self):
        launches, DeviceArray.busy = self.cupy.capturing, False
        self.cupy.capturing = DeviceArray.recorded = None
        self.cupy.calls.append(("end", self))
        if DeviceArray.refused:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated: the capture is invalid")

        def launch(stream):
            assert stream is self
            self.cupy.calls.append(("launch", self))
            for one in launches:
                one()

        return SimpleNamespace(launch=launch)


class Event:
    def __init__(self, cupy):
        self.cupy, self.time, self.launches, self._stream = cupy, 0.0, 0, None

    def record(self, stream):
        self.cupy.calls.append(("record", stream, self))
        self.time = len(self.cupy.calls) / 1000
        self.launches = self.cupy.launches if stream is self.cupy.current else stream.seen
        self._stream, self._asked = stream, False

    @property
    def done(self):
        """Not when it is asked for the first time."""
        if self._asked:
            self._stream.do()
        self._asked = not self._asked
        return not self._asked

    def synchronize(self):
        self.cupy.calls.append(("synchronize", self))

"""Arrays that behave as CuPy's do, on the CPU: what CuPy refuses, they refuse.

NumPy's functions and ufuncs reach them through NumPy's protocols, as they reach `cupy.ndarray`.
TypeError, as with CuPy, where an array of the host is mixed in or a conversion to one is implied;
where a function does not exist in CuPy (FUNCTIONS lists those that do and that demitasse may
need); where a ufunc is given `where` or several outputs.

`busy` is what a captured CUDA graph cannot do: while it is set, whatever waits for the device to
tell the host a value raises RuntimeError, and products that cuBLAS makes NotImplementedError.  What
is computed meanwhile goes to the list `recorded`, if there is one: what changes an array is not
done then, and what makes one is done again later, in the same memory.

Facts: CuPy 14.2, cupy/_core/core.pyx (__array_ufunc__, __array_function__),
cupy/_core/_routines_indexing.pyx (assignment refuses arrays of the host),
cupy_backends/cuda/libs/cublas.pyx (setStream refuses a stream that captures).
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

# of NumPy's functions (not ufuncs), those that CuPy 14 has under the same name and signature
NAMES = """
    all amax amin any arange argmax argmin argsort argwhere array atleast_1d atleast_2d bincount 
    broadcast_to clip concatenate copyto count_nonzero cumsum diff dot einsum empty empty_like 
    expand_dims eye flip full full_like imag isclose lexsort linspace max may_share_memory mean 
    median meshgrid min moveaxis nan_to_num nonzero ones ones_like outer pad percentile prod put 
    ravel real repeat reshape result_type roll rollaxis searchsorted shares_memory shape sort 
    split squeeze stack std sum swapaxes take take_along_axis tensordot tile trace transpose 
    tril triu unique unravel_index var vdot vstack where zeros zeros_like
"""
FUNCTIONS = frozenset(NAMES.split())
_LIMITED = {"where", "initial"}
REFUSED = {
    **{name: _LIMITED for name in ("all", "amax", "amin", "any", "max", "min", "prod", "sum")},
    **{name: {"where", "correction", "mean"} for name in ("mean", "std", "var")},
    **{name: {"order", "stable"} for name in ("argsort", "sort")},
    "clip": {"min", "max"},
    "count_nonzero": {"keepdims"},
    "einsum": {"optimize", "out"},
    "lexsort": {"axis"},
    "percentile": {"weights"},
    "take": {"mode"},
    "unique": {"sorted"},
    # NumPy 2 names the device in these even where nobody asked for one
    "ones": {"device"},
    "full": {"device"},
    "eye": {"device"},
}
SCALARS = (bool, int, float, np.generic)


class DeviceArray:
    """What is behind `host` may be touched by the emulator alone."""

    busy = False
    recorded = None
    refused = False  # whether something did so all the same: a graph is then invalid
    __array_priority__ = 100

    def __init__(self, host: np.ndarray) -> None:
        self.host = host

    # ------------------------------------------------------------------ NumPy's protocols

    def __array__(self, *_, **__):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **kwargs):
        if kwargs.get("where", True) is not True:
            raise TypeError(f"Wrong arguments {{'where': ...}} for {ufunc.__name__}")
        if method not in ("__call__", "outer", "at", "reduce", "accumulate") or len(out) > 1:
            return NotImplemented
        if method == "at":
            raise TypeError("CuPy adds at places with atomics, in any order: not twice the same")
        if ufunc is np.matmul:
            refuse_blas()
        kwargs.pop("where", None)
        arrays = [bare(x) for x in inputs]
        if out:
            kwargs["out"] = tuple(bare(x) for x in out)
            if not isinstance(out[0], DeviceArray):
                raise TypeError(f"Unsupported type {type(out[0])}")
        return done(lambda: getattr(ufunc, method)(*arrays, **kwargs), out[0] if out else None)

    def __array_function__(self, func, types, args, kwargs):
        if func.__name__ not in FUNCTIONS:
            return NotImplemented
        if not all(issubclass(t, (DeviceArray, np.ndarray)) for t in types):
            return NotImplemented
        if REFUSED.get(func.__name__, set()) & kwargs.keys():
            raise TypeError(f"CuPy's {func.__name__} does not know {set(kwargs)}")
        out = kwargs.get("out")
        if func in (np.nonzero, np.argwhere, np.unique, np.bincount):
            self._wait()
        if func in (np.dot, np.einsum, np.outer, np.tensordot, np.vdot):
            refuse_blas()
        arrays, named = [bare(x) for x in args], {k: bare(v) for k, v in kwargs.items()}
        if func in (np.may_share_memory, np.shares_memory, np.result_type, np.shape):
            return func(*arrays, **named)
        if func in (np.copyto, np.put):
            out = args[0]
        return done(lambda: func(*arrays, **named), out)

    # ------------------------------------------------------------------ what it is

    shape = property(lambda self: self.host.shape)
    strides = property(lambda self: self.host.strides)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    itemsize = property(lambda self: self.host.itemsize)
    flags = property(lambda self: self.host.flags)
    T = property(lambda self: DeviceArray(self.host.T))
    data = property(lambda self: SimpleNamespace(ptr=self.host.ctypes.data))

    @property
    def __cuda_array_interface__(self):
        return {**self.host.__array_interface__, "version": 3}

    def __len__(self):
        return len(self.host)

    def __iter__(self):
        return (DeviceArray(self.host[i : i + 1].reshape(self.shape[1:])) for i in range(len(self)))

    def __repr__(self):
        return f"DeviceArray({self.host!r})"

    # ------------------------------------------------------------------ views and copies

    def reshape(self, *shape, order="C"):
        return DeviceArray(self.host.reshape(*shape, order=order))

    def view(self, dtype=None):
        return DeviceArray(self.host.view() if dtype is None else self.host.view(dtype))

    def ravel(self, order="C"):
        return DeviceArray(self.host.ravel(order))

    def transpose(self, *axes):
        return DeviceArray(self.host.transpose(*axes))

    def swapaxes(self, a, b):
        return DeviceArray(self.host.swapaxes(a, b))

    def squeeze(self, axis=None):
        return DeviceArray(self.host.squeeze(axis))

    def astype(self, dtype, order="K", casting="unsafe", subok=True, copy=True):
        return done(lambda: np.array(self.host.astype(dtype, order, copy=copy)))

    def copy(self, order="C"):
        return done(lambda: self.host.copy(order))

    def repeat(self, repeats, axis=None):
        repeats = bare(repeats)
        return done(lambda: self.host.repeat(repeats, axis))

    def argsort(self, axis=-1, kind=None):
        assert kind in (None, "stable")
        return done(lambda: self.host.argsort(axis, kind="stable"))

    def take(self, indices, axis=None):
        indices = bare(indices)
        return done(lambda: np.asarray(self.host.take(indices, axis)))

    def __getitem__(self, key):
        at = index(self, key)
        return done(lambda: np.asarray(self.host[at]))

    def __setitem__(self, key, value):
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("assigning an array of the host is refused: use Device.write")
        if not isinstance(value, (DeviceArray, np.ndarray, *SCALARS)):
            raise TypeError(f"Unsupported type {type(value)}")
        at, given = index(self, key), bare(value)
        done(lambda: self.host.__setitem__(at, given), self)

    # ------------------------------------------------------------------ what waits for the device

    def _wait(self):
        if DeviceArray.busy:
            DeviceArray.refused = True
            raise RuntimeError("a value was asked for while a CUDA graph is captured")

    def get(self):
        self._wait()
        return self.host.copy()

    def set(self, values, stream=None):
        if stream is None:  # in another one than the capturing one a copy may run
            self._wait()
        if not (isinstance(values, np.ndarray) and values.dtype == self.dtype):
            raise TypeError("set takes an array of the host, of the same dtype")
        if values.shape != self.shape or not self.host.flags.forc:
            raise ValueError("Shape mismatch, or an array that is not contiguous")
        self.host[...] = values

    def item(self, *args):
        self._wait()
        return self.host.item(*args)

    def tolist(self):
        self._wait()
        return self.host.tolist()

    def __float__(self):
        self._wait()
        return float(self.host)

    def __int__(self):
        self._wait()
        return int(self.host)

    def __bool__(self):
        self._wait()
        return bool(self.host)

    def __index__(self):
        self._wait()
        return self.host.__index__()

    def fill(self, value):
        if isinstance(value, (np.ndarray, DeviceArray)) and value.ndim:
            raise TypeError("fill takes one value")
        done(lambda: self.host.fill(bare(value)), self)


def refuse_blas():
    if DeviceArray.busy:
        raise NotImplementedError(
            "calling cuBLAS API during stream capture is currently unsupported"
        )


def done(compute, out=None):
    """What `compute` makes, or `out`, which it changes; recorded while a graph is captured."""
    recorded = DeviceArray.recorded
    if recorded is not None and out is not None:
        recorded.append(compute)
        return out
    result = compute()
    if out is not None:
        return out
    made = wrapped(result)
    if recorded is not None:
        assert isinstance(made, DeviceArray)
        recorded.append(lambda: np.copyto(made.host, compute()))
    return made


def bare(x):
    """What NumPy computes with; arrays of the host are refused, inside lists as well."""
    if isinstance(x, DeviceArray):
        return x.host
    if isinstance(x, (tuple, list)):
        return type(x)(bare(v) for v in x)
    if isinstance(x, np.ndarray) and x.ndim and x.dtype != object:
        raise TypeError(f"Unsupported type {type(x)}: an array of the host beside one of a device")
    return x


def wrapped(x):
    if isinstance(x, tuple):
        return tuple(wrapped(v) for v in x)
    if isinstance(x, list):
        return [wrapped(v) for v in x]
    return DeviceArray(np.asarray(x)) if isinstance(x, (np.ndarray, np.generic)) else x


def index(array, key):
    """A mask or an index is an array of the device."""
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts:
        if isinstance(part, DeviceArray) and part.dtype == bool:
            array._wait()  # how many are set decides a shape
    found = tuple(bare(part) for part in parts)
    return found if isinstance(key, tuple) else found[0]


def _reduction(name):
    def method(self, axis=None, dtype=None, out=None, keepdims=False):
        kwargs = {"axis": axis, "keepdims": keepdims}
        if dtype is not None:
            kwargs["dtype"] = dtype
        if out is not None:
            kwargs["out"] = bare(out)
        return done(lambda: getattr(self.host, name)(**kwargs), out)

    return method


for _name in ("sum", "mean", "max", "min", "prod", "all", "any", "argmax", "argmin", "var", "std"):
    if _name in ("sum", "mean", "prod", "var", "std"):
        setattr(DeviceArray, _name, _reduction(_name))
    else:
        setattr(
            DeviceArray,
            _name,
            (
                lambda name: (
                    lambda self, axis=None, out=None, keepdims=False: done(
                        lambda: getattr(self.host, name)(
                            axis=axis, out=None if out is None else bare(out), keepdims=keepdims
                        ),
                        out,
                    )
                )
            )(_name),
        )


def _operator(name, ufunc, reflected=False, in_place=False):
    def method(self, other):
        if not isinstance(other, (DeviceArray, np.ndarray, *SCALARS)):
            return NotImplemented
        if in_place:
            ufunc(self, other, out=self)
            return self
        return ufunc(other, self) if reflected else ufunc(self, other)

    setattr(DeviceArray, name, method)


for _name, _ufunc in {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide,
    "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "matmul": np.matmul, "lshift": np.left_shift,
    "rshift": np.right_shift,
}.items():  # fmt: skip
    _operator(f"__{_name}__", _ufunc)
    _operator(f"__r{_name}__", _ufunc, reflected=True)
    _operator(f"__i{_name}__", _ufunc, in_place=True)
for _name, _ufunc in {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
}.items():  # fmt: skip
    _operator(f"__{_name}__", _ufunc)
DeviceArray.__hash__ = object.__hash__
for _name, _ufunc in {"neg": np.negative, "abs": np.absolute, "invert": np.invert}.items():
    setattr(DeviceArray, f"__{_name}__", (lambda u: lambda self: u(self))(_ufunc))

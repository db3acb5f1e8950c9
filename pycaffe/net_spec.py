"""Nets written in Python.

    n = NetSpec()
    n.data = layers.Input(shape=dict(dim=[1, 3, 32, 32]))
    n.conv = layers.Convolution(n.data, num_output=8, kernel_size=3)
    n.relu = layers.ReLU(n.conv, in_place=True)
    n.to_proto()                                   a NetParameter; str() of it is the prototxt

A layer's arguments are fields of its own parameter message or, failing that, of the layer; those
whose names end in "param" are messages of the layer itself.  Besides there are ntop (how many tops
it makes, 1 by default) and in_place.  What has no name is called after its type: ReLU1, ReLU2 ...

Source: Caffe's python/caffe/net_spec.py.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from . import caffe_pb2


@cache
def param_name_dict() -> dict[str, str]:
    """Layer type -> its parameter message's name without `_param`: "InnerProduct" ->
    "inner_product"."""
    fields = caffe_pb2.LayerParameter.DESCRIPTOR.fields
    return {
        field.message_type.name.removesuffix("Parameter"): field.name.removesuffix("_param")
        for field in fields
        if field.name.endswith("_param")
    }


def assign_proto(proto: Any, name: str, value: Any) -> None:
    """Put a Python value into a field: a dict into a message, a list into a repeated field.

    A single value is taken for a list of one where the field is repeated.
    """
    field = getattr(proto, name)
    repeated = hasattr(field, "extend")
    if repeated:
        values = value if isinstance(value, (list, tuple)) else [value]
        for item in values:
            if isinstance(item, Mapping):
                message = field.add()
                for key, inner in item.items():
                    assign_proto(message, key, inner)
            else:
                field.append(item)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            assign_proto(field, key, inner)
    else:
        setattr(proto, name, value)


class Top:
    """Output `n` of a layer."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn, self.n = fn, n

    def to_proto(self) -> Any:
        """The net that computes this top."""
        return to_proto(self)


class Function:
    """A layer: its type, its bottoms and its arguments."""

    def __init__(self, type_name: str, inputs: tuple[Any, ...], params: dict[str, Any]) -> None:
        self.type_name, self.inputs, self.params = type_name, inputs, dict(params)
        for index, bottom in enumerate(inputs):
            if not isinstance(bottom, Top):
                raise TypeError(f"{type_name} input {index} is not a Top (type is {type(bottom)})")
        self.ntop = int(self.params.pop("ntop", 1))
        self.in_place = bool(self.params.pop("in_place", False))
        self.tops = tuple(Top(self, n) for n in range(self.ntop))


class _Writer:
    """Layers in the order in which they are needed; names: those given to tops (and to layers
    without any)."""

    def __init__(self, names: dict[Top | Function, str]) -> None:
        self.names, self.counts = names, Counter[str]()
        self.layers: OrderedDict[Function, Any] = OrderedDict()

    def net(self) -> Any:
        net = caffe_pb2.NetParameter()
        net.layer.extend(self.layers.values())
        return net

    def name_of(self, named: Top | Function) -> str:
        if named not in self.names:
            type_name = named.fn.type_name if isinstance(named, Top) else named.type_name
            self.counts[type_name] += 1
            self.names[named] = f"{type_name}{self.counts[type_name]}"
        return self.names[named]

    def add(self, fn: Function) -> None:
        """The layer, behind those it depends on, unless it is there."""
        if fn in self.layers:
            return
        layer = caffe_pb2.LayerParameter(type=fn.type_name)
        for bottom in fn.inputs:
            self.add(bottom.fn)
            layer.bottom.append(self.layers[bottom.fn].top[bottom.n])
        layer.top.extend(layer.bottom if fn.in_place else map(self.name_of, fn.tops))
        layer.name = self.name_of(fn.tops[0] if fn.tops else fn)
        for key, value in fn.params.items():
            assign(layer, key, value)
        self.layers[fn] = layer


def assign(layer: Any, name: str, value: Any) -> None:
    """One argument of a layer."""
    own = param_name_dict().get(layer.type)
    if not name.endswith("param") and own is not None:
        try:
            return assign_proto(getattr(layer, f"{own}_param"), name, value)
        except AttributeError:  # no such field there, so one of the layer's
            pass
    assign_proto(layer, name, value)


def to_proto(*tops: Top) -> Any:
    """The NetParameter of all layers that these tops need."""
    writer = _Writer({})
    for top in tops:
        writer.add(top.fn)
    return writer.net()


class NetSpec:
    """Tops by name; whatever is assigned to becomes part of the net."""

    tops: OrderedDict[str, Any]

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.tops[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getitem__(self, name: str) -> Any:
        return self.tops[name]

    def to_proto(self) -> Any:
        """The NetParameter of all that was assigned."""
        for name, top in self.tops.items():
            if not isinstance(top, (Top, Function)):
                raise TypeError(f"{name} is not a Top (type is {type(top)})")
        writer = _Writer({top: name for name, top in self.tops.items()})
        for top in self.tops.values():
            writer.add(top.fn if isinstance(top, Top) else top)
        return writer.net()


class Layers:
    """layers.Convolution(bottom, ...) makes a Top; with ntop a tuple of them; with 0 the layer."""

    def __getattr__(self, type_name: str) -> Callable[..., Any]:
        def layer(*inputs: Any, **params: Any) -> Any:
            fn = Function(type_name, inputs, params)
            if fn.ntop == 0:
                return fn
            return fn.tops[0] if fn.ntop == 1 else fn.tops

        return layer


class _Values:
    def __init__(self, message: str) -> None:
        self._message = message

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(caffe_pb2, self._message), name)


class Parameters:
    """params.Pooling.MAX is PoolingParameter's MAX."""

    def __getattr__(self, name: str) -> _Values:
        return _Values(f"{name}Parameter")


layers = Layers()
params = Parameters()

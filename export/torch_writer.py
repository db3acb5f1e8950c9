"""Python code of a PyTorch module while it is written: modules, parameters and helpers."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Mapping, Sequence

import numpy as np

from .pieces import Piece

HELPERS = {
    "centre_crop": '''\
def centre_crop(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The middle of x, as large as `like`."""
    for axis in range(2, x.ndim):
        rim = (x.shape[axis] - like.shape[axis]) // 2
        x = x.narrow(axis, rim, like.shape[axis])
    return x
'''
}
# what a name may not be: nn.Module's own, Python's, and what the code uses
TAKEN = frozenset(
    {*dir(builtins), "F", "centre_crop", "load", "load_file", "nn", "self", "torch"}
    | {"T_destination", "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children"}
    | {"compile", "cpu", "cuda", "double", "dump_patches", "eval", "extra_repr", "float", "forward"}
    | {"half", "ipu", "load_state_dict", "modules", "mtia", "parameters", "requires_grad_"}
    | {"share_memory", "state_dict", "to", "to_empty", "train", "training", "type", "xpu"}
    | {"zero_grad"}
    | {f"get_{what}" for what in ("buffer", "extra_state", "parameter", "submodule")}
    | {f"set_{what}" for what in ("extra_state", "submodule")}
    | {f"named_{what}" for what in ("buffers", "children", "modules", "parameters")}
    | {f"register_{what}" for what in ("buffer", "module", "parameter")}
    | {
        f"register_{what}_hook"
        for what in ("backward", "forward", "forward_pre", "full_backward", "full_backward_pre")
    }
    | {
        f"register_{what}_{when}_hook"
        for what in ("state_dict", "load_state_dict")
        for when in ("pre", "post")
    }
)


class TorchWriter:
    """fits: images fit the net without a rest, so poolings need not round up."""

    def __init__(self, *, fits: bool) -> None:
        self.fits = fits
        self.made: list[str] = []  # lines of __init__
        self.tensors: dict[str, np.ndarray] = {}  # the state dict
        self.helpers: list[str] = []
        self._names = Names()

    def module(
        self, piece: Piece, kind: str, words: Sequence[str], tensors: Mapping[str, np.ndarray]
    ) -> str:
        """Make a module of this layer; returns what it is called in forward."""
        name = self._names.of(piece.name)
        self.made.append(f"self.{name} = {kind}({', '.join(words)})")
        for part, array in tensors.items():
            self.tensors[f"{name}.{part}"] = np.ascontiguousarray(array, np.float32)
        return f"self.{name}"

    def module_of(self, layer: str) -> str:
        """What the module of another layer is called."""
        return f"self.{self._names.of(layer)}"

    def parameter(self, piece: Piece, part: str, array: np.ndarray) -> str:
        """Make a bare parameter."""
        name = self._names.of(f"{piece.name}_{part}")
        self.made.append(f"self.{name} = nn.Parameter(torch.zeros({array.shape}))")
        self.tensors[name] = np.ascontiguousarray(array, np.float32)
        return f"self.{name}"

    def helper(self, name: str, *words: str) -> str:
        """A call of a function that the code then brings along."""
        if name not in self.helpers:
            self.helpers.append(name)
        return f"{name}({', '.join(words)})"


class Names:
    """Python names for names of layers and blobs: each its own."""

    def __init__(self) -> None:
        self._of: dict[str, str] = {}

    def of(self, name: str) -> str:
        if name not in self._of:
            stem = re.sub(r"\W", "_", name, flags=re.ASCII) or "x"
            if stem[0].isdigit() or stem[0] == "_":  # nn.Module has many that begin so
                stem = f"x{stem}"
            elif keyword.iskeyword(stem) or stem in TAKEN:
                stem = f"{stem}_"
            unique, count = stem, 1
            while unique in self._of.values():
                count += 1
                unique = f"{stem}_{count}"
            self._of[name] = unique
        return self._of[name]


def sizes(values: Sequence[int]) -> str:
    """ "3", or "(1, 3, 3)"."""
    return str(values[0]) if len(set(values)) == 1 else f"({', '.join(map(str, values))})"


def bare(value: str) -> str:
    """Without the parentheses around all of it."""
    if not (value.startswith("(") and value.endswith(")")):
        return value
    depth = 0
    for i, letter in enumerate(value):
        depth += (letter == "(") - (letter == ")")
        if not depth and i < len(value) - 1:
            return value
    return value[1:-1]

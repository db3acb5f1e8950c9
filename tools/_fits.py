"""The largest tile that a net can be trained on in a given memory.

    bytes(n) = activations of a tile of n pixels along each axis, from the plan
               + parameters x (2 + what the solver remembers of each)

Tried among the legal sizes up to the one that did not fit, by halving; nothing is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .. import netspec
from ..errors import DemitasseError
from ..kernels.device import CPU, Device
from ..kernels.workers import Workers, usable_cpus
from ..layers.base import Context
from ..net import params
from ..net.inference import build_layers
from ..net.one_axis import geometries
from ..net.planning import plan_net
from .plan import image_in, plan_deploy, training_graph


def advice(
    source: netspec.Source, room: int, *, histories: int, recompute: bool, device: Device = CPU
) -> str:
    """What to do about a training that does not fit into so many bytes; nothing where no tile of
    this net would fit."""
    ways = {"": recompute} if recompute else {"": False, " with --recompute": True}
    found = {
        words: largest_tile(source, room, histories=histories, recompute=again, device=device)
        for words, again in ways.items()
    }
    said = [f"{size} pixels{words}" for words, size in found.items() if size]
    if not said:
        return ""
    return f"The largest tile that fits has {', or '.join(said)} along each axis"


def largest_tile(
    source: netspec.Source,
    room: int,
    *,
    histories: int,
    recompute: bool = False,
    device: Device = CPU,
) -> int | None:
    """Pixels along each axis; None where nothing fits, or where no size can be told."""
    try:
        shape = image_in(source).shape
        deploy, planned = plan_deploy(source, shape)
        layers = build_layers(deploy, Context())
        axis = geometries(deploy, layers, deploy.outputs[0].blob)[0]
    except (DemitasseError, IndexError):
        return None
    table = params.table(deploy, layers, planned.inferred.needs)
    rest = params.flat_size(table) * (2 + histories) * 4

    def fits(size: int) -> bool:
        needed = training_bytes(
            source, (*shape[:2], *(size,) * (len(shape) - 2)), recompute, device
        )
        return needed is not None and needed + rest <= room

    return largest(range(axis.smallest, max(shape[2:]) + 1, axis.step), fits)


def training_bytes(
    source: netspec.Source, shape: tuple[int, ...], recompute: bool, device: Device
) -> int | None:
    """Of activations and scratch; None where the net does not take this shape."""
    dtype = np.dtype(np.float32)
    try:
        deploy, planned = plan_deploy(source, shape)
        batch = image_in(source).batch
        graph = training_graph(source, deploy, planned.inferred.values, batch=batch)
        if graph is None:
            return None
        workers = Workers(usable_cpus() if device.on_host else 1)  # as the net's own
        layers = build_layers(graph, Context(device=device, workers=workers))
        trained = plan_net(
            graph, layers, None, dtype=dtype, backward=True, recompute=recompute, device=device
        )
    except DemitasseError:
        return None
    return trained.arena_bytes


def largest(sizes: Sequence[int], fits: Callable[[int], bool]) -> int | None:
    """The largest of ascending sizes that fits, where all below a fitting one fit."""
    low, high = 0, len(sizes)  # all below low fit, all from high on do not
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(sizes[middle]) else (low, middle)
    return sizes[low - 1] if low else None

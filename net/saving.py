"""A net's parameters into Caffe's files.

    save_caffemodel     every layer as its message, Splits too, with all its blobs
    save_caffemodel_v1  layers with parameters alone, as Caffe wrote them until 2014
    save_hdf5           /data/<layer>/<i>; what another layer owns is left out

So the files are those that Caffe's Net::ToProto and ToHDF5 write (src/caffe/net.cpp), and
Caffe reads them.  diff: the gradients as well (snapshot_diff).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from .. import weights
from ..layers.base import Blob
from ..netspec import schema
from .net import Net


def save_caffemodel(
    net: Net,
    path: str | os.PathLike[str],
    *,
    diff: bool = False,
    without: Collection[str] = (),
    overwrite: bool = True,
) -> None:
    """Write a .caffemodel; WeightsError above 2 GiB.  without: layers to leave out."""
    layers = _layers(net, diff, without)
    weights.write_caffemodel(path, net.name, layers, overwrite=overwrite)


def save_caffemodel_v1(
    net: Net,
    path: str | os.PathLike[str],
    *,
    without: Collection[str] = (),
    overwrite: bool = True,
) -> None:
    """Write a .caffemodel of V1; WeightsError for what V1 cannot say.  without: as above."""
    layers = [
        (str(node.layer.name), node.type, [net.device.host(blob.data) for blob in layer.blobs])
        for node, layer in zip(net.graph.nodes, net.layers, strict=True)
        if node.name not in without
    ]
    weights.write_caffemodel_v1(path, net.name, layers, overwrite=overwrite)


def _layers(
    net: Net, diff: bool, without: Collection[str]
) -> Iterator[tuple[bytes, list[np.ndarray], list[np.ndarray]]]:
    for node, layer in zip(net.graph.nodes, net.layers, strict=True):
        if node.name in without:
            continue
        message = schema.LayerParameter()
        message.CopyFrom(node.layer)
        message.ClearField("blobs")
        if layer.is_loss and not message.loss_weight:  # Caffe's losses fill theirs in
            message.loss_weight.extend(net.flags.loss_weights[node.index])
        if not layer.learns:  # as its BatchNorm does
            for _ in layer.blobs[len(message.param) :]:
                message.param.add(lr_mult=0)
        data = [net.device.host(blob.data) for blob in layer.blobs]
        yield message.SerializeToString(deterministic=True), data, _diffs(net, layer.blobs, diff)


def save_hdf5(
    net: Net, path: str | os.PathLike[str], *, diff: bool = False, overwrite: bool = True
) -> None:
    """Write a .caffemodel.h5; WeightsError for layer names HDF5 cannot hold."""
    named = zip(net.graph.nodes, net.layers, strict=True)
    diffs = {node.name: _diffs(net, layer.blobs, diff) for node, layer in named} if diff else None
    weights.write_hdf5(path, net.owned_parameters(), diffs, overwrite=overwrite)


def _diffs(net: Net, blobs: Sequence[Blob], wanted: bool) -> list[np.ndarray]:
    """The gradients; zeros in a net that has none."""
    if not wanted:
        return []
    return [
        np.zeros(b.shape, net.dtype) if b.diff is None else net.device.host(b.diff) for b in blobs
    ]

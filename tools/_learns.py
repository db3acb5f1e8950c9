"""Whether a training net can learn at all, asked before iteration 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import GraphError

if TYPE_CHECKING:
    from ..net import Net


def check_learns(net: Net) -> None:
    """Refuse a training net without a loss, or without a parameter that the loss reaches: Caffe
    would run it to the end and leave every parameter as it was."""
    flags, where = net.flags, net.graph.path
    if not any(weight for weights in flags.loss_weights for weight in weights):
        raise GraphError(
            "the training net has no loss, so nothing would be learned",
            where=where,
            remedy="Add a loss, for a U-Net SoftmaxWithLoss of the scores and the labels; its "
            "include rule must not leave it out of phase TRAIN",
        )
    if not any(any(flag) for flag in flags.param_propagate_down):
        raise GraphError(
            "no parameter of the training net can learn",
            where=where,
            remedy="The loss reaches no layer with parameters, or each of them has lr_mult: 0",
        )

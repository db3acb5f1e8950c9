from __future__ import annotations

import itertools

import numpy as np
import pytest
from demitasse.errors import ShapeError, SpecError
from demitasse.layers.im2col import Im2col
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers


def spec(text):
    return layer(f"type: 'Im2col' convolution_param {{ {text} }}")


def expected(x, axis, kernel, stride, pad, dilation):
    """One element after the other."""
    head, channels, size = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    out = [
        (n + 2 * p - (d * (k - 1) + 1)) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, pad, dilation, strict=True)
    ]
    y = np.zeros((*head, channels, *kernel, *out))
    for k in itertools.product(*map(range, kernel)):
        for o in itertools.product(*map(range, out)):
            at = tuple(
                s * i - p + d * j for i, j, s, p, d in zip(o, k, stride, pad, dilation, strict=True)
            )
            if all(0 <= i < n for i, n in zip(at, size, strict=True)):
                y[(..., *k, *o)] = x[(..., *at)]
    return y.reshape(*head, -1, *out)


@few
@given(data=st.data(), spatial=st.integers(1, 3), nd=st.booleans(), back=st.booleans())
def test_gradient(data, spatial, nd, back):
    def draw(low, high):
        return tuple(data.draw(st.integers(low, high)) for _ in range(spatial))

    kernel, stride, pad, dilation = draw(1, 3), draw(1, 2), draw(0, 2), draw(1, 2)
    size = tuple(
        max(1, d * (k - 1) + 1 - 2 * p + more)
        for k, p, d, more in zip(kernel, pad, dilation, draw(0, 2), strict=True)
    )
    head = tuple(data.draw(st.integers(1, 2)) for _ in range(data.draw(st.integers(0, 2))))
    x = numbers((*head, 2, *size))
    fields = {"kernel_size": kernel, "stride": stride, "pad": pad, "dilation": dilation}
    text = " ".join(f"{field}: {n}" for field, values in fields.items() for n in values)
    text += f" axis: {-1 - spatial if back else len(head)}"
    text += " force_nd_im2col: true" if nd else ""
    rig = check_gradient(Im2col, spec(text), [x])
    want = expected(x, len(head), kernel, stride, pad, dilation)
    assert rig.shapes.tops == (want.shape,)
    np.testing.assert_array_equal(rig.forward()[0], want)


def test_sides_and_defaults():
    x = numbers((1, 2, 5, 6)).astype("f4")
    text = "kernel_h: 2 kernel_w: 3 pad_w: 1 stride_h: 2 stride_w: 1"
    (y,) = Rig(Im2col, spec(text), [x], dtype=np.float32).forward()
    np.testing.assert_array_equal(y, expected(x, 1, (2, 3), (2, 1), (0, 1), (1, 1)))


def test_refusals():
    x = np.zeros((1, 2, 5, 6))
    with pytest.raises(SpecError, match="has no kernel_size"):
        Rig(Im2col, spec("pad: 1"), [x])
    with pytest.raises(SpecError, match="gives both kernel_size and kernel_h"):
        Rig(Im2col, spec("kernel_size: 3 kernel_h: 3"), [x])
    with pytest.raises(SpecError, match="gives kernel_size 3 times"):
        Rig(Im2col, spec("kernel_size: [1, 2, 3]"), [x])
    with pytest.raises(ShapeError, match=r"larger than its bottom 'x'; expected at least 7x7"):
        Rig(Im2col, spec("kernel_size: 4 dilation: 2"), [x])
    with pytest.raises(ShapeError, match=r"no spatial axes: the channels are on axis 3"):
        Rig(Im2col, spec("kernel_size: 1 axis: -1"), [x])

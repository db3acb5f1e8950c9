"""Hidden states carried through time.

    t steps, n streams, d units, w (g, d); cont_t: 0 where a stream begins anew at step t, else 1

    rnn    h_t = tanh(a_t + w (cont_t h_{t-1}))                                            g = d
    lstm   a_t += w (cont_t h_{t-1}), then a unit                                          g = 4 d
    unit   i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o),  g = tanh(a_g)
           c_t = (cont_t f) c_{t-1} + i g        h_t = o tanh(c_t)

h and c are (t + 1, n, d) with the start at index 0; a (t, n, g) holds what comes in from outside
and becomes the activations.  Gradients begin with 0 at the last step: nothing comes from beyond.

The unit's gradient takes F = cont f for one sigmoid, as Caffe does: da_f = dc c_{t-1} F (1 - F).
For cont 0 and 1 that is exact; Caffe has no other use for it.
"""

from __future__ import annotations

import numpy as np

from .sigmoid import sigmoid
from .strips import Array


def rnn(a: Array, cont: Array, w: Array, h: Array, scratch: Array) -> None:
    """Write h[1:], which may be a; scratch (2, n, d)."""
    conted, product = scratch
    for t in range(len(a)):
        np.multiply(h[t], cont[t][:, None], out=conted)
        np.matmul(conted, w.T, out=product)
        np.add(a[t], product, out=h[t + 1])
        np.tanh(h[t + 1], out=h[t + 1])


def rnn_gradient(h: Array, cont: Array, w: Array, da: Array, scratch: Array) -> None:
    """da comes as the gradient of h[1:] from outside and becomes that of a; scratch (2, n, d)."""
    dh, slope = scratch
    dh.fill(0)
    for t in reversed(range(len(da))):
        np.multiply(h[t + 1], h[t + 1], out=slope)
        np.subtract(1, slope, out=slope)
        da[t] += dh
        da[t] *= slope
        np.matmul(da[t], w, out=dh)
        dh *= cont[t][:, None]


def lstm(a: Array, cont: Array, w: Array, h: Array, c: Array, conted: Array, part: Array) -> None:
    """Write a, h[1:] and c[1:]; scratch: conted (n, d), part (n, 4 d)."""
    for t in range(len(a)):
        np.multiply(h[t], cont[t][:, None], out=conted)
        np.matmul(conted, w.T, out=part)
        a[t] += part
        unit(a[t], cont[t], c[t], c[t + 1], h[t + 1])


def lstm_gradient(
    a: Array, cont: Array, w: Array, c: Array, dy: Array, da: Array, scratch: Array
) -> None:
    """Write da; dy: the gradient of h[1:] from outside; scratch (3, n, d)."""
    dh, dc, t_ = scratch
    dh.fill(0)
    dc.fill(0)
    for t in reversed(range(len(a))):
        dh += dy[t]
        unit_gradient(a[t], cont[t], c[t], c[t + 1], dc, dh, da[t], dc, t_)
        np.matmul(da[t], w, out=dh)
        dh *= cont[t][:, None]


def unit(a: Array, cont: Array, before: Array, c: Array, h: Array) -> None:
    """Turn a (n, 4 d) into activations; write c and h (n, d).  before: c of the step before."""
    d = c.shape[1]
    sigmoid(a[:, : 3 * d], a[:, : 3 * d])
    np.tanh(a[:, 3 * d :], out=a[:, 3 * d :])
    i, f, o, g = gates(a)
    np.multiply(f, cont[:, None], out=c)
    c *= before
    np.multiply(i, g, out=h)
    c += h
    np.tanh(c, out=h)
    h *= o


def unit_gradient(
    a: Array,
    cont: Array,
    before: Array,
    c: Array,
    dc: Array,
    dh: Array,
    da: Array,
    dbefore: Array,
    scratch: Array,
) -> None:
    """Write da and dbefore, which may be dc; a: activations; scratch (n, d)."""
    i, f, o, g = gates(a)
    di, df, do, dg = gates(da)
    t = np.tanh(c, out=scratch)
    np.subtract(1, o, out=do)
    do *= o
    do *= t
    do *= dh
    t *= t  # from here on the whole gradient that reaches c
    np.subtract(1, t, out=t)
    t *= o
    t *= dh
    t += dc
    np.subtract(1, i, out=di)
    di *= i
    di *= g
    di *= t
    np.multiply(g, g, out=dg)
    np.subtract(1, dg, out=dg)
    dg *= i
    dg *= t
    np.multiply(f, cont[:, None], out=dbefore)
    np.subtract(1, dbefore, out=df)
    df *= dbefore
    df *= before
    df *= t
    dbefore *= t


def gates(a: Array) -> tuple[Array, Array, Array, Array]:
    """Views of the input, forget and output gates and of the new values."""
    d = a.shape[1] // 4
    return a[:, :d], a[:, d : 2 * d], a[:, 2 * d : 3 * d], a[:, 3 * d :]

"""The layers that take every element for itself, and were not there first: AbsVal, BNLL, Clip, ELU,
Exp, Log, Swish, Threshold."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import GraphError, SpecError
from demitasse.kernels.strips import LENGTH
from demitasse.layers.absval import AbsVal
from demitasse.layers.bnll import BNLL
from demitasse.layers.clip import Clip
from demitasse.layers.elu import ELU
from demitasse.layers.exp import Exp
from demitasse.layers.log import Log
from demitasse.layers.swish import Swish
from demitasse.layers.threshold import Threshold
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from .driver import Rig, check_gradient, context, layer
from .in_place import build, check_in_place
from .strategies import few, numbers, shapes


def elu(alpha):
    return lambda x: np.where(x > 0, x, alpha * np.expm1(x))


def swish(beta):
    return lambda x: x * expit(beta * x)


# class, message, formula, where it has no derivative
CASES = {
    "absval": (AbsVal, "", np.abs, [0.0]),
    "bnll": (BNLL, "", lambda x: np.log(1 + np.exp(x)), []),
    "clip": (
        Clip,
        "clip_param { min: -0.5 max: 0.75 }",
        lambda x: x.clip(-0.5, 0.75),
        [-0.5, 0.75],
    ),
    "elu": (ELU, "", elu(1), []),
    "elu alpha": (ELU, "elu_param { alpha: 0.25 }", elu(0.25), [0.0]),
    "elu zero": (ELU, "elu_param { alpha: 0 }", elu(0), [0.0]),
    "elu negative": (ELU, "elu_param { alpha: -0.5 }", elu(-0.5), [0.0]),
    "exp": (Exp, "", np.exp, []),
    "exp linear": (Exp, "exp_param { scale: -0.5 shift: 2 }", lambda x: np.exp(2 - 0.5 * x), []),
    "exp base": (
        Exp,
        "exp_param { base: 2 scale: 0.5 shift: -1 }",
        lambda x: 2 ** (0.5 * x - 1),
        [],
    ),
    "exp one": (Exp, "exp_param { base: 1 shift: 3 }", np.ones_like, []),
    "log": (Log, "log_param { shift: 8 }", lambda x: np.log(x + 8), []),
    "log base": (
        Log,
        "log_param { base: 10 scale: 0.5 shift: 8 }",
        lambda x: np.log10(0.5 * x + 8),
        [],
    ),
    "log small base": (
        Log,
        "log_param { base: 0.5 scale: -1 shift: 8 }",
        lambda x: -np.log2(8 - x),
        [],
    ),
    "swish": (Swish, "", swish(1), []),
    "swish beta": (Swish, "swish_param { beta: -1.5 }", swish(-1.5), []),
}


def spec(cls, param="", in_place=False):
    return layer(f"type: '{cls.type}' bottom: 'x' top: '{'x' if in_place else 'y'}' {param}")


@pytest.mark.parametrize("case", CASES)
@few
@given(shape=shapes(0), in_place=st.booleans())
def test_gradient(case, shape, in_place):
    cls, param, formula, kinks = CASES[case]
    made = cls(spec(cls, param), context())
    # where backward reads the bottom, the net gives an in-place top an array of its own
    in_place = in_place and cls.in_place and "bottom0" not in made.backward_reads
    x = numbers(shape) * 2
    rig = check_gradient(cls, spec(cls, param, in_place), [x], kinks=kinks, in_place=in_place)
    np.testing.assert_allclose(rig.forward()[0], formula(x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("case", CASES)
def test_forward_may_always_work_in_place_and_in_strips(case):
    cls, param, formula, _ = CASES[case]
    x = np.linspace(-4, 4, 2 * LENGTH + 5, dtype="f4")
    if cls.in_place:
        (y,) = Rig(cls, spec(cls, param, True), [x], dtype=np.float32, in_place=True).forward()
        np.testing.assert_allclose(y, formula(x.astype("f8")), rtol=1e-5, atol=1e-6)
    rig = Rig(cls, spec(cls, param), [x], dtype=np.float32)
    (y,) = rig.forward()
    np.testing.assert_allclose(y, formula(x.astype("f8")), rtol=1e-5, atol=1e-6)
    (dx,), _ = rig.backward([x + 5])
    exact = Rig(cls, spec(cls, param), [x.astype("f8")])
    exact.forward()
    np.testing.assert_allclose(dx, exact.backward([x + 5])[0][0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", [name for name in CASES if name not in ("absval", "exp one")])
def test_a_net_gives_the_same_in_place(case):
    cls, param, *_ = CASES[case]
    check_in_place(cls.type, param, (3, 2, 9))


def test_what_backward_reads():
    top = {"bnll", "elu", "elu alpha", "elu zero", "exp", "exp linear", "exp base", "exp one"}
    for name, (cls, param, *_) in CASES.items():
        reads = cls(spec(cls, param), context()).backward_reads
        assert reads == (("top0",) if name in top else ("bottom0",)), name


def test_bnll_neither_overflows_nor_loses_small_values():
    x = np.array([-1000, -30, 0, 30, 1000], "f4")
    rig = Rig(BNLL, spec(BNLL), [x], dtype=np.float32)
    (y,) = rig.forward()
    np.testing.assert_allclose(y, [0, np.exp(-30), np.log(2), 30, 1000], rtol=1e-6)
    np.testing.assert_allclose(rig.backward([np.ones(5)])[0][0], expit(x), rtol=1e-6)


def test_edges():
    rig = Rig(AbsVal, spec(AbsVal), [[-0.0, 0.0, -2.0]])
    rig.forward()
    assert rig.backward([[3, 3, 3]])[0][0].tolist() == [0, 0, -3]
    rig = Rig(Clip, spec(Clip, "clip_param { min: -1 max: 2 }"), [[-1, 2, -1.5, 2.5, np.nan]])
    assert rig.forward()[0].tolist() == [-1, 2, -1, 2, -1]
    assert rig.backward([np.ones(5)])[0][0].tolist() == [1, 1, 0, 0, 0]
    rig = Rig(Clip, spec(Clip, "clip_param { min: 2 max: -1 }"), [[-5.0, 0, 5]])
    assert rig.forward()[0].tolist() == [2, 2, 2]
    rig = Rig(ELU, spec(ELU, "elu_param { alpha: 0.25 }"), [[0.0]])
    rig.forward()
    assert rig.backward([[1]])[0][0].tolist() == [0.25]


def test_no_logarithm():
    rig = Rig(Log, spec(Log), [[0.0, -1.0, 1.0]])
    (y,) = rig.forward()
    assert y[0] == -np.inf and np.isnan(y[1]) and y[2] == 0
    assert rig.backward([[1, 1, 1]])[0][0].tolist() == [np.inf, -1, 1]


def test_a_shift_beyond_all_numbers_is_infinite():
    assert Rig(Exp, spec(Exp, "exp_param { shift: 1e4 }"), [[1.0]]).forward()[0].tolist() == [
        np.inf
    ]


@few
@given(shape=shapes(0), at=st.sampled_from([0, 0.5, -1.25]), in_place=st.booleans())
def test_threshold(shape, at, in_place):
    x = numbers(shape)
    x.reshape(-1)[0] = at  # not above
    param = f"threshold_param {{ threshold: {at} }}" if at else ""
    rig = Rig(Threshold, spec(Threshold, param, in_place), [x], in_place=in_place)
    np.testing.assert_array_equal(rig.forward()[0], x > at)


def test_threshold_has_no_gradient():
    rig = Rig(Threshold, spec(Threshold), [np.zeros(3)], where="net:4:1")
    rig.forward()
    with pytest.raises(GraphError, match=r"net:4:1: .*has no gradient.*propagate_down: false"):
        rig.backward([np.ones(3)])
    rig.forward()
    rig.backward([np.ones(3)], [False])


@pytest.mark.parametrize("base", ["0", "-2", "inf", "nan"])
@pytest.mark.parametrize("cls", [Exp, Log])
def test_impossible_bases(cls, base):
    param = f"{cls.type.lower()}_param {{ base: {base} }}"
    with pytest.raises(SpecError, match=r"impossible base; expected a positive number, or -1"):
        cls(spec(cls, param), context())


def test_refusals():
    with pytest.raises(SpecError, match="base 1"):
        Log(spec(Log, "log_param { base: 1 }"), context())
    with pytest.raises(SpecError, match=r"between which values; expected clip_param"):
        Clip(spec(Clip), context())
    with pytest.raises(SpecError, match="max"):
        spec(Clip, "clip_param { min: 1 }")
    text = (
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } } '
        'layer { name: "f" type: "AbsVal" bottom: "x" top: "x" }'
    )
    with pytest.raises(GraphError, match="cannot work in place"):
        build(text)

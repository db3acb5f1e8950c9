"""Include and exclude rules, as Caffe 1.0 recorded their effect and as its rules say."""

import itertools

import pytest
from demitasse.errors import SpecError
from demitasse.netspec import build, merged_states, net_state, parse_net, schema
from demitasse.netspec.filter import is_met


def state(phase=0, level=0, stages=()):
    return schema.NetState(phase=phase, level=level, stage=stages)


@pytest.mark.parametrize(
    ("rule", "now", "met"),
    [
        ({}, state(), True),
        ({"phase": 0}, state(0), True),
        ({"phase": 0}, state(1), False),
        ({"min_level": 2}, state(level=1), False),
        ({"min_level": 2}, state(level=2), True),
        ({"max_level": 2}, state(level=2), True),
        ({"max_level": 2}, state(level=3), False),
        ({"max_level": -1}, state(level=-1), True),
        ({"stage": ["a", "b"]}, state(stages=["a"]), False),
        ({"stage": ["a", "b"]}, state(stages=["b", "c", "a"]), True),
        ({"not_stage": ["a", "b"]}, state(stages=["b"]), False),
        ({"not_stage": ["a", "b"]}, state(stages=["c"]), True),
        ({"stage": ["a"], "phase": 1}, state(0, stages=["a"]), False),
    ],
)
def test_rules(rule, now, met):
    assert is_met(schema.NetStateRule(**rule), now) is met


def names(text, *args, **kwargs):
    return [node.name for node in build(parse_net(text), *args, **kwargs).nodes]


def test_any_include_rule_is_enough_and_any_exclude_rule_too_much():
    a, b = "{ stage: 'a' }", "{ stage: 'b' }"
    text = f"layer {{ name: 'in' include {a} include {b} }}"
    text += f"layer {{ name: 'out' exclude {a} exclude {b} }}"
    for stages in itertools.chain.from_iterable(itertools.combinations("ab", n) for n in range(3)):
        assert names(text, "TRAIN", stages=stages) == (["in"] if stages else ["out"])


def test_both_kinds_of_rule_are_refused():
    text = 'layer { name: "x"\n include { } exclude { } }'
    with pytest.raises(SpecError, match="both include and exclude") as caught:
        names(text, "TEST")
    assert caught.value.where == "<text>:2:14"


def test_stages_add_up_while_phase_and_level_replace():
    net = parse_net("state { phase: TRAIN level: 5 stage: 'file' }").message
    got = net_state(net, schema.TEST, 1, ["call"])
    assert (got.phase, got.level, list(got.stage)) == (schema.TEST, 1, ["file", "call"])


def test_a_solver_merges_states():
    got = merged_states(state(0), state(1, 3, ["a"]), schema.NetState(stage=["b"]))
    assert (got.phase, got.level, list(got.stage)) == (1, 3, ["a", "b"])


def test_a_layers_own_phase_does_not_filter():
    text = 'layer { name: "d" type: "Dropout" phase: TEST }'
    (node,) = build(parse_net(text), "TRAIN").nodes
    assert node.layer.phase == schema.TEST

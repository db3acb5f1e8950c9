"""Where the time of an iteration goes."""

from demitasse.net import Net
from demitasse.net.timing import time_layers
from demitasse.netspec import build, parse_net
from devices import EMULATOR, device

TEXT = """
input: "x" input_shape { dim: 1 dim: 1 dim: 4 dim: 4 }
layer { name: "c" type: "Convolution" bottom: "x" top: "s" convolution_param {
  num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }
"""


def test_a_layers_time_ends_when_the_device_has_computed_it(monkeypatch):
    """Launches return at once; and nothing that was launched before counts."""
    there, told = device(EMULATOR), []
    net = Net(build(parse_net(TEXT), "TRAIN"), device=there)
    monkeypatch.setattr(there, "synchronize", lambda: told.append("wait"), raising=False)
    monkeypatch.setattr("time.perf_counter", lambda: float(told.append("look") or len(told)))
    times = time_layers(net)
    assert told == ["wait", "look"] * 2 * 2 * len(net.layers)
    assert [name for name, *_ in times] == ["input", "c"]
    assert all(forward > 0 and backward > 0 for _, forward, backward in times)

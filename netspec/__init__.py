"""What a net says: prototxt and binary messages -> upgraded, filtered, split graph.

    source = read_net("train.prototxt")        Source: path, upgraded NetParameter, positions
    graph = build(source, "TRAIN")             Graph: nodes and versioned values
    net = deploy(source)                       NetParameter without data, labels and losses

No NumPy here, and nothing of protobuf is imported before the first message is made.
"""

from __future__ import annotations

from . import schema as schema
from .binary import read_net_binary as read_net_binary
from .deploy import deploy as deploy
from .deploy import deployed as deployed
from .deploy import is_data as is_data
from .filter import merged_states as merged_states
from .filter import net_state as net_state
from .graph import Graph as Graph
from .graph import Node as Node
from .graph import Value as Value
from .graph import build as build
from .graph import build_in_state as build_in_state
from .image import Image as Image
from .image import image_of as image_of
from .read import in_prototxt as in_prototxt
from .read import is_solver as is_solver
from .read import parse_net as parse_net
from .read import parse_solver as parse_solver
from .read import read_net as read_net
from .read import read_solver as read_solver
from .source import Place as Place
from .source import Source as Source
from .stated import stated as stated
from .text import to_text as to_text
from .unique import unique_names as unique_names

"""Pictures of nets: graph -> drawing of boxes, words and arrows -> SVG text.  No layer is run."""

from .facts import Facts as Facts
from .facts import look as look
from .flow import draw_flow as draw_flow
from .shape_u import U as U
from .shape_u import find_u as find_u
from .svg import to_svg as to_svg
from .u import draw_u as draw_u

"""How a net learns: one file per solver, the learning-rate table, the step loop, snapshots."""

from .build import build as build
from .observer import Display as Display
from .observer import Hook as Hook
from .observer import Observer as Observer
from .observer import Tested as Tested
from .solver import Solver as Solver

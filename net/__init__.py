"""Graph and layers become a planned, executable net."""

from .net import Net as Net

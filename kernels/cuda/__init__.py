"""Kernels for a GPU: CUDA C++ sources, the table of their instances, and who launches them.

The sources are compiled when they are first needed; a device hands out functions by file and
expression.  Nothing here imports CuPy.
"""

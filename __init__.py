"""demitasse: Caffe's layer graph in NumPy and CuPy, and the original U-Net running on it.

`docs/architecture.md` says where everything lives.  Importing this package imports nothing else.
"""

__version__ = "0.1.0"

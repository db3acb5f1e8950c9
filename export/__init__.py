"""Nets and parameters in the formats of others: ONNX, PyTorch, safetensors, BioImage Model Zoo.

Each takes an executable `Net` with its parameters loaded, and refuses, naming the layer, what the
other format cannot say.  The libraries behind them are optional and imported when first needed.
"""

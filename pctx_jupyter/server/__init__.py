"""Jupyter Server: the extension, its routes, and the tokens of its kernels."""

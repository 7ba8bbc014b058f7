"""Reads llama.cpp's C headers and writes the Python bindings. Run as ``python -m codegen``."""

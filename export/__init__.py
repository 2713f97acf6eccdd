"""Merged students to GGUF and ONNX."""

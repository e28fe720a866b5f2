"""The models: the source of their weights, how they become ONNX files, and how those run."""

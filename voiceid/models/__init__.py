"""The models: where their weights come from, how they become ONNX files, and how those run."""

"""Weight files and ONNX Runtime: manifest, lookup, providers, sessions."""

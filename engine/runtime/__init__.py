"""ONNX Runtime: providers, sessions, batches."""

import os

# Builds of ONNX Runtime since 1.32 report to their maker over the network as soon as they are
# loaded. Only this variable, set before that, stops them entirely.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

"""Weight files and ONNX Runtime: manifest, lookup, providers, sessions."""

import os

# Builds of ONNX Runtime since 1.32 report to their maker over the network, from the moment that
# they are loaded. Nothing but this, set before that, keeps them from it altogether.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

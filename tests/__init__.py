# Before a test imports ONNX Runtime: engine.runtime turns its telemetry off.
import engine.runtime  # noqa: F401

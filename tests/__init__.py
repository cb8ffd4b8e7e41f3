# Before any test imports ONNX Runtime by itself: it is to report to nobody here, either.
import engine.runtime  # noqa: F401

"""An offline face-swap engine."""

"""Run tasks on the processors of this machine, or of several."""

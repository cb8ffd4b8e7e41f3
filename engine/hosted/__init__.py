"""The hosted API on this machine: a client, and the functions that turn requests into jobs."""

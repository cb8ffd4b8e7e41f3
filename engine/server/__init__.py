"""The hosted API over HTTP on this machine: access control, routes, limits, responses."""

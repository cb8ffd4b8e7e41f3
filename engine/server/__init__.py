"""The hosted API over HTTP, on this machine: who may ask, what is taken, what is answered."""

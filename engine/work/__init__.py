"""Work files of runs that may be interrupted."""

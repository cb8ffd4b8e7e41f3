"""Job queue: a store on disk that outlives its submitters, workers, and child processes."""

"""Work that outlives the process that asked for it: a store on disk, and workers that claim."""

"""Planning and execution of runs."""

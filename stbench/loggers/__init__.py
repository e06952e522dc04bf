"""The shipped loggers, one file each: listeners of :mod:`stbench.events` that write events to a file."""

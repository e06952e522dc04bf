"""Look-up of benchmarks, their folders, files and downloads; benchmarks made from a user's own data."""

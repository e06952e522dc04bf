"""Bundles: a report that travels with the runs behind it, and can be verified wherever it goes."""

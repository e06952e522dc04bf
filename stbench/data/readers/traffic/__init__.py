"""Gridded traffic flow: the TaxiBJ family of files."""

"""Scenarios: finished runs scored under conditions other than those of training. One file each."""

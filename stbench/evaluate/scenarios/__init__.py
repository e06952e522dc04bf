"""Scenarios: finished runs scored beyond the conditions they were trained for. One file each."""

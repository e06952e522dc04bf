"""Frames decoded and resized once into memory-mapped arrays."""

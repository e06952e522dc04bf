"""The parts of ``scripts/measure_speed.py``."""

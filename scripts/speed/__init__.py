"""Parts of ``scripts/measure_speed.py``."""

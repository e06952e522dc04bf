"""Training: the engine (devices, precision, processes), the loop, learning-rate schedules, checkpoints."""

LATE_IMPORTS = ("lightning_fabric",)
"""What the first engine of a process imports; a fork server that has done so saves each of its processes seconds."""

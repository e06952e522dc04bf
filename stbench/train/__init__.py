"""Training: the engine (devices, precision, processes), the loop, learning-rate schedules, checkpoints."""

"""Noisy Moving MNIST: card, protocols and published numbers."""

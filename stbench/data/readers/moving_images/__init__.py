"""Moving MNIST and its relatives: clips drawn from glyphs, and published test clips."""

"""Moving MNIST and its relatives: clips drawn from glyphs, and the field's file of test clips."""

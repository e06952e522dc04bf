"""Which windows of which recordings form the training, validation and test split."""

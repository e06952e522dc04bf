"""KITTI raw to Caltech pedestrian: card, protocols and published numbers."""

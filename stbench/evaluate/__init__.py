"""Scoring a method on the test split."""

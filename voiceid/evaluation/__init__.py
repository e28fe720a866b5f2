"""Evaluation: what errors a model makes on recordings whose speakers are known."""

"""Accuracy against savings: real models on the golden model's arithmetic, over a grid of settings."""

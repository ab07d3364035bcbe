"""Handwritten digits and a small perceptron."""

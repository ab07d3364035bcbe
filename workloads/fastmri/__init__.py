"""Magnetic resonance images from a quarter of the measurements, and a U-Net."""

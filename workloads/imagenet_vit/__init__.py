"""ImageNet pictures with a vision transformer."""

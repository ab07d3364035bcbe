"""What competes: components, and entries composed of them."""

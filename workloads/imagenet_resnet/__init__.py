"""Pictures of a thousand classes and a residual network of 50 layers."""

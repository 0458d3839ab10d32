"""Python functions as tools: signatures, and values in both directions."""

"""Code Mode for agent frameworks: one set of functions, in the form that each framework takes."""

"""IPython: tools made of Python functions, the magics, and what cells show."""

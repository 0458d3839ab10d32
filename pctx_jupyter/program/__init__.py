"""One program: its text, its cell, what is wrong with it, and what comes of it."""

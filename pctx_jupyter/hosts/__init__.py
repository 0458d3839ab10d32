"""Sandboxes on other machines: hosts that dial in to an engine, the programs they are given, and the queue over all."""

"""Deno: one process for each program, pre-warmed, without any permission, always killed."""

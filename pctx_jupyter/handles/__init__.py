"""Handles: objects of the kernel that programs use by name while the objects stay where they are."""

from .frames import register

__all__ = ["register"]

"""Agon: one adversarial engine for images, text and video."""
__version__ = "0.1.0"

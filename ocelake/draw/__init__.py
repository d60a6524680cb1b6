"""Diagrams and plots: frames to SVG text, the same text for the same frames."""

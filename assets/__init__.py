"""Dagster's software-defined assets: what exists, when it is built, and what has to hold. Thin; the library works."""

"""Configs: `default.py` names every field once, each other file is a diff against it."""

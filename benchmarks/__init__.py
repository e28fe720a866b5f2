"""Measurements of voiceid, each a command that prints its own tables.

``python -m benchmarks.accuracy``, ``.calibrate`` and ``.speed``, from the project's folder.
"""

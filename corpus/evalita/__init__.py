"""EVALITA corpora as instructions, and model answers as official scores: encode, decode and score in one place a task."""

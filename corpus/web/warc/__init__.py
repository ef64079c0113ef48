"""WARC files: reading with counted damage, and writing."""

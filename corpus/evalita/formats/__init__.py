"""The file formats that task sets are distributed in, one module each, read strictly: an error names file, row and column."""

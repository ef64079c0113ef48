"""Review by people: sheets that are filled in with a spreadsheet and read back, and intervals of the shares that they give."""

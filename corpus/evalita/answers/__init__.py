"""How values are written as answers and strictly read back, one kind of answer a module."""

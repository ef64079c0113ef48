"""The root of every error a user can cause or mend.

Belongs here: the base class alone. Each concept defines its own subclass beside the code that raises it, with a
message that names the file, key, row or URL, what was expected, and what to do.
"""


class TransumanzaError(Exception):
    """An error whose message tells the user what is wrong and how to mend it; shown without a traceback."""

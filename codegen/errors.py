"""The code generator's error. The command line prints it on one line and exits with 2."""


class CodegenError(Exception):
    """The generator cannot process its input; the message names the fault and its place."""

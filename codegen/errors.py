"""What can go wrong in the code generator. The command line turns each into one line and exit 2."""


class CodegenError(Exception):
    """Something in the input stops the generator; the message says what and where."""

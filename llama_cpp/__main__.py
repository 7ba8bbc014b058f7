"""``python -m llama_cpp`` is the command llama-py."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="llama-py")

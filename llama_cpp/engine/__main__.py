"""``python -m llama_cpp.engine``."""

from .command import main

raise SystemExit(main())

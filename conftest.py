"""Which modules are collected for their examples: those whose libraries are installed."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("diffusers") else ["diffusion/interop/*.py"]

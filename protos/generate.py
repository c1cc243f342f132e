"""Generates the Python code of the contract beside its .proto files: python protos/generate.py [OUT_DIR]."""

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent


def generate(out: Path) -> None:
    """Writes messages, services and their types for every proto file below `protos/` to `out`."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.proto"))
    services = [source for source in sources if not source.startswith("buf/")]
    well_known = str(files("grpc_tools") / "_proto")
    run = ["protoc", f"-I{ROOT}", f"-I{well_known}"]
    _call([*run, f"--python_out={out}", f"--mypy_out=quiet:{out}", *sources])
    _call([*run, f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *services])


def _call(arguments: list[str]) -> None:
    if protoc.main(arguments) != 0:
        raise SystemExit(1)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)

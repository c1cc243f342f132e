"""Generates the Python code of the contract beside its .proto files; with --check, says whether it is in step."""

import filecmp
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent


def generate(out: Path) -> None:
    """Writes messages, services and their types for every proto file below `protos/` to `out`."""
    sources = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.proto"))
    services = [source for source in sources if not source.startswith("buf/")]
    well_known = str(files("grpc_tools") / "_proto")
    run = ["protoc", f"-I{ROOT}", f"-I{well_known}", f"--plugin=protoc-gen-mypy={_tool('protoc-gen-mypy')}"]
    run.append(f"--plugin=protoc-gen-mypy_grpc={_tool('protoc-gen-mypy_grpc')}")
    _call([*run, f"--python_out={out}", f"--mypy_out=quiet:{out}", *sources])
    _call([*run, f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *services])


def out_of_step() -> list[str]:
    """Returns the generated files that are missing, stale or left over."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        wanted = {path.relative_to(fresh) for path in fresh.rglob("*_pb2*.py*")}
        there = {path.relative_to(ROOT) for path in ROOT.rglob("*_pb2*.py*") if "__pycache__" not in path.parts}
        same, _, _ = filecmp.cmpfiles(fresh, ROOT, [str(path) for path in wanted & there], shallow=False)
        return sorted(str(path) for path in (wanted | there) - {Path(name) for name in same})


def _tool(name: str) -> Path:
    return Path(sys.executable).parent / name


def _call(arguments: list[str]) -> None:
    if protoc.main(arguments) != 0:
        raise SystemExit(1)


def main() -> int:
    """Generates, or checks."""
    if sys.argv[1:] != ["--check"]:
        generate(ROOT)
        return 0
    stale = out_of_step()
    if stale:
        sys.stderr.write("generated code is not in step with the .proto files, run make protos:\n")
        sys.stderr.write("".join(f"  {name}\n" for name in stale))
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())

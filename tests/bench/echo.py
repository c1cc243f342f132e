"""A bare grpc.aio echo: `echo.py PORT` answers itself (one hop), `echo.py PORT UPSTREAM_PORT` asks another (two hops).

The reference of P01 and P02: what two hops of this library cost on this machine when nothing is done in between.
"""

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc
import uvloop

PROTO = """
syntax = "proto3";
package echo;
message Item { string id = 1; float score = 2; int32 position = 3; }
message Req { string user_id = 1; int32 limit = 2; string session = 3; }
message Rep { repeated Item items = 1; string next = 2; string algorithm = 3; }
service Echo { rpc Get(Req) returns (Rep); }
"""


def generate(folder: Path) -> Path:
    """Writes the proto file and its code to `folder`; returns the file."""
    proto = folder / "echo.proto"
    proto.write_text(PROTO)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", f"--python_out={folder}"]
    subprocess.run([*command, f"--grpc_python_out={folder}", str(proto)], check=True)
    return proto


async def serve(folder: Path, port: str, upstream: str | None) -> None:
    """Answers 20 items, or passes on what the upstream answers."""
    sys.path.insert(0, str(folder))
    messages, services = importlib.import_module("echo_pb2"), importlib.import_module("echo_pb2_grpc")
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{upstream}") if upstream else None
    stub = services.EchoStub(channel) if channel else None

    class Echo(services.EchoServicer):  # type: ignore[name-defined,misc]
        async def Get(self, request: Any, _context: Any) -> Any:  # noqa: N802
            if stub:
                return await stub.Get(request, timeout=0.15)
            items = [
                messages.Item(id=f"video-{index:08d}", score=1 / (index + 1), position=index + 1)
                for index in range(request.limit)
            ]
            return messages.Rep(items=items, algorithm="lightfm")

    server = grpc.aio.server()
    services.add_EchoServicer_to_server(Echo(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        generate(Path(made))
        uvloop.run(serve(Path(made), sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))

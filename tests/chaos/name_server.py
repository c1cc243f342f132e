"""A name server for one name, so that gRPC's own resolver finds several bridges, and what their callers should do."""

import socket
import struct
import threading
from collections.abc import Sequence
from typing import Self

_A, _TXT = 1, 16
_HEADER = struct.Struct("!6H")
_ANSWER = struct.Struct("!HHHIH")
# An answer to a question, with authority; nothing else is known here.
_FLAGS = 0x8580
# Every answer is about the name in the question, which begins after the header.
_SAME_NAME = 0xC000 | _HEADER.size
_TTL_S = 1
_MAX_TEXT_BYTES = 255


class NameServer:
    """Answers on a loopback UDP port while it is entered.

    Args:
        addresses: What every name resolves to.
        text: Its TXT record; gRPC looks for a service config there (gRFC A2).
    """

    def __init__(self, addresses: Sequence[str], text: str) -> None:
        self._addresses = [socket.inet_aton(address) for address in addresses]
        pieces = (text[start : start + _MAX_TEXT_BYTES].encode() for start in range(0, len(text), _MAX_TEXT_BYTES))
        self._text = b"".join(bytes([len(piece)]) + piece for piece in pieces)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="name-server")

    @property
    def authority(self) -> str:
        """`host:port` of it."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, caller = self._socket.recvfrom(4096)
            if not query:
                return
            self._socket.sendto(self._answer(query), caller)

    def _answer(self, query: bytes) -> bytes:
        end = query.index(b"\0", _HEADER.size) + 5
        question = query[_HEADER.size : end]
        (kind,) = struct.unpack("!H", question[-4:-2])
        records = self._addresses if kind == _A else [self._text] if kind == _TXT else []
        answers = b"".join(_ANSWER.pack(_SAME_NAME, kind, 1, _TTL_S, len(each)) + each for each in records)
        (number,) = struct.unpack("!H", query[:2])
        return _HEADER.pack(number, _FLAGS, 1, len(records), 0, 0) + question + answers

"""A name server for one name, whose answer a test can change or withhold."""

import socket
import struct
import threading


class NameServer:
    """Answers A questions for any name with `address`; with none it says that the name does not exist."""

    def __init__(self) -> None:
        self.address = ""
        self.silent = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.where = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                question, client = self._socket.recvfrom(4096)
            except OSError:
                return
            if not self.silent:
                self._socket.sendto(self._reply(question), client)

    def _reply(self, question: bytes) -> bytes:
        end = question.index(b"\0", 12) + 5
        (kind,) = struct.unpack("!H", question[end - 4 : end - 2])
        answers = 1 if self.address and kind == 1 else 0
        flags = 0x8580 if self.address else 0x8583
        head = question[:2] + struct.pack("!HHHHH", flags, 1, answers, 0, 0)
        record = struct.pack("!HHHIH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(self.address) if answers else b""
        return head + question[12:end] + record

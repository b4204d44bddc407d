"""Server-sent events, as vLLM and OpenAI use them: `data:` fields only (WHATWG HTML, section 9.2)."""

from collections.abc import Iterator


class SSEDecoder:
    """Bytes in, `data` payloads out. An event cut anywhere, even inside a character, comes out whole."""

    def __init__(self, max_event_bytes: int = 16 * 1024 * 1024) -> None:
        self._tail = b""
        self._data: list[bytes] = []
        self._max_event_bytes = max_event_bytes

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the payload of every event that `chunk` completes. Raises ValueError on an endless event."""
        lines = (self._tail + chunk).split(b"\n")
        self._tail = lines.pop()
        for line in lines:
            if line.endswith(b"\r"):
                line = line[:-1]
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif not line and self._data:
                yield b"\n".join(self._data)
                self._data.clear()
        if len(self._tail) + sum(map(len, self._data)) > self._max_event_bytes:
            raise ValueError("an event is larger than the decoder takes")

    def flush(self) -> bool:
        """True when the stream ended between events, False when it broke off inside one."""
        return not self._tail.strip() and not self._data

"""What callers upload is stored encrypted, under the same keys as kept texts (gateway/audit/text_keys.py)."""

from dataclasses import dataclass

from gateway.audit.text_keys import TextKeys, UnknownTextKey, seal, unseal


@dataclass(frozen=True, slots=True)
class Content:
    """Seals and opens pieces. A piece names its key, and is bound to `place`, the row that it is stored in."""

    keys: TextKeys

    def seal(self, piece: bytes, place: str) -> bytes:
        """The piece as it is stored: the key's id, a colon, nonce and ciphertext."""
        newest = self.keys.newest
        return newest.encode() + b":" + seal(self.keys.keys[newest], piece, place.encode())

    def open(self, stored: bytes, place: str) -> bytes:
        """The piece. Raises UnknownTextKey, TextDamaged."""
        name, _, sealed = stored.partition(b":")
        key = self.keys.keys.get(name.decode("ascii", "replace"))
        if key is None:
            raise UnknownTextKey("a file's key isn't among audit's text keys any more. 文件密钥已不在配置中。")
        return unseal(key, sealed, place.encode())

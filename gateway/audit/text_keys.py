"""The keys that kept texts are encrypted under: one line each, `id:key`, the last one is for new texts.

Each text has a key of its own, and that key is encrypted ("wrapped") with one of these. So a rotation wraps small keys
anew, and a text's ciphertext, whose hash is on the chain, stays what it is.
"""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compliance.labels.signing_key import decode, encode
from compliance.verdict import RulesError
from configs.sections.audit import AuditSettings

NONCE = 12
KEY = 32
_LINE = re.compile(r"([A-Za-z0-9_-]{1,20}):([A-Za-z0-9_-]{43})")


class UnknownTextKey(Exception):
    """The key that a text was encrypted under is not among those that are configured."""


class TextDamaged(Exception):
    """A kept text can't be decrypted: it, its key or the record it belongs to was changed."""


@dataclass(frozen=True, slots=True)
class TextKeys:
    """The keys by id, the newest last."""

    keys: dict[str, bytes]

    @property
    def newest(self) -> str:
        """The id of the key for new texts."""
        return next(reversed(self.keys))

    def wrap(self, key: bytes, bound: bytes) -> bytes:
        """A text's key under the newest of these; `bound` says which text it belongs to."""
        return seal(self.keys[self.newest], key, b"key\0" + bound)

    def unwrap(self, key_id: str, wrapped: bytes, bound: bytes) -> bytes:
        """A text's key. Raises UnknownTextKey, TextDamaged."""
        if key_id not in self.keys:
            raise UnknownTextKey(
                f"the text's key {key_id} is not configured; put it back into audit.text_key_file. "
                f"未配置文本密钥 {key_id}，请放回 audit.text_key_file。"
            )
        return unseal(self.keys[key_id], wrapped, b"key\0" + bound)


def seal(key: bytes, text: bytes, bound: bytes) -> bytes:
    """AES-256-GCM: 12 random bytes of nonce, then ciphertext and tag. `bound` must be the same to open it."""
    nonce = secrets.token_bytes(NONCE)
    return nonce + AESGCM(key).encrypt(nonce, text, bound)


def unseal(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    """What was sealed. Raises TextDamaged."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], bound)
    except (InvalidTag, ValueError):
        raise TextDamaged("the text can't be decrypted: it was changed. 文本无法解密：内容已被改动。") from None


def load_text_keys(settings: AuditSettings) -> TextKeys:
    """The configured keys; a first one is made when there is no file. Raises RulesError."""
    if settings.text_keys_env is not None:
        return parse_text_keys(os.environ.get(settings.text_keys_env, ""), f"${settings.text_keys_env}")
    path = settings.text_key_file
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            add_text_key(path)
        if path.stat().st_mode & 0o077:
            raise RulesError(
                f"audit.text_key_file: {path}: others can read it; run chmod 600 on it",
                f"audit.text_key_file：{path}：其他用户可读，请执行 chmod 600",
            )
        return parse_text_keys(path.read_text(encoding="ascii"), f"audit.text_key_file: {path}")
    except OSError as error:
        raise RulesError(
            f"audit.text_key_file: {path}: cannot be made or read ({error.strerror}); name a place that can be written",
            f"audit.text_key_file：{path}：无法创建或读取，请指定可写的位置",
        ) from None


def add_text_key(path: Path) -> str:
    """Add a new key for new texts to the file, and return its id. The file is replaced whole or not at all."""
    key_id = "txt" + secrets.token_hex(6)
    old = path.read_bytes() if path.exists() else b""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(old + f"{key_id}:{encode(secrets.token_bytes(KEY))}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        if old:
            draft.replace(path)
        else:
            os.link(draft, path)  # of two processes that start at once, the first one's key stays
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
    return key_id


def parse_text_keys(text: str, where: str) -> TextKeys:
    """Keys from lines (or from one line, parted by commas). Raises RulesError; never repeats what it read."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.replace(",", "\n").split("\n"), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        try:
            keys[found.group(1)] = decode(found.group(2))  # type: ignore[union-attr]
        except (AttributeError, ValueError):
            raise RulesError(
                f"{where}: line {number}: write id:key, the key as 43 base64url characters (32 bytes)",
                f"{where}：第 {number} 行：请写成 id:key，密钥为 43 个 base64url 字符（32 字节）",
            ) from None
    if not keys:
        raise RulesError(f"{where}: no key in it; add a line id:key", f"{where}：其中没有密钥，请添加一行 id:key")
    return TextKeys(keys)

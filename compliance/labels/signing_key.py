"""The Ed25519 key that seals labels: made at the first start, kept in a file that only its owner can read."""

import hashlib
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from compliance.labels.errors import LabelError
from compliance.verdict import RulesError

ID_CHARACTERS = 12


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and the short id by which its public half is found."""

    private: Ed25519PrivateKey
    id: str

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> "SigningKey":
        return cls(private, key_id(private.public_key()))

    @property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()

    @property
    def public_text(self) -> str:
        """The public key's 32 bytes as base64url, to be published."""
        return encode(self.public.public_bytes_raw())


def key_id(public: Ed25519PublicKey) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of the public key's bytes."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:ID_CHARACTERS]


def parse_public_key(text: str) -> Ed25519PublicKey:
    """A public key from what `opcgate label key` prints. Raises LabelError."""
    try:
        return Ed25519PublicKey.from_public_bytes(decode(text.strip()))
    except ValueError:
        raise LabelError(
            "a public key is 43 base64url characters, as `opcgate label key` prints it",
            "公钥应为 `opcgate label key` 输出的 43 个 base64url 字符",
        ) from None


def load_or_create_key(path: Path) -> SigningKey:
    """The key in `path`; a new one when there is none. Raises RulesError."""
    try:
        if not path.exists():
            _create(path)
        return load_key(path)
    except OSError as error:
        raise RulesError(
            f"labels.key_file: {path}: cannot be made or read ({error.strerror}); name a place that can be written",
            f"labels.key_file：{path}：无法创建或读取，请指定可写的位置",
        ) from None


def load_key(path: Path) -> SigningKey:
    """The key in an existing file. Raises OSError, and RulesError when others may read it or it is no Ed25519 key."""
    if path.stat().st_mode & 0o077:
        raise RulesError(
            f"labels.key_file: {path}: others can read it; run chmod 600 on it",
            f"labels.key_file：{path}：其他用户可读，请执行 chmod 600",
        )
    try:
        private = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise RulesError(
            f"labels.key_file: {path}: is not an unencrypted Ed25519 key in PEM; move it away and a new one is made",
            f"labels.key_file：{path}：不是未加密的 PEM 格式 Ed25519 私钥；移走后将自动生成新密钥",
        )
    return SigningKey.of(private)


def _create(path: Path) -> None:
    """Write a new key whole or not at all: of several processes that start at once, the first one's key stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def encode(data: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of a base64url text; only the one spelling that `encode` gives. Raises ValueError."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except Base64Error as error:
        raise ValueError("not base64url") from error
    if encode(data) != text:
        raise ValueError("not the canonical spelling")
    return data

"""What stands in the reserved codes: a signature over the label's fields and the content's digest.

`ed25519:<key id>:<SHA-256 of the content, base64url, or ->:<signature, base64url>`; the production seal stands in
ReservedCode1 and, until the content is passed on, in ReservedCode2 too; the propagation seal covers both sides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from compliance.labels.errors import Problem
from compliance.labels.label import Label
from compliance.labels.signing_key import SigningKey, decode, encode

SCHEME = "ed25519"
NO_DIGEST = "-"
Keys = Mapping[str, Ed25519PublicKey]


@dataclass(frozen=True, slots=True)
class Seal:
    """A reserved code, taken apart. `digest` is None where the content was not known yet."""

    key_id: str
    digest: bytes | None
    signature: bytes


def production_seal(key: SigningKey, label: str, producer: str, produce_id: str, digest: bytes | None) -> str:
    """ReservedCode1 of a new label."""
    written = _digest_text(digest)
    return _seal(key, written, _produced(label, producer, produce_id, written))


def propagation_seal(key: SigningKey, label: Label, digest: bytes) -> str:
    """ReservedCode2 for a label whose other six fields are final."""
    written = _digest_text(digest)
    return _seal(key, written, _passed_on(label, written))


def _seal(key: SigningKey, digest: str, message: bytes) -> str:
    return f"{SCHEME}:{key.id}:{digest}:{encode(key.private.sign(message))}"


def _digest_text(digest: bytes | None) -> str:
    return NO_DIGEST if digest is None else encode(digest)


def _produced(label: str, producer: str, produce_id: str, digest: str) -> bytes:
    # No value holds a line break, so the lines can't be read in two ways.
    return "\n".join(("opcgate aigc production 1", label, producer, produce_id, digest)).encode()


def _passed_on(label: Label, digest: str) -> bytes:
    fields = [value for name, value in label.fields().items() if name != "ReservedCode2"]
    return "\n".join(("opcgate aigc propagation 1", *fields, digest)).encode()


def check_seals(label: Label, digest: bytes | None, keys: Keys) -> list[Problem]:
    """Why the label's seals don't hold; empty when they do. `digest` None leaves the content out of it."""
    found = _check(
        "ReservedCode1",
        label.reserved1,
        lambda written: _produced(label.label, label.producer, label.produce_id, written),
        digest,
        keys,
    )
    if not label.first_hand:
        return found + _check(
            "ReservedCode2", label.reserved2, lambda written: _passed_on(label, written), digest, keys
        )
    if label.reserved2 != label.reserved1:
        found.append(
            Problem("ReservedCode2 differs from ReservedCode1 on a first-hand label", "首次标识的两个预留字段应一致")
        )
    return found


def _check(name: str, code: str, message: Callable[[str], bytes], digest: bytes | None, keys: Keys) -> list[Problem]:
    seal = parse_seal(code)
    if seal is None:
        return [Problem(f"{name} is no seal of this product; only its maker can check it", f"{name} 不是本产品的签名")]
    public = keys.get(seal.key_id)
    if public is None:
        return [
            Problem(
                f"{name} is sealed with the key {seal.key_id}, which is not among the trusted ones; give --public-key",
                f"{name} 由未受信任的密钥 {seal.key_id} 签名，请用 --public-key 提供其公钥",
            )
        ]
    try:
        public.verify(seal.signature, message(_digest_text(seal.digest)))
    except InvalidSignature:
        return [Problem(f"{name}: the signature does not fit; a field was changed", f"{name}：签名不符，字段被改动")]
    if digest is None or seal.digest == digest:
        return []
    if seal.digest is None:
        return [Problem(f"{name} does not cover the content", f"{name} 的签名不含内容摘要")]
    return [Problem(f"{name}: the content is not the one that was sealed", f"{name}：内容与签名时不一致，已被改动")]


def parse_seal(code: str) -> Seal | None:
    """The seal in a reserved code, or None when it is something else."""
    scheme, *rest = code.split(":")
    if scheme != SCHEME or len(rest) != 3:
        return None
    try:
        digest = None if rest[1] == NO_DIGEST else decode(rest[1])
        return Seal(rest[0], digest, decode(rest[2]))
    except ValueError:
        return None

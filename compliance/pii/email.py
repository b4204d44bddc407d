"""E-mail addresses with an ASCII local part of at most 64 characters (RFC 5321)."""

from compliance.pii.detector import DIGITS, LETTERS, Detector

DETECTOR = Detector(
    type="email",
    rule="email",
    why="an e-mail address",
    strength=65,
    lead=DIGITS + LETTERS,
    not_after="0-9a-z",
    ahead=r"(?=[0-9a-z._%+-]{0,63}(?:@|\Z))",
    core=r"[0-9a-z][0-9a-z._%+-]{0,63}@(?:[0-9a-z][0-9a-z-]{0,62}\.){1,8}[a-z]{2,24}",
    after="(?![0-9a-z])",
)

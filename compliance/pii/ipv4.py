"""IPv4 addresses. Private, loopback and other addresses that are not on the internet are of low severity."""

import ipaddress

from compliance.pii.detector import DIGITS, Detector, soon
from compliance.verdict import Severity

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = rf"{_OCTET}(?:\.{_OCTET}){{3}}"


def is_no_outline_number(value: str) -> bool:
    """Four small numbers are more often a heading or a version than an address, unless none is very small."""
    octets = [int(octet) for octet in value.split(".")]
    return max(octets) > 30 or min(octets) >= 4


def grade(value: str) -> Severity:
    return "medium" if ipaddress.IPv4Address(value).is_global else "low"


BARE = Detector(
    type="ipv4",
    rule="ipv4",
    why="an IPv4 address",
    strength=40,
    lead=DIGITS,
    not_after="0-9.",
    ahead=soon("[0-9.]", "[0-9.]", "[0-9.]"),
    core=_ADDRESS,
    pending=r"\.?",
    after=r"(?![0-9]|\.[0-9])",
    refuse=r"(?:(?:^|[^a-z])v|ver\.?|version|版本|版|release|固件|第|章|节)(?:号|为|是)?[:： ]{0,2}$",
    valid=is_no_outline_number,
    severity=grade,
)
BY_LABEL = Detector(
    type="ipv4",
    rule="ipv4.label",
    why="an IPv4 address after a word for it",
    strength=41,
    lead=DIGITS,
    not_after="0-9.",
    ahead=soon("[0-9.]", "[0-9.]", "[0-9.]"),
    core=_ADDRESS,
    pending=r"\.?",
    after=r"(?![0-9]|\.[0-9])",
    context=r"(?:^|[^a-z])ip(?:v4)?(?:[^a-z]|$)|服务器|主机|网关|网段|白名单|黑名单|子网|dns|host|server|ping|https?://"
    r"|(?:来自|访问|解析到|指向|连接到?|连到|转发[到至]|跳转[到至])[: ]{0,2}$",
    refuse=r"(?:版本|version)(?:号|为|是)?[:： ]{0,2}$",
    severity=grade,
)
BEFORE_WORD = Detector(
    type="ipv4",
    rule="ipv4.before",
    why="an IPv4 address right before a word for what has one",
    strength=41,
    lead=DIGITS,
    not_after="0-9.",
    ahead=soon("[0-9.]", "[0-9.]", "[0-9.]"),
    core=rf"(?P<value>{_ADDRESS})[ ]?(?:这个|这台|的)?[ ]?(?:ip|服务器|主机|端口|dns|网关|丢包|ping)",
    after="",
    refuse=r"(?:版本|version)(?:号|为|是)?[:： ]{0,2}$",
    severity=grade,
)
WITH_PORT = Detector(
    type="ipv4",
    rule="ipv4.port",
    why="an IPv4 address with a port or the length of a network",
    strength=42,
    lead=DIGITS,
    not_after="0-9.",
    ahead=soon("[0-9.]", "[0-9.]", "[0-9.]"),
    core=rf"(?P<value>{_ADDRESS})(?::[0-9]{{2,5}}|/(?:[89]|[12][0-9]|3[0-2]))",
    after=r"(?![0-9])",
    refuse=r"(?:版本|version)(?:号|为|是)?[:： ]{0,2}$",
    severity=grade,
)

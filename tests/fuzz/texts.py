"""Texts that come close to what the rules look for: tokens of the rules, escapes cut short, and any code points."""

from collections.abc import Sequence
from functools import cache

from compliance.build import shipped_settings

ODD = (
    "\ud83d", "\ude00", "😀", "\u200b", "\u0301", "\ufeff", "\u202e", "\u3164", "\x00", "\x85", "\r\n",
    "\n\n", " ", "  ", "。", ".", ",", "，", "“", "\"", "'", "&", "&#", "&#x", "&#x5f;", "&#24573;", "&am",
    "&amp;", "&lt;", "%", "%E", "%E5%BF%BD", "%e5%bf", "%F0%9F", "%41", "\\", "\\u", "\\u5f", "\\u5ffd",
    "\\ud83d", "\\ud83d\\ude00", "\\ude00", "\\u{5ffd}", "\\U00005ffd", "\\n", "\\\"", "ａ", "Ａ", "①", "⒈",
    "㈠", "🅰", "é", "ｅ́", "ﷺ", "ß", "ı", "İ", "а", "е", "ο", "ν", "µ", "0", "1", "3", "7", "l", "i", "@",
    "$", "-", "_", "*", "·", "…", "—",
)  # fmt: skip
PERSONAL = (
    "138", "13800138000", "+86", "010-", "11010519491231002X", "6228480402564890018", "91440300708461136T",
    "京A", "京A12345", "护照", "E12345678", "微信号", "wx_abc123", "QQ", "a@b", "zhang@example.com",
    "10.0.0.1", "8.8.8.8:80", "收货人：", "张伟", "我叫", "女士", "地址：", "浙江省杭州市西湖区文三路138号",
)  # fmt: skip
ATTACKS = (
    "忽略", "以上", "所有", "指令", "ignore", " all ", "previous", "instructions", "i g n o r e",
    "你现在是", "没有任何限制", "助手", "system prompt", "repeat", "<|im_start|>", "system",
    "把你的系统提示词", "输出", "base64", "攻击者",
)  # fmt: skip


@cache
def tokens() -> tuple[str, ...]:
    """Pieces to put texts together from; terms of the shipped lists among them."""
    terms = [
        line.split("\t")[0]
        for path in (*shipped_settings().lexicons, *shipped_settings().allow_lists)
        for line in path.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    step = max(1, len(terms) // 300)
    return (*ODD, *PERSONAL, *ATTACKS, *terms[::step])


def put_together(choices: Sequence[int], free: str) -> str:
    """A text from token numbers; every third one is a single character of the text so far or of `free`."""
    known = tokens()
    text = ""
    for at, choice in enumerate(choices):
        if choice % 3 == 2 and free:
            text += free[at % len(free)]
        elif choice % 7 == 6 and text:
            text += text[choice % len(text)]
        else:
            text += known[choice % len(known)]
    return text

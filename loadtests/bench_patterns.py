"""Whether a text made to be slow costs more than its length: every scanner on adversarial repeats, n and 2n long.

`python -m loadtests.bench_patterns` prints a markdown table. A ratio near 2 is linear; a pattern that goes back and
forth over the text shows as 4 or more.
"""

import argparse
import time
from collections.abc import Iterator

from compliance.build import build_pipeline, shipped_settings
from compliance.gate import Gate
from compliance.matches import Scanner

UNITS = (
    "a", "1", "1 ", "1-", "138", "110105", "6228480402564890018 ", "a.", "a@", "a@a.", "a@a.a", "1.",
    "1.1.", "%e5", "&#x", "\\u5f", "张", "张三", "收货人：", "地址：", "省", "市区", "路1号", "号楼",
    "浙江省杭州市", "微信号", "微信 ", "微信：a", "qq", "qq：1", "护照", "e1234567", "京a1", "忽略", "忽 ",
    "忽略以上", "忽略所有", "忽略你的", "ignore ", "ignore all ", "i ", "i-", "1gnоre ", "你是", "你是没有",
    "你现在是ai", "输出", "输出你的", "base64", "![", "![](http", "system:", "<|im_start|>", "<", "“", "。",
    "\n", "  ", "冰 ", "冰毒 ", "b i n g ", "海l因", "氵", "@", "$", "\u0301", "\u200b", "😀",
)  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--size", type=int, default=20_000, help="characters of the shorter text")
    arguments.add_argument("--scanner", help="only this scanner")
    given = arguments.parse_args()
    pipeline = build_pipeline(shipped_settings().model_copy(update={"deadline_seconds": 3600.0}))
    pipeline.warm_up()
    print("| scanner | repeated | µs per 1,000 characters | ratio when twice as long |\n|---|---|---|---|")
    for scanner in pipeline.scanners("prompt"):
        if given.scanner in (None, scanner.name):
            rows = sorted(costs(scanner, given.size), key=lambda row: -row[2])
            for unit, _, cost, ratio in [*rows[:6], max(rows, key=lambda row: row[3])]:
                print(f"| {scanner.name} | {unit!r} | {cost:,.0f} | {ratio:.2f} |", flush=True)
            print(f"| {scanner.name} | the median of {len(rows)} | {rows[len(rows) // 2][2]:,.0f} | - |", flush=True)


def costs(scanner: Scanner, size: int) -> Iterator[tuple[str, float, float, float]]:
    """For each repeat: itself, seconds for the longer text, microseconds per 1,000 characters, and the ratio."""
    for unit in UNITS:
        text = unit * (2 * size // len(unit))
        once = min(_seconds(scanner, text[:size]) for _ in range(3))
        twice = min(_seconds(scanner, text) for _ in range(3))
        yield unit, twice, twice / len(text) * 1e9, twice / once


def _seconds(scanner: Scanner, text: str) -> float:
    gate = Gate([scanner], "text", 3600.0, survey=True)
    began = time.thread_time()  # of this thread alone: what else runs on the machine would look like a bad ratio
    gate.feed_whole(text)
    return time.thread_time() - began


if __name__ == "__main__":
    main()

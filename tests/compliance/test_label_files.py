"""Labels in files: any label goes through any format, nothing edited passes, a label that is there is kept."""

import hashlib
import json
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from compliance.labels.errors import LabelError
from compliance.labels.files import check_file, formats, label_file, read_file
from compliance.labels.ids import new_content_id
from compliance.labels.label import Label
from compliance.labels.labels import Labels, check_label
from compliance.labels.rules import load_label_rules

RULES = load_label_rules()
FORMATS = formats(RULES)


def trusted(labels: Labels) -> dict:
    return {labels.key.id: labels.key.public}


# Every format.

value = st.text(st.characters(min_codepoint=0x20, categories=("L", "N", "P", "S", "Zs")), max_size=40).filter(
    str.isprintable
)
any_label = st.builds(
    Label, *([st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="\\"), max_size=60)] * 7)
) | st.builds(Label, *([value] * 7))
plain = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\r\t"), max_size=60)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
json_object = st.dictionaries(st.text(max_size=8).filter(lambda key: key != "AIGC"), json_value, max_size=4)


def png(pixels: bytes, *, xmp: str = "") -> bytes:
    info = PngImagePlugin.PngInfo()
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp, zip=len(xmp) % 2 == 0)
    info.add_text("Title", "x")
    out = BytesIO()
    Image.frombytes("L", (len(pixels), 1), pixels).save(out, "PNG", pnginfo=info)
    return out.getvalue()


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<r:Description r:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{}</dc:title></r:Description>'
    "</r:RDF></x:xmpmeta>"
)
front = st.dictionaries(st.sampled_from(["title", "lang", "标题"]), st.text("ab中", max_size=5), max_size=3)
files: dict[str, st.SearchStrategy[bytes]] = {
    ".md": st.builds(
        lambda fields, text, fence: (
            (fence + "\n" + "".join(f"{k}: {json.dumps(v)}\n" for k, v in fields.items()) + "---\n" if fence else "")
            + text
        ).encode(),
        front,
        plain.filter(lambda text: not text.lstrip("\ufeff").startswith("---")),
        st.sampled_from(["---", "---  ", ""]),
    ),
    ".txt": plain.map(str.encode),
    ".json": st.builds(
        lambda one, indent: json.dumps(one, indent=indent).encode(), json_object, st.sampled_from([None, 2])
    ),
    ".jsonl": st.lists(json_object, max_size=4).map(
        lambda rows: "".join(json.dumps(one) + "\n" for one in rows).encode()
    ),
    ".html": st.builds(
        lambda head, body: f"{head}<p>{body}</p>".encode(),
        st.sampled_from(
            [
                "",
                "<!DOCTYPE html>\n",
                "<html lang='zh'>",
                "<html><head><title>中</title></head><body>",
                "<HEAD a='>'>\n",
            ]
        ),
        st.text("中文a &;\n", max_size=20),
    ),
    ".svg": st.builds(
        lambda start, text: f"{start}<text>{text}</text></{'s:' if 's:' in start else ''}svg>".encode(),
        st.sampled_from(
            [
                '<svg xmlns="http://www.w3.org/2000/svg">',
                "<?xml version='1.0' encoding='UTF-8'?>\n<!-- <svg> -->\n<svg width=\"1\" data-a='/>'>",
                '<s:svg xmlns:s="http://www.w3.org/2000/svg">',
            ]
        ),
        st.text("中文a \n", max_size=20),
    ),
    ".png": st.builds(
        lambda pixels, title: png(pixels, xmp=XMP.format(title) if title else ""),
        st.binary(min_size=1, max_size=30),
        st.text("中ab", max_size=3),
    ),
}


@pytest.mark.parametrize("ending", sorted(files))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(first=any_label, second=any_label, data=st.data())
def test_any_label_goes_through_any_file(ending: str, first: Label, second: Label, data: st.DataObject) -> None:
    form = FORMATS[ending]
    original = data.draw(files[ending])
    assert form.read(original) == (None, form.read(original)[1]), "no label yet"
    labelled = form.write(original, first)
    read, content = form.read(labelled)
    assert read == first
    again = form.write(labelled, second)
    assert form.read(again) == (second, content), "another label is the only difference"
    assert form.write(again, first) == labelled


@pytest.mark.parametrize("ending", sorted(files))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_changed_byte_of_a_file_goes_unnoticed(ending: str, data: st.DataObject, labels: Labels) -> None:
    """Whatever one byte becomes: the file is refused, or the label and the content are the very same."""
    form = FORMATS[ending]
    original = data.draw(files[ending])
    content = form.read(form.write(original, labels.produced("0" * 32, None)))[1]
    label = labels.produced(new_content_id(1.0), hashlib.sha256(content).digest())
    labelled = form.write(original, label)
    at = data.draw(st.integers(0, len(labelled) - 1))
    changed = labelled[:at] + bytes([data.draw(st.integers(0, 255))]) + labelled[at + 1 :]
    try:
        read, found = form.read(changed)
    except LabelError:
        return
    if read is not None and not check_label(read, hashlib.sha256(found).digest(), trusted(labels), RULES):
        assert (read, found) == (label, content)


# Files on disk.

SAMPLES: dict[str, bytes] = {
    "copy.md": "---\ntitle: 夏季新品\n---\n# 文案\n轻便耐用。\n".encode(),
    "plain.txt": "轻便耐用。".encode(),
    "page.html": "<html><head></head><body><p>轻便</p></body></html>".encode(),
    "one.json": '{\n  "title": "轻便"\n}\n'.encode(),
    "list.json": b"[1, 2]",
    "rows.jsonl": b'{"a": 1}\n{"a": 2}\n',
    "table.csv": "标题,价格\n轻便,99\n".encode(),
    "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>',
    "image.png": png(b"\x00\x80\xff"),
}
VISIBLE = ("copy.md", "plain.txt", "page.html")


def edited(name: str, data: bytes) -> bytes:
    """The labelled file with its content changed in one place."""
    if name.endswith(".png"):
        return FORMATS[".png"].write(png(b"\x00\x81\xff"), FORMATS[".png"].read(data)[0])
    old, new = {
        ".json": (b'"title"', b'"titel"'),
        ".jsonl": (b'{"a": 2}', b'{"a": 3}'),
        ".svg": (b"M0 0", b"M0 1"),
    }.get(Path(name).suffix, ("轻便".encode(), "轻巧".encode()))
    if name == "list.json":
        old, new = b"2", b"3"
    assert old in data
    return data.replace(old, new, 1)


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_file_is_labelled_shown_passed_on_and_verified(name: str, labels: Labels, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(SAMPLES[name])
    with pytest.raises(LabelError, match="no label"):
        check_file(path, trusted(labels), RULES)
    first = label_file(path, labels, model="opc-starter")
    assert check_file(path, trusted(labels), RULES) == (first, [])
    assert first.first_hand
    assert ("AI生成（opcgate · opc-starter）" in path.read_text("utf-8", "replace")) == (name in VISIBLE)
    content = read_file(path, RULES).digest
    second = label_file(path, labels, model="another")
    assert check_file(path, trusted(labels), RULES) == (second, [])
    assert (second.producer, second.produce_id, second.reserved1) == (
        first.producer,
        first.produce_id,
        first.reserved1,
    )
    assert second.propagate_id != first.produce_id
    assert read_file(path, RULES).digest == content
    path.write_bytes(edited(name, path.read_bytes()))
    _, problems = check_file(path, trusted(labels), RULES)
    assert any("the content is not the one" in one.en for one in problems)


def test_a_label_of_another_provider_is_kept(labels: Labels, tmp_path: Path) -> None:
    path = tmp_path / "theirs.md"
    path.write_text("---\nAIGC:\n  Label: AIGC\n  ContentProducer: 某某 Agent\n  ProduceID: '0'\n---\n正文\n")
    made = label_file(path, labels, model="opc-starter")
    assert (made.label, made.producer, made.produce_id, made.reserved1) == ("AIGC", "某某 Agent", "0", "")
    assert made.propagator == "opcgate-local"
    assert "AI生成" not in path.read_text(), "the content of another is not touched"
    _, problems = check_file(path, trusted(labels), RULES)
    assert {one.en.split(" ")[0] for one in problems} == {"Label", "ContentProducer", "ReservedCode1"}


def test_an_image_label_is_what_image_tools_read(labels: Labels, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(png(bytes(range(16)), xmp=XMP.format("标题")))
    made = label_file(path, labels, model="m")
    with Image.open(path) as image:
        image.load()
        assert image.tobytes() == bytes(range(16))
        packet = ElementTree.fromstring(image.info["xmp"])  # noqa: S314 - written two lines above
    (aigc,) = packet.iter("{http://www.tc260.org.cn/ns/AIGC/1.0/}AIGC")
    assert json.loads(aigc.text or "") == made.fields()
    assert [one.text for one in packet.iter("{http://purl.org/dc/elements/1.1/}title")] == ["标题"]


def test_an_image_with_a_text_chunk_keeps_its_place(labels: Labels, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    info = PngImagePlugin.PngInfo()
    info.add_text("AIGC", json.dumps({"AIGC": {"Label": "1", "ContentProducer": "p"}}))
    Image.new("L", (2, 2)).save(path, pnginfo=info)
    made = label_file(path, labels, model="m")
    assert (made.producer, made.propagator) == ("p", "opcgate-local")
    with Image.open(path) as image:
        assert json.loads(image.text["AIGC"]) == made.fields()


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "unknown format": ("a.mp4", b"x", "can't be labelled yet"),
    "not UTF-8": ("a.txt", "中文".encode("gbk"), "not UTF-8"),
    "not JSON": ("a.json", b'{"a": ', "not JSON"),
    "two JSON values": ("a.json", b"{} {}", "not JSON"),
    "deep JSON": ("a.json", b"[" * 200_000, "not JSON"),
    "two labels in JSON": ("a.json", b'{"AIGC": {"Label": "1"}, "\\u0041IGC": {"Label": "2"}}', "more than one"),
    "two label rows": ("a.jsonl", b'{"AIGC": {"Label": "1"}}\n{"AIGC": {"Label": "2"}}\n', "more than one"),
    "two meta tags": ("a.html", b"<meta name=aigc content='{}'><META NAME=AIGC CONTENT='{}'>", "more than one"),
    "meta without JSON": ("a.html", b"<meta name=AIGC content=x>", "not JSON"),
    "meta with more": ("a.html", b"<meta name=AIGC content='{}' http-equiv=refresh>", "other attributes"),
    "not XML": ("a.svg", b"<svg>", "not XML"),
    "no drawing": ("a.svg", b"<svg/>", "not an SVG drawing"),
    "not a PNG": ("a.png", b"GIF89a", "not a PNG"),
    "half a PNG": ("a.png", png(b"\0" * 40)[:-20], "broken at byte"),
    "the label's own file": ("a.csv.aigc.json", b'{"AIGC": {"Label": "1"}}', "is a label file"),
    "an API answer": ("a.json", b'{"choices": [], "aigc": {"AIGC": {"Label": "1"}}}', "is an API answer"),
}


@pytest.mark.parametrize("case", sorted(BAD_FILES))
def test_a_file_that_can_not_be_labelled_stays_as_it_is(case: str, labels: Labels, tmp_path: Path) -> None:
    name, data, says = BAD_FILES[case]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(LabelError) as refused:
        label_file(path, labels, model="m")
    assert says in refused.value.en
    assert str(path) in refused.value.en
    assert str(path) in refused.value.zh
    assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("position", ["start", "end", "both", "corner"])
@pytest.mark.parametrize("name", VISIBLE)
def test_where_the_visible_text_goes(position: str, name: str, labels: Labels, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(SAMPLES[name])
    label_file(path, labels, model="m", position=position)
    text, notice = path.read_text(), labels.notice.text("m")
    assert text.count(notice) == {"corner": 0, "both": 2}.get(position, 1)
    body = text.index("轻便")
    assert (text.find(notice) < body) == (position in ("start", "both") or notice not in text)
    assert (text.rfind(notice) > body) == (position in ("end", "both"))


def test_permissions_and_links_stay(labels: Labels, tmp_path: Path) -> None:
    target, link = tmp_path / "real.txt", tmp_path / "link.txt"
    target.write_text("x")
    target.chmod(0o640)
    link.symlink_to(target)
    label_file(link, labels, model="m")
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert '"AIGC"' in target.read_text()


@pytest.mark.parametrize("original", [b"\r", b"", b"x\r\ny", b"x\ny\r", b"\r\n"])
def test_a_labels_line_ends_stay_what_they_were(original: bytes) -> None:
    """A single carriage return before a label's line feed looks like the file's way to end lines."""
    form = FORMATS[".txt"]
    first, second = (Label(one, "a", "b", "", "a", "b", "") for one in ("1", "2"))
    labelled = form.write(original, first)
    assert form.write(form.write(labelled, second), first) == labelled

"""Texts are kept only where the settings say so, encrypted, bound to their record; reading them goes on record."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from compliance.verdict import RulesError
from configs.sections.audit import AuditSettings, KeepText
from gateway.audit.access import Reader, read_texts
from gateway.audit.acts import ActRow
from gateway.audit.rotation import rotate_texts
from gateway.audit.tables import LinkRow, TextRow
from gateway.audit.text_keys import TextDamaged, UnknownTextKey, add_text_key, load_text_keys, parse_text_keys
from gateway.audit.texts import SealedText, TextKeeper, keeps_text, open_text, seal_text
from gateway.record import RequestEntry, Settlement
from tests.gateway.audit.conftest import Log

SECRET = "我的身份证号是什么"
CASES = [
    # default, of the policy, of the tenant, finding -> parts kept
    ({}, None, None, True, []),
    ({"prompt": "all"}, None, None, False, ["prompt"]),
    ({"answer": "all"}, None, None, False, ["answer"]),
    ({"prompt": "flagged", "answer": "flagged"}, None, None, False, []),
    ({"prompt": "flagged", "answer": "flagged"}, None, None, True, ["prompt", "answer"]),
    ({"prompt": "all", "answer": "all"}, {}, None, True, []),
    ({}, {"prompt": "all"}, None, False, ["prompt"]),
    ({"prompt": "all"}, {"prompt": "all"}, {"answer": "all"}, False, ["answer"]),
]


def kept(settings: AuditSettings, finding: bool) -> tuple[RequestEntry, tuple[SealedText, ...]]:
    entry = RequestEntry(id="req_1", endpoint="chat.completions", started_at=1.0, rules_version="r", tenant="t")
    entry.policy = "strict"
    body: dict[str, Any] = {"messages": [{"role": "user", "content": SECRET}]}
    TextKeeper(settings, load_text_keys(settings)).begin(body, entry)
    body["messages"][0]["content"] = "masked"
    if finding:
        entry.findings.append({"where": "messages.0.content"})
    if entry.keeping is None:
        return entry, ()
    entry.keeping.add({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "好"}}]})
    entry.keeping.add({"choices": [{"index": 0, "delta": {"content": "的"}}]})
    return entry, entry.keeping.seal(entry)


@pytest.mark.parametrize(("default", "policy", "tenant", "finding", "parts"), CASES)
def test_what_is_kept_follows_tenant_then_policy_then_default(
    tmp_path: Path, default: Any, policy: Any, tenant: Any, finding: Any, parts: list[str]
) -> None:
    settings = AuditSettings(
        text_key_file=tmp_path / "keys",
        keep_text=KeepText(**default),
        keep_text_of_policies={} if policy is None else {"strict": KeepText(**policy)},
        keep_text_of_tenants={} if tenant is None else {"t": KeepText(**tenant)},
    )
    entry, texts = kept(settings, finding)
    assert [one.part for one in texts] == parts
    assert (entry.prompt_text_digest is not None, entry.answer_text_digest is not None) == (
        "prompt" in parts,
        "answer" in parts,
    )
    assert keeps_text(AuditSettings()) is False


def test_a_prompt_is_kept_as_sent_and_an_answer_as_released(tmp_path: Path) -> None:
    settings = AuditSettings(text_key_file=tmp_path / "keys", keep_text=KeepText(prompt="all", answer="all"))
    _, (prompt, answer) = kept(settings, finding=False)
    keys = load_text_keys(settings)
    assert SECRET in open_text(keys, prompt).decode()
    assert open_text(keys, answer).decode() == '{"choices.0.content":"好的"}'
    assert SECRET.encode() not in prompt.sealed + prompt.wrapped


def test_a_text_opens_for_its_own_record_and_part_only(tmp_path: Path) -> None:
    keys = load_text_keys(AuditSettings(text_key_file=tmp_path / "keys"))
    text = seal_text(keys, "req_1", "prompt", b"x")
    for moved in (
        SealedText("req_2", text.part, text.key_id, text.wrapped, text.sealed),
        SealedText(text.owner, "answer", text.key_id, text.wrapped, text.sealed),
        SealedText(text.owner, text.part, text.key_id, text.wrapped, text.sealed[:-1] + b"?"),
        SealedText(text.owner, text.part, text.key_id, text.wrapped, b""),
    ):
        with pytest.raises(TextDamaged):
            open_text(keys, moved)
    with pytest.raises(TextDamaged):
        open_text(keys, text, digest="0" * 64)
    other = load_text_keys(AuditSettings(text_key_file=tmp_path / "other"))
    with pytest.raises(UnknownTextKey):
        open_text(other, text)


def test_key_files_are_private_and_bad_ones_are_refused_without_repeating_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "deep" / "keys"
    settings = AuditSettings(text_key_file=path)
    first = load_text_keys(settings)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_text_keys(settings) == first
    newest = add_text_key(path)
    assert list(load_text_keys(settings).keys) == [first.newest, newest]
    path.chmod(0o644)
    with pytest.raises(RulesError, match="chmod 600"):
        load_text_keys(settings)
    for text in ("", "nonsense", "id:short", "id:" + "=" * 43):
        with pytest.raises(RulesError) as refused:
            parse_text_keys(text, "$KEYS")
        assert "=====" not in str(refused.value)
    monkeypatch.setenv("OPC_KEYS", path.read_text().strip().replace("\n", ","))
    assert load_text_keys(AuditSettings(text_keys_env="OPC_KEYS")).newest == newest


async def stored(log: Log, number: int) -> None:
    keys = load_text_keys(log.settings)
    text = seal_text(keys, f"req_{number:08d}", "prompt", f'"{SECRET}"'.encode())
    async with log.worker(f"wrk_{number}") as (recorder, _, _):
        row = log.settlement(number, prompt_text_digest=text.digest).row
        await recorder.settle(Settlement(row, None, (text,)))


async def test_reading_a_text_is_on_the_chain_with_its_reason(log: Log) -> None:
    await stored(log, 1)
    keys = load_text_keys(log.settings)
    texts = await read_texts(log.engine, keys, "req_00000001", Reader("key_rev", "complaint 7"))
    assert texts == {"prompt": f'"{SECRET}"'}
    assert await read_texts(log.engine, keys, "req_none", Reader("key_rev", "x")) is None
    async with log.engine.connect() as connection:
        act = (await connection.execute(select(ActRow).where(ActRow.action == "audit.text.read"))).one()
        kind = (await connection.execute(select(LinkRow.kind).where(LinkRow.subject == act.id))).scalar_one()
    assert (act.actor, act.subject, kind) == ("key_rev", "req_00000001", "access")
    assert act.detail == {"reason": "complaint 7", "parts": ["prompt"]}
    assert (await log.verify())[0] == []


async def test_a_failed_reading_is_on_the_chain_too(log: Log) -> None:
    await stored(log, 1)
    async with log.engine.begin() as connection:
        await connection.execute(update(TextRow).values(sealed=b"something else"))
    with pytest.raises(TextDamaged):
        await read_texts(log.engine, load_text_keys(log.settings), "req_00000001", Reader("key_rev", "x"))
    async with log.engine.connect() as connection:
        reads = await connection.execute(select(ActRow.id).where(ActRow.action == "audit.text.read"))
        assert len(reads.all()) == 1


async def test_a_rotation_leaves_the_ciphertexts_and_the_chain_as_they_are(log: Log) -> None:
    for number in range(1, 6):
        await stored(log, number)
    add_text_key(log.settings.text_key_file)
    keys = load_text_keys(log.settings)
    assert (await rotate_texts(log.engine, keys, "cli:x", batch=2)).rewrapped == 5
    assert (await rotate_texts(log.engine, keys, "cli:x")).rewrapped == 0
    async with log.engine.connect() as connection:
        assert set((await connection.execute(select(TextRow.key_id))).scalars()) == {keys.newest}
    only_new = type(keys)({keys.newest: keys.keys[keys.newest]})
    texts = await read_texts(log.engine, only_new, "req_00000003", Reader("key_rev", "x"))
    assert texts == {"prompt": f'"{SECRET}"'}
    assert (await log.verify())[0] == []


async def test_a_rotation_without_the_old_key_says_so_and_harms_nothing(log: Log, tmp_path: Path) -> None:
    await stored(log, 1)
    other = load_text_keys(AuditSettings(text_key_file=tmp_path / "other"))
    done = await rotate_texts(log.engine, other, "cli:x")
    assert (done.rewrapped, done.unreadable) == (0, 1)
    assert await read_texts(log.engine, load_text_keys(log.settings), "req_00000001", Reader("k", "x"))

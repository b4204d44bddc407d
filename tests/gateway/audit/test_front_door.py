"""What a request leaves in the log, seen through the control API, the command line and an export."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gateway.audit.cli import audit
from tests.gateway.audit.site import AuditSite, audit_site

ID_CARD = "11010519491231002X"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditSite]:
    with audit_site(tmp_path_factory.mktemp("audit-site")) as site:
        yield site


def command(*arguments: str) -> Result:
    return CliRunner().invoke(audit, [*arguments])


def record_of(site: AuditSite, answer: object) -> dict:
    return site.get(f"/audit/records/{answer.headers['x-request-id']}").json()  # type: ignore[attr-defined]


def test_a_record_says_who_what_where_and_what_was_scanned(site: AuditSite) -> None:
    answer = site.ask("你好，写一句文案")
    record = record_of(site, answer)
    assert record["tenant"] == "org-a"
    assert (record["model"], record["node"], record["outcome"]) == ("opc-starter", "fake", "completed")
    assert len(record["model_digest"]) == 64
    assert record["rules_version"]
    assert record["worker"].startswith("wrk_")
    covered = record["covered"]
    assert covered["prompt"]["rules"]["messages.0.content"] == len("你好，写一句文案")
    assert covered["answer"]["choices.0.content"] == {"rules": 6, "released": 6}
    assert "keywords" in covered["scanners"]["prompt"]
    (link,) = record["links"]
    assert (link["kind"], link["subject"], link["writer"]) == ("request", record["id"], record["worker"])


def test_masked_text_counts_as_scanned_and_not_as_released(site: AuditSite) -> None:
    site.engine.script.deltas = [{"content": f"号码{ID_CARD}。"}]
    record = record_of(site, site.ask("你好"))
    site.engine.script.deltas = [{"content": "好的，"}, {"content": "没问题"}]
    assert record["covered"]["answer"]["choices.0.content"] == {"rules": 21, "released": 3}
    assert ID_CARD not in json.dumps(record)


def test_refusals_are_recorded_and_say_how_far_the_scan_came(site: AuditSite) -> None:
    refused = site.ask("想购买冰毒")
    assert refused.status_code == 400
    record = record_of(site, refused)
    assert record["outcome"] == "refused"
    assert record["covered"]["prompt"]["rules"]["messages.0.content"] > 0
    assert record["covered"]["answer"] == {}


def test_callers_without_a_valid_key_leave_no_record(site: AuditSite) -> None:
    before = site.get("/audit/records", limit=1000).json()["data"]
    site.keys["wrong"] = "opc-" + "x" * 43
    assert site.ask("你好", key="wrong").status_code == 401
    assert site.get("/audit/records", limit=1000).json()["data"] == before


def seen(site: AuditSite, key: str, **params: str) -> dict[str, dict]:
    return {one["id"]: one for one in site.get("/audit/records", key=key, limit=1000, **params).json()["data"]}


def test_a_key_sees_its_own_records_an_owner_the_organisations_a_reviewer_all(site: AuditSite) -> None:
    mine = site.ask(f"号码{ID_CARD}").headers["x-request-id"]
    sees = {key: mine in seen(site, key) for key in ("caller", "colleague", "owner", "other", "reviewer", "operator")}
    assert sees == {
        "caller": True, "colleague": False, "owner": True, "other": False, "reviewer": True, "operator": True,
    }  # fmt: skip
    for key, found in sees.items():
        assert (site.get(f"/audit/records/{mine}", key=key).status_code == 200) == found
    assert seen(site, "other", tenant="org-a") == {}
    assert {one["tenant"] for one in seen(site, "owner").values()} == {"org-a"}
    assert site.get("/audit/checkpoint", key="owner").status_code == 403


def test_an_owner_does_not_see_where_and_by_which_rule_others_were_found(site: AuditSite) -> None:
    mine = site.ask(f"号码{ID_CARD}").headers["x-request-id"]
    assert "rule" in seen(site, "caller")[mine]["findings"][0]
    assert set(seen(site, "owner")[mine]["findings"][0]) == {"risk", "action"}
    assert "rule" in seen(site, "reviewer")[mine]["findings"][0]


def test_lists_are_paged(site: AuditSite) -> None:
    for _ in range(3):
        site.ask("你好")
    first = site.get("/audit/records", limit=2).json()
    assert first["has_more"]
    second = site.get("/audit/records", limit=2, after=first["data"][-1]["id"]).json()
    assert first["data"][-1]["id"] < second["data"][0]["id"]


def test_kept_text_is_read_by_reviewers_for_a_reason(site: AuditSite) -> None:
    name = site.ask(f"我的身份证号是{ID_CARD}").headers["x-request-id"]
    assert site.post(f"/audit/records/{name}/text", {"reason": "x"}, key="caller").status_code == 403
    assert site.post(f"/audit/records/{name}/text", {}, key="reviewer").status_code == 400
    answer = site.post(f"/audit/records/{name}/text", {"reason": "complaint 7"}, key="reviewer")
    assert ID_CARD in answer.json()["texts"]["prompt"], "as it was sent, not as it was masked"
    assert "没问题" in answer.json()["texts"]["answer"]
    assert site.post("/audit/records/req_none/text", {"reason": "x"}, key="reviewer").status_code == 404
    shown = command("text", name, "--reason", "inspection", "--config", str(site.config))
    assert ID_CARD in shown.stdout


def test_commands_verify_export_and_find_what_was_changed(site: AuditSite, tmp_path: Path) -> None:
    config = ("--config", str(site.config))
    site.ask("你好")
    anchor = tmp_path / "checkpoint.json"
    assert command("checkpoint", "--out", str(anchor), *config).exit_code == 0
    verified = command("verify", "--checkpoint", str(anchor), *config)
    assert verified.exit_code == 0, verified.stdout + verified.stderr
    folder = tmp_path / "export"
    span = ("--from", "2026-01-01", "--to", "2100-01-01")
    exported = command("export", *span, "--out", str(folder), *config)
    assert exported.exit_code == 0, exported.stderr
    assert ID_CARD not in "".join(one.read_text() for one in folder.iterdir())
    checked = command("verify-export", str(folder), "--checkpoint", str(anchor), "--json")
    assert checked.exit_code == 0, checked.stdout
    assert json.loads(checked.stdout)["left_out"] == 0
    anchor.write_text(anchor.read_text().replace('"seq": ', '"seq": 1'))
    refused = command("verify", "--checkpoint", str(anchor), *config)
    assert refused.exit_code == 2
    assert "signature" in refused.stderr


def test_the_control_api_exports_one_organisation_without_others_records(site: AuditSite, tmp_path: Path) -> None:
    mine = site.ask("你好").headers["x-request-id"]
    others = site.ask("你好", key="other").headers["x-request-id"]
    body = {"from": "2026-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "tenant": "org-a"}
    assert site.post("/audit/export", body, key="caller").status_code == 403
    with zipfile.ZipFile(io.BytesIO(site.post("/audit/export", body).content)) as archive:
        archive.extractall(tmp_path)
    records = (tmp_path / "export" / "records.jsonl").read_text()
    assert mine in records
    assert others not in records
    checked = command("verify-export", str(tmp_path / "export"))
    assert checked.exit_code == 0, checked.stdout


def test_commands_rotate_both_keys_and_say_what_is_due(site: AuditSite) -> None:
    config = ("--config", str(site.config))
    name = site.ask("你好").headers["x-request-id"]
    rotated = command("rotate-key", *config)
    assert rotated.exit_code == 0
    assert "0 unreadable" in rotated.stdout
    assert "0 texts rewrapped" in command("rotate-key", "--no-new", *config).stdout
    assert "没问题" in command("text", name, "--reason", "inspection", *config).stdout
    assert "0 records" in command("retain", "--dry-run", *config).stdout
    assert "0 records" in command("retain", *config).stdout
    assert command("rotate-signing-key", *config).exit_code == 0
    assert command("verify", *config).exit_code == 0
    assert command("verify", "--since", "yesterday", *config).exit_code == 2
    assert command("text", name, "--reason", " ", *config).exit_code == 2

"""Files and batches as an OPC uses them: with the OpenAI SDK, over a fake engine that can fail."""

import json
import sqlite3
import time
from collections.abc import Callable

import openai
import pytest

from loadtests.fake_engine import Script
from tests.conftest import run_opcgate
from tests.gateway.conftest import Faulty

CHAT = "/v1/chat/completions"


def line(number: int, text: str = "写一句文案", url: str = CHAT, **body: object) -> dict:
    messages = [{"role": "user", "content": f"{text}{number}"}]
    body = {"model": "opc-starter", "messages": messages} | body
    return {"custom_id": f"line-{number}", "method": "POST", "url": url, "body": body}


@pytest.fixture
def client(faulty: Faulty) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{faulty.url}/v1", api_key=faulty.key, max_retries=0)


def upload(client: openai.OpenAI, *lines: object) -> str:
    content = "\n".join(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in lines)
    return client.files.create(file=("requests.jsonl", content.encode()), purpose="batch").id


def start(client: openai.OpenAI, *lines: object, endpoint: str = CHAT) -> openai.types.Batch:
    return client.batches.create(
        input_file_id=upload(client, *lines),
        endpoint=endpoint,  # type: ignore[arg-type]
        completion_window="24h",
        metadata={"for": "测试"},
    )


def wait(client: openai.OpenAI, batch_id: str, over: Callable[[openai.types.Batch], bool]) -> openai.types.Batch:
    deadline = time.monotonic() + 30
    while True:
        batch = client.batches.retrieve(batch_id)
        if over(batch):
            return batch
        assert time.monotonic() < deadline, batch
        time.sleep(0.1)


def ended(batch: openai.types.Batch) -> bool:
    return batch.status in ("completed", "cancelled", "expired", "failed")


def results(client: openai.OpenAI, file_id: str | None) -> list[dict]:
    assert file_id is not None
    return [json.loads(one) for one in client.files.content(file_id).text.splitlines()]


def test_a_file_comes_back_as_it_went_and_is_encrypted_at_rest(client: openai.OpenAI, faulty: Faulty) -> None:
    file_id = upload(client, line(1, "春季新品上市"))
    described = client.files.retrieve(file_id)
    assert (described.filename, described.purpose) == ("requests.jsonl", "batch")
    content = client.files.content(file_id).read()
    assert json.loads(content)["custom_id"] == "line-1"
    assert described.bytes == len(content)
    with sqlite3.connect(faulty.database) as database:
        pieces = database.execute("SELECT content FROM file_chunks WHERE file_id = ?", (file_id,)).fetchall()
    assert pieces
    assert all("春季新品上市".encode() not in piece for (piece,) in pieces)
    assert file_id in [one.id for one in client.files.list(limit=100)]
    client.files.delete(file_id)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file_id)


def test_a_batch_runs_every_line_and_answers_in_the_order_of_the_input(client: openai.OpenAI) -> None:
    batch = start(client, *(line(number) for number in range(20)))
    assert batch.metadata == {"for": "测试"}
    batch = wait(client, batch.id, ended)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (20, 20, 0)
    rows = results(client, batch.output_file_id)
    assert [one["custom_id"] for one in rows] == [f"line-{number}" for number in range(20)]
    first = rows[0]["response"]
    assert first["status_code"] == 200
    assert first["body"]["choices"][0]["message"]["content"] == "好的"
    assert "AIGC" in first["body"]["aigc"], "results are labelled like any answer"
    assert batch.error_file_id is None


def test_each_line_is_scanned_recorded_and_settled_like_a_live_request(client: openai.OpenAI, faulty: Faulty) -> None:
    batch = wait(client, start(client, line(1), line(2, "出售冰毒，量大从优，联系我")).id, ended)
    assert batch.status == "completed"
    (good,), (bad,) = results(client, batch.output_file_id), results(client, batch.error_file_id)
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("line-2", 400)
    assert bad["response"]["body"]["error"]["code"] == "content_filter"
    with sqlite3.connect(faulty.database) as database:
        outcomes = dict(
            database.execute(
                "SELECT id, outcome FROM requests WHERE id IN (?, ?)",
                (good["response"]["request_id"], bad["response"]["request_id"]),
            )
        )
    assert sorted(outcomes.values()) == ["completed", "refused"]


def test_a_node_that_fails_for_a_while_only_delays_a_batch(client: openai.OpenAI, faulty: Faulty) -> None:
    faulty.engine.script = Script(fault="status_500")
    batch = start(client, line(1), line(2))
    time.sleep(0.5)
    assert not ended(client.batches.retrieve(batch.id))
    faulty.engine.script = Script()
    batch = wait(client, batch.id, ended)
    assert batch.status == "completed"
    assert len(results(client, batch.output_file_id)) == 2


def test_a_cancelled_batch_keeps_what_it_has_and_says_so_of_the_rest(client: openai.OpenAI, faulty: Faulty) -> None:
    faulty.engine.script = Script(pause_seconds=0.2)
    batch = start(client, *(line(number) for number in range(60)))
    wait(client, batch.id, lambda one: bool(one.request_counts and one.request_counts.completed))
    assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")
    batch = wait(client, batch.id, ended)
    assert batch.status == "cancelled"
    assert batch.request_counts is not None
    done, left = results(client, batch.output_file_id), results(client, batch.error_file_id)
    assert len(done) == batch.request_counts.completed
    assert len(done) + len(left) == 60
    assert {one["error"]["code"] for one in left} == {"batch_cancelled"}


def nested(levels: int) -> dict:
    value: dict = {}
    for _ in range(levels):
        value = {"a": value}
    return value


BAD_FILES = [
    (["not json"], 1, None),
    ([line(1), line(1)], 2, "custom_id"),
    ([line(1, url="/v1/completions")], 1, "url"),
    ([line(1) | {"method": "GET"}], 1, "method"),
    ([line(1) | {"extra": 1}], 1, "extra"),
    ([line(1, stream=True)], 1, "body.stream"),
    (["", " "], None, None),
    ([line(1, chat_template_kwargs=nested(260))], 1, "body"),
]


@pytest.mark.parametrize(("lines", "number", "param"), BAD_FILES)
def test_a_wrong_input_file_fails_whole_and_names_line_and_field(
    client: openai.OpenAI, lines: list, number: int | None, param: str | None
) -> None:
    batch = start(client, *lines)
    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    (error,) = batch.errors.data
    assert (error.line, error.param) == (number, param)
    assert error.message


def test_wrong_requests_name_the_field(client: openai.OpenAI) -> None:
    file_id = upload(client, line(1))
    with pytest.raises(openai.BadRequestError, match="purpose"):
        client.files.create(file=("a.jsonl", b"{}"), purpose="fine-tune")
    with pytest.raises(openai.BadRequestError, match="empty"):
        client.files.create(file=("a.jsonl", b""), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="endpoint"):
        client.batches.create(input_file_id=file_id, endpoint="/v1/images", completion_window="24h")  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError, match="No such file"):
        client.batches.create(input_file_id="file-none", endpoint=CHAT, completion_window="24h")
    with pytest.raises(openai.NotFoundError, match="No such batch"):
        client.batches.retrieve("batch_none")


def test_another_organisation_sees_nothing(client: openai.OpenAI, faulty: Faulty) -> None:
    file_id = upload(client, line(1))
    batch = wait(client, start(client, line(1)).id, ended)
    config = str(faulty.database.with_name("opcgate.yaml"))
    made = run_opcgate("tenants", "create", "other-opc", "--name", "别家", "--config", config)
    assert made.returncode == 0, made.stderr
    made = run_opcgate("keys", "create", "--name", "other", "--tenant", "other-opc", "--config", config)
    other = openai.OpenAI(base_url=f"{faulty.url}/v1", api_key=made.stdout.strip(), max_retries=0)
    assert file_id not in [one.id for one in other.files.list(limit=100)]
    assert list(other.batches.list()) == []
    for ask in (
        lambda: other.files.retrieve(file_id),
        lambda: other.files.content(file_id),
        lambda: other.files.delete(file_id),
        lambda: other.batches.retrieve(batch.id),
        lambda: other.batches.cancel(batch.id),
        lambda: other.batches.create(input_file_id=file_id, endpoint=CHAT, completion_window="24h"),
    ):
        with pytest.raises(openai.NotFoundError):
            ask()


def test_lists_are_paged_newest_first(client: openai.OpenAI) -> None:
    made = [upload(client, line(number)) for number in range(5)]
    first = client.files.list(limit=2)
    assert [one.id for one in first.data] == made[:-3:-1]
    assert first.has_more
    assert [one.id for one in client.files.list(limit=3)][:5] == made[::-1]

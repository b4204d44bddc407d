"""Limits as a caller meets them, set by an operator through API and command line."""

import time

import httpx

from tests.gateway.tenants.conftest import Site


def wait_for_limit(site: Site, key: str, limit: str) -> httpx.Response:
    deadline = time.monotonic() + 20
    while True:
        answer = site.chat(key)
        if answer.headers.get("x-ratelimit-limit-requests") == limit:
            return answer
        assert time.monotonic() < deadline, answer.headers
        time.sleep(0.1)


def test_an_operators_limit_holds_within_seconds_and_headers_tell_the_truth(site: Site) -> None:
    company = site.company()
    key_id, key = site.key(tenant=company.id)
    assert "x-ratelimit-limit-requests" not in site.chat(key).headers, "no limit, no claim"
    put = site.api(site.operator, "PUT", f"/limits/key/{key_id}", json={"requests_per_minute": 30})
    assert put.json()["limits"]["requests_per_minute"] == 30
    assert put.json()["source"] == "operator"
    first = wait_for_limit(site, key, "30")
    left = int(first.headers["x-ratelimit-remaining-requests"])
    for expected in range(left - 1, -1, -1):
        answer = site.chat(key)
        if answer.headers["x-ratelimit-remaining-requests"] == "29":
            return  # the minute has turned meanwhile; the next run tells
        assert answer.status_code == 200
        assert answer.headers["x-ratelimit-remaining-requests"] == str(expected)
    refused = site.chat(key)
    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    listed = site.api(site.operator, "GET", "/limits").json()["data"]
    assert key_id in [one["subject"] for one in listed]
    assert site.api(site.operator, "DELETE", f"/limits/key/{key_id}").status_code == 204
    assert site.api(site.operator, "DELETE", f"/limits/key/{key_id}").status_code == 404
    assert site.api(site.operator, "GET", f"/limits/key/{key_id}").json()["source"] == "settings"
    acts = site.api(site.operator, "GET", "/acts", params={"limit": 1000}).json()["data"]
    assert [one["action"] for one in acts if one["subject"] == f"key:{key_id}"] == ["limits.set", "limits.remove"]


def test_wrong_limits_name_the_field(site: Site) -> None:
    for body, field in (({"requests_per_minute": 0}, "requests_per_minute"), ({"per_hour": 1}, "per_hour")):
        answer = site.api(site.operator, "PUT", "/limits/key/k", json=body)
        assert answer.status_code == 400
        assert field in answer.json()["error"]["param"]
    assert site.api(site.operator, "PUT", "/limits/planet/k", json={}).status_code == 400


def test_what_is_set_comes_in_pages(site: Site) -> None:
    subjects = [f"{kind}/page-{number}" for kind in ("key", "model", "tenant") for number in range(2)]
    for one in subjects:
        assert site.api(site.operator, "PUT", f"/limits/{one}", json={"requests_per_minute": 5}).status_code == 200
    seen: list[str] = []
    after: dict[str, str] = {}
    more = True
    while more:
        page = site.api(site.operator, "GET", "/limits", params={"limit": 4, **after}).json()
        seen += [one["id"] for one in page["data"]]
        after, more = {"after": seen[-1]}, page["has_more"]
    whole = [one["id"] for one in site.api(site.operator, "GET", "/limits").json()["data"]]
    assert seen == whole == sorted(whole)
    assert set(subjects) <= set(seen)
    assert site.api(site.operator, "GET", "/limits", params={"after": "key/none"}).status_code == 404
    for one in subjects:
        assert site.api(site.operator, "DELETE", f"/limits/{one}").status_code == 204

"""What `opcgate up` prints at its end: an address, a key, a curl line and a Python example that work as printed."""

PROMPT = "为便携榨汁杯写一句卖点，突出无线、易清洗"


def examples(base_url: str, key: str, model: str) -> str:
    """The text, for a terminal."""
    return f"""
ready. 已就绪。
  address 地址: {base_url}/v1
  API key 密钥: {key}

curl {base_url}/v1/chat/completions -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \
-d '{{"model": "{model}", "messages": [{{"role": "user", "content": "{PROMPT}"}}]}}'

python:
from openai import OpenAI
client = OpenAI(base_url="{base_url}/v1", api_key="{key}")
for chunk in client.chat.completions.create(model="{model}", stream=True,
        messages=[{{"role": "user", "content": "{PROMPT}"}}]):
    print(chunk.choices[0].delta.content or "", end="", flush=True)

Ctrl-C stops both. 按 Ctrl-C 停止。
"""

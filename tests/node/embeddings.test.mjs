// The official OpenAI Node SDK on embeddings; run by tests/gateway/surfaces/test_embeddings.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.OPCGATE_BASE_URL, apiKey: process.env.OPCGATE_KEY, maxRetries: 0 });
const model = "all-minilm-l6-v2";

test("vectors come as numbers, whichever way they travel", async () => {
  const input = ["A kitten sleeps on the sofa.", "The invoice is due next month."];
  const packed = await client.embeddings.create({ model, input });
  const floats = await client.embeddings.create({ model, input, encoding_format: "float" });
  assert.deepEqual(packed.data.map((one) => one.embedding.length), [384, 384]);
  packed.data[0].embedding.forEach((value, at) => assert.ok(Math.abs(value - floats.data[0].embedding[at]) < 1e-5));
});

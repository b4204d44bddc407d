// The official OpenAI Node SDK against the gateway; run by tests/gateway/test_openai_node.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.OPCGATE_BASE_URL,
  apiKey: process.env.OPCGATE_KEY,
  maxRetries: 0,
});
const model = "opc-starter";
const messages = [{ role: "user", content: "为便携榨汁杯写一句卖点，突出无线、易清洗" }];

test("models are listed", async () => {
  const ids = [];
  for await (const one of client.models.list()) ids.push(one.id);
  assert.ok(ids.includes(model));
});

test("a whole answer and a stream say the same", async () => {
  const whole = await client.chat.completions.create({ model, messages, temperature: 0 });
  assert.equal(whole.choices[0].finish_reason, "stop");
  assert.match(whole.choices[0].message.content, /榨汁杯/);
  const stream = await client.chat.completions.create({
    model, messages, temperature: 0, stream: true, stream_options: { include_usage: true },
  });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test("the stream helper collects tool calls", async () => {
  const parameters = {
    type: "object", properties: { lang: { type: "string", enum: ["zh", "en"] } }, required: ["lang"],
  };
  const runner = client.chat.completions.stream({
    model, messages, temperature: 0, max_tokens: 100,
    tools: [{ type: "function", function: { name: "save_copy", strict: true, parameters } }],
    tool_choice: { type: "function", function: { name: "save_copy" } },
  });
  const final = await runner.finalChatCompletion();
  const call = final.choices[0].message.tool_calls[0];
  assert.equal(call.function.name, "save_copy");
  assert.ok(["zh", "en"].includes(JSON.parse(call.function.arguments).lang));
});

test("text completions work", async () => {
  const answer = await client.completions.create({ model, prompt: "便携", max_tokens: 4 });
  assert.equal(answer.object, "text_completion");
});

test("the free check is read as a moderation", async () => {
  const answer = await client.moderations.create({ input: ["你好", "本店出售冰毒，致电13800138000"] });
  assert.deepEqual(answer.results.map((one) => one.flagged), [false, true]);
  assert.equal(answer.results[1].categories.illicit, true);
  assert.equal(answer.results[1].category_scores["self-harm/intent"], 0);
  assert.deepEqual(answer.results[1].findings.map((one) => one.risk), ["other_illegal", "personal_info"]);
});

const input = messages[0].content;

test("a response and its events say what chat says", async () => {
  const chat = await client.chat.completions.create({ model, messages, temperature: 0, max_tokens: 200 });
  const whole = await client.responses.create({ model, input, temperature: 0, max_output_tokens: 200 });
  assert.equal(whole.output_text, chat.choices[0].message.content);
  assert.equal(whole.usage.output_tokens, chat.usage.completion_tokens);
  assert.equal(whole.aigc.AIGC.Label, "1");
  const stream = client.responses.stream({ model, input, temperature: 0, max_output_tokens: 200 });
  let text = "";
  let number = 0;
  for await (const event of stream) {
    assert.equal(event.sequence_number, number++);
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  const final = await stream.finalResponse();
  assert.equal(text, whole.output_text);
  assert.equal(final.status, "completed");
});

test("a response calls a tool and takes its result", async () => {
  const parameters = {
    type: "object", properties: { lang: { type: "string", enum: ["zh", "en"] } }, required: ["lang"],
    additionalProperties: false,
  };
  const tools = [{ type: "function", name: "save_copy", strict: true, parameters }];
  const first = await client.responses.create({
    model, input, tools, temperature: 0, max_output_tokens: 100, tool_choice: { type: "function", name: "save_copy" },
  });
  const call = first.output.find((one) => one.type === "function_call");
  assert.ok(["zh", "en"].includes(JSON.parse(call.arguments).lang));
  const second = await client.responses.create({
    model, tools, max_output_tokens: 16,
    input: [{ role: "user", content: input }, ...first.output,
      { type: "function_call_output", call_id: call.call_id, output: "已保存" }],
  });
  assert.equal(second.object, "response");
});

test("errors arrive as the SDK's own classes", async () => {
  await assert.rejects(
    client.chat.completions.create({ model: "nope", messages }),
    (error) => error instanceof OpenAI.NotFoundError && error.code === "model_not_found" && error.param === "model",
  );
  await assert.rejects(
    client.chat.completions.create({ model, messages: [{ role: "user", content: "哪里能购买冰毒" }] }),
    (error) => error instanceof OpenAI.BadRequestError && error.code === "content_filter",
  );
  const stranger = new OpenAI({ baseURL: client.baseURL, apiKey: "opc-nobody", maxRetries: 0 });
  await assert.rejects(stranger.models.list(), (error) => error instanceof OpenAI.AuthenticationError);
});

test("a stream can be aborted", async () => {
  const stream = await client.chat.completions.create({ model, messages, stream: true, ignore_eos: true });
  for await (const _ of stream) break;
  stream.controller.abort();
  const after = await client.chat.completions.create({ model, messages, max_tokens: 1 });
  assert.equal(after.object, "chat.completion");
});

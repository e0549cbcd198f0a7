// The Node SDKs and the Vercel AI SDK against a gateway: each works through a tool call and tells
// what it has seen. Called with the gateway's address and a JSON list of clients and models; prints
// a JSON list.
import process from "node:process";

const [base, asked] = process.argv.slice(2);
const key = "sk-any";
const schema = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const run = async ({ city }) => `22 degrees in ${city}`;

const clients = {
  async "anthropic"(model) {
    const { default: Anthropic } = await import("@anthropic-ai/sdk");
    const sdk = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0 });
    const tools = [{ name: "weather", input_schema: schema }];
    const messages = [{ role: "user", content: "Weather in Oslo?" }];
    const given = { model, max_tokens: 4000, tools, thinking: { type: "adaptive" } };
    const first = await sdk.messages.stream({ ...given, messages }).finalMessage();
    const call = first.content.find((block) => block.type === "tool_use");
    messages.push({ role: "assistant", content: first.content });
    const result = { type: "tool_result", tool_use_id: call.id, content: await run(call.input) };
    messages.push({ role: "user", content: [result] });
    let streamed = "";
    const last = await sdk.messages
      .stream({ ...given, messages })
      .on("text", (text) => (streamed += text))
      .finalMessage();
    return { call: [call.name, call.input], text: streamed, stop: last.stop_reason };
  },

  async "openai chat"(model) {
    const { default: OpenAI } = await import("openai");
    const sdk = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
    let call;
    const runner = sdk.chat.completions.runTools({
      model,
      stream: true,
      messages: [{ role: "user", content: "Weather in Oslo?" }],
      tools: [
        {
          type: "function",
          function: {
            name: "weather",
            parameters: schema,
            parse: JSON.parse,
            function: (given) => ((call = given), run(given)),
          },
        },
      ],
    });
    const text = await runner.finalContent();
    const end = await runner.finalChatCompletion();
    return { call: ["weather", call], text, stop: end.choices[0].finish_reason };
  },

  async "openai responses"(model) {
    const { default: OpenAI } = await import("openai");
    const sdk = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
    const tools = [{ type: "function", name: "weather", parameters: schema, strict: true }];
    const input = [{ role: "user", content: "Weather in Oslo?" }];
    const given = { model, store: false, tools };
    const first = await sdk.responses.stream({ ...given, input }).finalResponse();
    const call = first.output.find((item) => item.type === "function_call");
    const output = await run(JSON.parse(call.arguments));
    input.push(...first.output, { type: "function_call_output", call_id: call.call_id, output });
    const last = await sdk.responses.stream({ ...given, input }).finalResponse();
    return { call: [call.name, JSON.parse(call.arguments)], text: last.output_text, stop: last.status };
  },

  "vercel anthropic": (name) => vercel("anthropic", name),
  "vercel openai": (name) => vercel("openai", name),
  "vercel compatible": (name) => vercel("compatible", name),
};

// Each of its providers as its documentation sets it up: OpenAI's asks for Responses by default.
async function vercel(kind, name) {
  const { streamText, tool, jsonSchema, stepCountIs } = await import("ai");
  let model;
  if (kind === "anthropic") {
    const { createAnthropic } = await import("@ai-sdk/anthropic");
    model = createAnthropic({ baseURL: `${base}/v1`, apiKey: key })(name);
  } else if (kind === "openai") {
    const { createOpenAI } = await import("@ai-sdk/openai");
    model = createOpenAI({ baseURL: `${base}/v1`, apiKey: key })(name);
  } else {
    const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
    model = createOpenAICompatible({ name: "gateway", baseURL: `${base}/v1`, apiKey: key })(name);
  }
  let call;
  const result = streamText({
    model,
    prompt: "Weather in Oslo?",
    maxRetries: 0,
    stopWhen: stepCountIs(3),
    tools: {
      weather: tool({
        description: "The weather",
        inputSchema: jsonSchema(schema),
        execute: (given) => ((call = given), run(given)),
      }),
    },
    onError: ({ error }) => {
      throw error;
    },
  });
  const text = await result.text;
  return { call: ["weather", call], text, stop: await result.finishReason };
}

const seen = JSON.parse(asked).map(async ([client, model]) => {
  try {
    return await clients[client](model);
  } catch (error) {
    return { error: String(error?.stack ?? error) };
  }
});
console.log(JSON.stringify(await Promise.all(seen)));

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

  async "google genai"(model) {
    const { GoogleGenAI } = await import("@google/genai");
    const sdk = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: base } });
    const declared = { name: "weather", parametersJsonSchema: schema };
    const config = {
      tools: [{ functionDeclarations: [declared] }],
      thinkingConfig: { includeThoughts: true },
    };
    const chat = sdk.chats.create({ model, config });
    let call;
    for await (const chunk of await chat.sendMessageStream({ message: "Weather in Oslo?" })) {
      call ??= chunk.functionCalls?.[0];
    }
    const { id, name, args } = call;
    const response = { output: await run(args) };
    const message = [{ functionResponse: { id, name, response } }];
    let text = "";
    let stop;
    for await (const chunk of await chat.sendMessageStream({ message })) {
      text += chunk.text ?? "";
      stop = chunk.candidates[0].finishReason;
    }
    return { call: [name, args], text, stop };
  },

  async "cohere, vectors"(model) {
    const { CohereClientV2 } = await import("cohere-ai");
    const sdk = new CohereClientV2({ token: key, environment: base, maxRetries: 0 });
    const given = { inputType: "search_document", embeddingTypes: ["float"] };
    const answer = await sdk.embed({ model, texts: ["one", "two"], ...given });
    return { calls: [answer.embeddings.float], text: "vectors" };
  },

  async "cohere, ranks"(model) {
    const { CohereClientV2 } = await import("cohere-ai");
    const sdk = new CohereClientV2({ token: key, environment: base, maxRetries: 0 });
    const answer = await sdk.rerank({ model, query: "q", documents: ["a", "b"], topN: 2 });
    return { calls: [answer.results.map((each) => [each.index, each.relevanceScore])], text: "ranks" };
  },

  async "ollama, vectors"(model) {
    const { Ollama } = await import("ollama");
    const sdk = new Ollama({ host: base, headers: { Authorization: `Bearer ${key}` } });
    const answer = await sdk.embed({ model, input: ["one", "two"] });
    return { calls: [answer.embeddings], text: "vectors" };
  },

  async "ollama"(model) {
    const { Ollama } = await import("ollama");
    const sdk = new Ollama({ host: base, headers: { Authorization: `Bearer ${key}` } });
    const tools = [{ type: "function", function: { name: "weather", parameters: schema } }];
    const messages = [{ role: "user", content: "Weather in Oslo?" }];
    const said = async () => {
      const whole = { role: "assistant", content: "", tool_calls: [] };
      for await (const part of await sdk.chat({ model, messages, tools, stream: true })) {
        whole.content += part.message.content;
        whole.tool_calls.push(...(part.message.tool_calls ?? []));
        whole.stop = part.done_reason;
      }
      return whole;
    };
    const { stop: _, ...first } = await said();
    const { name, arguments: given } = first.tool_calls[0].function;
    messages.push(first, { role: "tool", tool_name: name, content: await run(given) });
    const last = await said();
    return { call: [name, given], text: last.content, stop: last.stop };
  },

  async "cohere"(model) {
    const { CohereClientV2 } = await import("cohere-ai");
    const sdk = new CohereClientV2({ token: key, environment: base, maxRetries: 0 });
    const tools = [{ type: "function", function: { name: "weather", parameters: schema } }];
    const messages = [{ role: "user", content: "Weather in Oslo?" }];
    const said = async () => {
      const whole = { text: "", calls: [] };
      for await (const event of await sdk.chatStream({ model, messages, tools })) {
        const message = event.delta?.message;
        if (event.type === "content-delta") whole.text += message.content.text ?? "";
        if (event.type === "tool-plan-delta") whole.text += message.toolPlan;
        if (event.type === "tool-call-start") whole.calls.push(message.toolCalls);
        if (event.type === "tool-call-delta")
          whole.calls.at(-1).function.arguments += message.toolCalls.function.arguments;
        if (event.type === "message-end") whole.stop = event.delta.finishReason;
      }
      return whole;
    };
    const first = await said();
    const [call] = first.calls;
    const given = JSON.parse(call.function.arguments);
    messages.push({ role: "assistant", toolPlan: first.text, toolCalls: first.calls });
    messages.push({ role: "tool", toolCallId: call.id, content: await run(given) });
    const last = await said();
    return { call: [call.function.name, given], text: last.text, stop: last.stop };
  },

  async "bedrock"(modelId) {
    const aws = await import("@aws-sdk/client-bedrock-runtime");
    const { NodeHttpHandler } = await import("@smithy/node-http-handler");
    const sdk = new aws.BedrockRuntimeClient({
      region: "us-east-1",
      endpoint: base,
      token: { token: key },
      authSchemePreference: ["httpBearerAuth"],
      maxAttempts: 1,
      // By itself it speaks HTTP/2 only.
      requestHandler: new NodeHttpHandler(),
    });
    const spec = { name: "weather", inputSchema: { json: schema } };
    const toolConfig = { tools: [{ toolSpec: spec }] };
    const messages = [{ role: "user", content: [{ text: "Weather in Oslo?" }] }];
    const said = async () => {
      const blocks = [];
      let stop;
      const command = new aws.ConverseStreamCommand({ modelId, messages, toolConfig });
      for await (const event of (await sdk.send(command)).stream) {
        const { contentBlockStart: begun, contentBlockDelta: grown } = event;
        if (begun?.start?.toolUse) {
          blocks[begun.contentBlockIndex] = { toolUse: { ...begun.start.toolUse, input: "" } };
        } else if (grown?.delta.text !== undefined) {
          const block = (blocks[grown.contentBlockIndex] ??= { text: "" });
          block.text += grown.delta.text;
        } else if (grown?.delta.toolUse) {
          blocks[grown.contentBlockIndex].toolUse.input += grown.delta.toolUse.input;
        }
        stop = event.messageStop?.stopReason ?? stop;
      }
      // Thinking has numbers of its own, and is passed over.
      const content = blocks.filter((block) => block);
      for (const { toolUse } of content) if (toolUse) toolUse.input = JSON.parse(toolUse.input);
      return { content, stop };
    };
    const first = await said();
    const { toolUse } = first.content.find((block) => block.toolUse);
    messages.push({ role: "assistant", content: first.content });
    const content = [{ text: await run(toolUse.input) }];
    const toolResult = { toolUseId: toolUse.toolUseId, content };
    messages.push({ role: "user", content: [{ toolResult }] });
    const last = await said();
    const text = last.content.map((block) => block.text ?? "").join("");
    return { call: [toolUse.name, toolUse.input], text, stop: last.stop };
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

"use strict";
// Does on this browser's WebGPU what the host orders. The host is the product's own; this page adds nothing to its
// kernels and knows nothing of what they should give.

const things = new Map(); // by number: buffers, kernels, bound kernels
const compiled = new Map(); // kernels by text, entry point and bindings
const work = { orders: 0, submissions: 0, dispatches: 0, readbacks: 0, kernels: 0, compile_ms: 0 };
let device;

const element = (id) => document.getElementById(id);

function row(cells, where, kind) {
  const line = document.createElement(kind === "td" ? "tr" : "li");
  for (const text of cells) {
    const cell = kind === "td" ? line.appendChild(document.createElement("td")) : line;
    cell.append(text);
  }
  element(where).append(line);
}

function show_work() {
  element("work").replaceChildren();
  for (const [name, count] of Object.entries(work)) {
    row([`${name.replace("_", " ")}: ${Math.round(count)}`], "work", "li");
  }
}

// Tells the host something; gives its next orders.
async function post(path, body) {
  const answer = await fetch(path, { method: "POST", body });
  if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status}`);
  return answer.json();
}

const hex = (bytes) => [...new Uint8Array(bytes)].map((b) => b.toString(16).padStart(2, "0")).join("");

const SCOPES = ["validation", "out-of-memory", "internal"];
const watch = () => SCOPES.forEach((scope) => device.pushErrorScope(scope));

// What went wrong since the last look.
async function errors() {
  const found = await Promise.all(SCOPES.map(() => device.popErrorScope()));
  watch();
  return found.filter((error) => error).map((error) => error.message).join("\n");
}

function message_text(source, message) {
  const line = source.split("\n")[message.lineNum - 1] ?? "";
  return `${message.type} at ${message.lineNum}:${message.linePos}: ${message.message}\n    ${line.trim()}`;
}

// Answers with the compiler's messages.
async function compile({ id, name, text, entry, bindings }) {
  const key = JSON.stringify([text, entry, bindings]);
  const known = compiled.get(key);
  if (known) {
    things.set(id, known);
    return { body: "" };
  }
  const start = performance.now();
  const module = device.createShaderModule({ label: name, code: text });
  const { messages } = await module.getCompilationInfo();
  const said = messages.map((message) => message_text(text, message)).join("\n");
  if (messages.some((message) => message.type === "error")) {
    await errors(); // The same again.
    return { failed: said };
  }
  const layout = device.createBindGroupLayout({
    label: name,
    entries: bindings.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } })),
  });
  try {
    const pipeline = await device.createComputePipelineAsync({
      label: name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: entry },
    });
    compiled.set(key, { pipeline, layout });
    things.set(id, compiled.get(key));
  } catch (error) {
    await errors();
    return { failed: `${error.message}\n${said}` };
  }
  work.kernels += 1;
  work.compile_ms += performance.now() - start;
  return { body: said, failed: await errors() };
}

function command(encoder, step, pass) {
  if (step.do === "dispatch" || step.do === "indirect") {
    pass ??= encoder.beginComputePass();
    const { pipeline, group } = things.get(step.bound);
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    if (step.do === "dispatch") pass.dispatchWorkgroups(...step.groups);
    else pass.dispatchWorkgroupsIndirect(things.get(step.buffer), 4 * step.word);
    work.dispatches += 1;
    return pass;
  }
  pass?.end();
  if (step.do === "copy") {
    const [from, start] = step.from;
    const [to, at] = step.to;
    encoder.copyBufferToBuffer(things.get(from), 4 * start, things.get(to), 4 * at, 4 * step.words);
  } else if (step.do === "clear") {
    encoder.clearBuffer(things.get(step.buffer), 4 * step.start, 4 * step.words);
  } else {
    throw new Error(`unknown command ${step.do}`);
  }
  return undefined;
}

// Words of some buffers, one after the other.
async function bytes(parts) {
  const size = 4 * parts.reduce((sum, { words }) => sum + words, 0);
  const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder({ label: "read" });
  let at = 0;
  for (const { buffer, start, words } of parts) {
    encoder.copyBufferToBuffer(buffer, 4 * start, staging, at, 4 * words);
    at += 4 * words;
  }
  device.queue.submit([encoder.finish()]);
  const wrong = errors();
  await staging.mapAsync(GPUMapMode.READ);
  const body = staging.getMappedRange().slice(0);
  staging.destroy();
  work.readbacks += 1;
  return { body, failed: await wrong };
}

const read = ({ id, start, words }) => bytes([{ buffer: things.get(id), start, words }]);

// The newest buffer with this label.
function labelled(label) {
  const found = [...things.values()].filter((thing) => thing instanceof GPUBuffer && thing.label === label);
  if (found.length === 0) throw new Error(`no buffer ${label}`);
  return found.at(-1);
}

// What a reader sees.
function text() {
  show_work();
  return { body: document.body.innerText };
}

const words = ({ parts }) =>
  bytes(parts.map(([label, start, words]) => ({ buffer: labelled(label), start, words })));

// SHA-256 of words that stay here.
async function digest(order) {
  const { body, failed } = await words(order);
  return { body: hex(await crypto.subtle.digest("SHA-256", body)), failed };
}

// What each order does. Those that return something are answered: with what failed, or else with the body.
const ORDERS = {
  buffer({ id, label, words }) {
    const { STORAGE, UNIFORM, COPY_SRC, COPY_DST, INDIRECT } = GPUBufferUsage;
    const usage = STORAGE | UNIFORM | COPY_SRC | COPY_DST | INDIRECT;
    things.set(id, device.createBuffer({ label, size: 4 * words, usage }));
  },
  upload({ id, start, data }) {
    device.queue.writeBuffer(things.get(id), 4 * start, new Uint32Array(data));
  },
  bind({ id, kernel, slices }) {
    const { pipeline, layout } = things.get(kernel);
    const entries = slices.map(([buffer, start, words], binding) => (
      { binding, resource: { buffer: things.get(buffer), offset: 4 * start, size: 4 * words } }));
    things.set(id, { pipeline, group: device.createBindGroup({ layout, entries }) });
  },
  submit({ label, commands }) {
    const encoder = device.createCommandEncoder({ label });
    let pass;
    for (const step of commands) pass = command(encoder, step, pass);
    pass?.end();
    device.queue.submit([encoder.finish()]);
    work.submissions += 1;
  },
  drop({ id }) {
    things.get(id)?.destroy?.();
    things.delete(id);
  },
  result({ job, found, expected }) {
    const code = document.createElement("code");
    code.append(found);
    row([job, code, found === expected ? "yes" : `NO: ${expected}`], "results", "td");
  },
  kernel: compile,
  read,
  words,
  digest,
  text,
};

async function open() {
  if (!navigator.gpu) throw new Error("this browser has no WebGPU");
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) throw new Error("this browser has no WebGPU adapter");
  device = await adapter.requestDevice(); // with the least limits that every WebGPU has
  device.lost.then(({ reason, message }) => fault(`device lost: ${reason}: ${message}`));
  device.addEventListener("uncapturederror", (event) => fault(event.error.message));
  watch();
  const { vendor, architecture, device: name, description } = adapter.info;
  const text = [vendor, architecture, name, description].filter((part) => part).join(" ");
  element("adapter").replaceChildren(`Adapter: ${text}.`);
  return post("answer", text);
}

async function run() {
  let orders = await open();
  for (;;) {
    const next = [];
    for (const order of orders) {
      if (order.op === "end") return;
      work.orders += 1;
      const answer = await ORDERS[order.op](order);
      if (answer?.failed) next.push(...await post("failed", answer.failed));
      else if (answer) next.push(...await post("answer", answer.body));
    }
    orders = next.length > 0 ? next : await (await fetch("orders", { cache: "no-store" })).json();
  }
}

// An error that no order asked for; the host gives up.
function fault(message) {
  console.error(message);
  const text = document.createElement("span");
  text.className = "bad";
  text.append(message);
  element("state").replaceChildren(text);
  return post("fault", message);
}

run().then(
  () => element("state").replaceChildren("Done."),
  (error) => fault(String(error?.stack ?? error)),
).then(show_work);

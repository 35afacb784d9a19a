"use strict";
// Shows /dashboard and keeps it fresh: each server-sent event adds a block at once, and at most once a second the whole
// dashboard is read again for π and memory activity.

const KEPT = 64;
const REFRESH_MS = 1000;
const MAX_SHARDS = 16;
const SVG = "http://www.w3.org/2000/svg";

const state = { health: null, blocks: [], top: [], memory: null, stages: [] };
let refreshTimer = null;
let refreshing = false;

const byId = (id) => document.getElementById(id);

function element(parent, name, attributes, text) {
  const node = document.createElementNS(parent.namespaceURI === SVG || name === "svg" ? SVG : parent.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.appendChild(node);
  return node;
}

const count = (n) => Number(n).toLocaleString("en-US");
const short = (hash) => (hash ? hash.slice(0, 12) + "…" : "–");
const millis = (micros) => (micros < 9950 ? (micros / 1000).toFixed(1) : String(Math.round(micros / 1000)));
const percent = (x) => (x * 100 >= 10 ? (x * 100).toFixed(1) : (x * 100).toPrecision(3)) + " %";
const total = (block) => block.stages.reduce((sum, stage) => sum + stage.micros, 0);

function clear(node) {
  while (node.firstChild) node.removeChild(node.firstChild);
}

function fit(text, pixels, perCharacter) {
  const room = Math.max(4, Math.floor(pixels / perCharacter));
  return text.length <= room ? text : text.slice(0, room - 1) + "…";
}

function setLink(kind, words) {
  byId("link").dataset.state = kind;
  byId("link").textContent = words;
}

// The names of all stages in order: those of the block with the most, then whatever else there is.
function collectStages() {
  const fullest = [...state.blocks].sort((a, b) => b.stages.length - a.stages.length);
  state.stages = [...new Set(fullest.flatMap((block) => block.stages.map((stage) => stage.name)))];
}

const stageClass = (name) => "s" + Math.min(state.stages.indexOf(name), 9);

function drawTiles() {
  const { health, blocks } = state;
  const last = blocks[0];
  if (health) {
    byId("chain").textContent = health.chain_id;
    drawBackend(health);
    byId("mempool").textContent = count(health.mempool);
    const memory = health.rss ? ` · ${count(Math.round(health.rss / 1048576))} MiB` : "";
    byId("process").textContent = `version ${health.version} · pid ${health.pid}${memory} · genesis ${short(health.genesis_hash)}`;
  }
  const height = Math.max(health ? health.height : 0, last ? last.height : 0);
  byId("height").textContent = health || last ? count(height) : "–";
  byId("edges").textContent = last ? count(last.edges) : "–";
  byId("iterations").textContent = last ? count(last.iterations) : "–";
  const root = last && last.height >= height ? last.state_root : health ? health.state_root : "";
  byId("root").textContent = root ? root.slice(0, 32) + "…" : "–";
  byId("root").title = root;
}

// A backend that was given up is named with who serves now, and why.
function drawBackend({ backend, device, threads, coprocessor }) {
  const failed = coprocessor.failure !== null;
  const workers = threads === 0 ? "" : ` · ${threads} thread${threads === 1 ? "" : "s"}`;
  const serving = failed ? `${backend} failed, ${coprocessor.serving} serves` : backend;
  byId("backend").textContent = `${serving} · ${device}${workers}`;
  byId("backend").title = failed ? coprocessor.failure : "";
  byId("backend").classList.toggle("failed", failed);
}

function drawBlocks(fresh) {
  const body = byId("blocks");
  clear(body);
  collectStages();
  const longest = Math.max(1, ...state.blocks.map(total));
  for (const block of state.blocks) {
    const row = element(body, "tr", fresh === block.height ? { class: "fresh" } : {});
    row.dataset.height = block.height;
    const residual = block.residual > 0 ? block.residual.toExponential(1) : "0";
    const cells = [count(block.height), count(block.transactions), count(block.edges), block.iterations, residual];
    for (const text of cells) element(row, "td", {}, text);
    element(row, "td", { class: "hash", title: block.state_root }, short(block.state_root));
    element(row, "td", {}, millis(total(block)));
    drawStages(element(row, "td", { class: "left" }), block, longest);
    const remarks = [];
    if (!block.converged) remarks.push("π did not converge");
    if (block.failed) remarks.push(`${count(block.failed)} transactions failed`);
    if (remarks.length) row.title = remarks.join(", ");
  }
  byId("blocks-empty").hidden = state.blocks.length > 0;
  const legend = byId("stages");
  clear(legend);
  for (const name of state.stages) {
    const item = element(legend, "li");
    element(element(item, "svg", { viewBox: "0 0 10 10" }), "rect", { width: 10, height: 10, class: stageClass(name) });
    item.appendChild(document.createTextNode(name));
  }
}

function drawStages(cell, block, longest) {
  const svg = element(cell, "svg", { viewBox: "0 0 1000 10", preserveAspectRatio: "none" });
  let x = 0;
  for (const stage of block.stages) {
    const width = (stage.micros / longest) * 1000;
    const part = element(svg, "rect", { x, y: 0, width, height: 10, class: `stage ${stageClass(stage.name)}` });
    element(part, "title", {}, `${stage.name} ${millis(stage.micros)} ms`);
    x += width;
  }
}

// An SVG whose user units are CSS pixels at its present width.
function canvas(id, height) {
  const svg = byId(id);
  clear(svg);
  const width = Math.max(240, Math.floor(svg.parentNode.clientWidth - 2 * parseFloat(getComputedStyle(svg.parentNode).paddingLeft)));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return { svg, width, height };
}

function drawTop() {
  const empty = state.top.length === 0;
  byId("top-empty").hidden = !empty;
  byId("top").toggleAttribute("hidden", empty);
  if (empty) return;
  const line = 25;
  const { svg, width } = canvas("top", state.top.length * line);
  const labels = Math.min(190, Math.floor(width * 0.36));
  const values = 62;
  const room = width - labels - values - 10;
  const most = state.top[0].pi || 1;
  state.top.forEach((particle, index) => {
    const y = index * line;
    const label = element(svg, "text", { x: 0, y: y + 16 }, fit(particle.label, labels - 8, 7));
    element(label, "title", {}, `${particle.label}\n${particle.id}\n${particle.units} of 2^62`);
    element(svg, "rect", { x: labels, y: y + 4, width: room, height: 15, rx: 3, class: "track" });
    const bar = Math.max(1, (particle.pi / most) * room);
    element(svg, "rect", { x: labels, y: y + 4, width: bar, height: 15, rx: 3, class: "bar" });
    element(svg, "text", { x: width, y: y + 16, "text-anchor": "end" }, percent(particle.pi));
  });
}

function drawResidual() {
  const block = state.blocks.find((b) => b.residuals.some((r) => r > 0));
  byId("residual-empty").hidden = Boolean(block);
  byId("residual").toggleAttribute("hidden", !block);
  byId("residual-block").textContent = block ? `block ${count(block.height)}, share of the mass` : "";
  if (!block) return;
  const points = block.residuals.map((r, i) => [i + 1, r]).filter(([, r]) => r > 0);
  const { svg, width, height } = canvas("residual", 210);
  const box = { left: 40, right: width - 10, top: 8, bottom: height - 24 };
  const logs = points.map(([, r]) => Math.log10(r));
  const high = Math.ceil(Math.max(...logs));
  const low = Math.min(high - 1, Math.floor(Math.min(...logs)));
  const last = Math.max(2, block.residuals.length);
  const px = (i) => box.left + ((i - 1) / (last - 1)) * (box.right - box.left);
  const py = (log) => box.top + ((high - log) / (high - low)) * (box.bottom - box.top);
  const step = Math.max(1, Math.ceil((high - low) / 6));
  for (let power = high; power >= low; power -= step) {
    element(svg, "path", { class: "axis", d: `M${box.left} ${py(power)}H${box.right}` });
    element(svg, "text", { class: "soft", x: box.left - 6, y: py(power) + 4, "text-anchor": "end" }, power === 0 ? "1" : `1e${power}`);
  }
  const every = Math.max(1, Math.ceil(last / Math.max(4, Math.floor(width / 60))));
  for (let i = 1; i <= last; i += every) {
    element(svg, "text", { class: "soft", x: px(i), y: height - 6, "text-anchor": "middle" }, i);
  }
  const path = points.map(([i, r], n) => `${n ? "L" : "M"}${px(i).toFixed(1)} ${py(Math.log10(r)).toFixed(1)}`).join("");
  const ends = `L${px(points[points.length - 1][0]).toFixed(1)} ${box.bottom}L${px(points[0][0]).toFixed(1)} ${box.bottom}Z`;
  element(svg, "path", { class: "area", d: path + ends });
  element(svg, "path", { class: "curve", d: path });
  if (points.length <= 80) {
    for (const [i, r] of points) {
      const dot = element(svg, "circle", { class: "dot", cx: px(i), cy: py(Math.log10(r)), r: 3 });
      element(dot, "title", {}, `iteration ${i}: ${r.toExponential(3)}`);
    }
  }
}

function drawMemory() {
  const memory = state.memory;
  const most = memory ? memory.counts.reduce((a, b) => Math.max(a, b), 0) : 0;
  byId("memory-empty").hidden = most > 0;
  byId("memory-note").hidden = !memory;
  byId("memory").toggleAttribute("hidden", !memory);
  if (!memory) return;
  const shards = Math.min(memory.shards, MAX_SHARDS);
  const left = 26;
  const probe = byId("memory").parentNode;
  const inner = Math.max(240, probe.clientWidth - 2 * parseFloat(getComputedStyle(probe).paddingLeft));
  const size = (inner - left) / memory.slots;
  const tall = Math.max(size, 7);
  const band = memory.layers * tall + 8;
  const { svg } = canvas("memory", Math.max(1, shards * band));
  for (let shard = 0; shard < shards; shard++) {
    const top = shard * band;
    element(svg, "text", { class: "soft", x: 0, y: top + (memory.layers * tall) / 2 + 4 }, `s${shard}`);
    for (let layer = 0; layer < memory.layers; layer++) {
      for (let slot = 0; slot < memory.slots; slot++) {
        const n = memory.counts[(shard * memory.layers + layer) * memory.slots + slot];
        const place = { x: left + slot * size, y: top + layer * tall, width: Math.max(1, size - 1), height: tall - 1, rx: 1 };
        const cell = element(svg, "rect", { ...place, class: n ? "cell heat" : "cell" });
        if (n) {
          cell.setAttribute("fill-opacity", (0.25 + 0.75 * Math.sqrt(n / most)).toFixed(3));
          element(cell, "title", {}, `shard ${shard}, layer ${layer}, slot ${slot}: ${count(n)}`);
        }
      }
    }
  }
  const more = memory.shards > shards ? `, the first ${shards} of ${memory.shards} shards` : "";
  byId("memory-note").textContent =
    `${memory.slots} slots across, ${memory.layers} layers down per shard${more}` + (most ? `; busiest slot ${count(most)}` : "");
}

function draw(fresh) {
  drawTiles();
  drawBlocks(fresh);
  drawTop();
  drawResidual();
  drawMemory();
}

async function refresh() {
  if (refreshing) return;
  refreshing = true;
  try {
    const response = await fetch("/dashboard", { cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const answer = await response.json();
    if (state.health && state.health.genesis_hash !== answer.health.genesis_hash) state.blocks = [];
    state.health = answer.health;
    state.top = answer.top;
    state.memory = answer.memory;
    for (const block of [...answer.blocks].reverse()) addBlock(block);
    draw();
  } catch (error) {
    // The event stream tells whether the node is there; the next event or reconnection reads again.
    console.warn("dashboard", error);
  } finally {
    refreshing = false;
  }
}

function refreshSoon() {
  if (refreshTimer !== null) return;
  refreshTimer = setTimeout(() => {
    refreshTimer = null;
    refresh();
  }, REFRESH_MS);
}

function addBlock(block) {
  const known = state.blocks.findIndex((b) => b.height === block.height);
  if (known >= 0) state.blocks[known] = block;
  else state.blocks.push(block);
  state.blocks.sort((a, b) => b.height - a.height);
  state.blocks.length = Math.min(state.blocks.length, KEPT);
}

// The server ends streams now and then; only a failed reconnection counts as a loss.
let failures = 0;

function connect() {
  const source = new EventSource("/events");
  source.onopen = () => {
    failures = 0;
    setLink("live", "live");
    refresh();
  };
  source.addEventListener("block", (event) => {
    const block = JSON.parse(event.data);
    addBlock(block);
    drawTiles();
    drawBlocks(block.height);
    drawResidual();
    refreshSoon();
  });
  source.onerror = () => {
    source.close();
    failures += 1;
    if (failures > 1) setLink("lost", "connection lost, retrying");
    setTimeout(connect, Math.min(250 * 2 ** failures, 8000));
  };
}

let drawnWidth = document.body.clientWidth;
new ResizeObserver(() => {
  if (document.body.clientWidth === drawnWidth) return;
  drawnWidth = document.body.clientWidth;
  draw();
}).observe(document.body);
draw();
refresh();
connect();

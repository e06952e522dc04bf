"use strict";
// SVG drawn from the embedded numbers; colours come from the style sheet, so that both themes work.
const SVG = "http://www.w3.org/2000/svg";
const BOX = { width: 520, height: 320, left: 62, right: 14, top: 14, bottom: 44 };
const MARKS = ["circle", "square", "diamond", "up", "down", "plus", "cross", "star"];

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function shown(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-4 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

function ticks(low, high, most) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high + step * 1e-9; k++) found.push(k * step);
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const digit of [1, 2, 5]) found.push(digit * 10 ** power);
  return found.filter((value) => value >= low && value <= high);
}

function padded(values, share) {
  const low = Math.min(...values), high = Math.max(...values);
  const room = (high - low || Math.abs(high) || 1) * share;
  return [low - room, high + room];
}

function scale([low, high], from, to, log) {
  const place = log ? Math.log : (x) => x;
  return (x) => from + ((place(x) - place(low)) / (place(high) - place(low))) * (to - from);
}

// An empty frame with axes; `x` and `y` are {range, ticks, label, log}.
function frame(title, x, y) {
  const svg = element("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "img", "aria-label": title });
  svg.append(element("title", {}, title));
  const right = BOX.width - BOX.right, bottom = BOX.height - BOX.bottom;
  const toX = scale(x.range, BOX.left, right, x.log), toY = scale(y.range, bottom, BOX.top);
  for (const tick of y.ticks) {
    svg.append(element("line", { class: "grid", x1: BOX.left, x2: right, y1: toY(tick), y2: toY(tick) }));
    svg.append(element("text", { x: BOX.left - 6, y: toY(tick) + 4, "text-anchor": "end" }, shown(tick)));
  }
  for (const tick of x.ticks) {
    svg.append(element("line", { class: "axis", x1: toX(tick), x2: toX(tick), y1: bottom, y2: bottom + 4 }));
    svg.append(element("text", { x: toX(tick), y: bottom + 17, "text-anchor": "middle" }, shown(tick)));
  }
  svg.append(element("line", { class: "axis", x1: BOX.left, x2: right, y1: bottom, y2: bottom }));
  svg.append(element("text", { x: (BOX.left + right) / 2, y: BOX.height - 8, "text-anchor": "middle" }, x.label));
  const middle = (BOX.top + bottom) / 2;
  svg.append(element("text", { x: 13, y: middle, "text-anchor": "middle", transform: `rotate(-90 13 ${middle})` }, y.label));
  return { svg, toX, toY };
}

function mark(kind, x, y, r) {
  const at = (points) => element("polygon", { points: points.map(([a, b]) => `${x + a * r},${y + b * r}`).join(" ") });
  if (kind === "square") return at([[-.9, -.9], [.9, -.9], [.9, .9], [-.9, .9]]);
  if (kind === "diamond") return at([[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]]);
  if (kind === "up") return at([[0, -1.2], [1.1, .9], [-1.1, .9]]);
  if (kind === "down") return at([[0, 1.2], [1.1, -.9], [-1.1, -.9]]);
  if (kind === "plus") return at([[-.4, -1.2], [.4, -1.2], [.4, -.4], [1.2, -.4], [1.2, .4], [.4, .4], [.4, 1.2], [-.4, 1.2], [-.4, .4], [-1.2, .4], [-1.2, -.4], [-.4, -.4]]);
  if (kind === "cross") return at([[-1.1, -.7], [-.7, -1.1], [0, -.4], [.7, -1.1], [1.1, -.7], [.4, 0], [1.1, .7], [.7, 1.1], [0, .4], [-.7, 1.1], [-1.1, .7], [-.4, 0]]);
  if (kind === "star") return at([[0, -1.3], [.35, -.35], [1.3, 0], [.35, .35], [0, 1.3], [-.35, .35], [-1.3, 0], [-.35, -.35]]);
  return element("circle", { cx: x, cy: y, r });
}

// `rows` are [{index, label, mean, low, high, skill, dashed}].
function leadChart(rows, metric, asSkill, reference) {
  const key = asSkill ? "skill" : "mean";
  const drawn = rows.filter((row) => row[key] && row[key].some((v) => v !== null));
  if (!drawn.length) return element("svg", { viewBox: "0 0 1 1", role: "img", "aria-label": "nothing to show" });
  const values = drawn.flatMap((row) => asSkill ? [...row.skill, 0] : [...row.mean, ...(row.low || []), ...(row.high || [])]);
  const y = padded(values.filter((v) => v !== null), 0.06), steps = Math.max(...drawn.map((row) => row[key].length));
  const whole = ticks(1, Math.max(steps, 2), Math.min(steps, 10)).filter((tick) => Number.isInteger(tick) && tick <= steps);
  const label = asSkill ? `1 − ${metric} / that of ${reference}` : metric;
  const { svg, toX, toY } = frame(`${label} by lead time`, { range: [0.8, steps + 0.2], ticks: whole, label: "lead time (frames)" }, { range: y, ticks: ticks(...y, 6), label });
  if (asSkill) svg.append(element("line", { class: "axis", x1: toX(0.8), x2: toX(steps + 0.2), y1: toY(0), y2: toY(0), "stroke-dasharray": "4 3" }));
  for (const row of drawn) {
    const group = element("g", { class: `c${row.index % 8}`, "data-label": row.label });
    group.append(element("title", {}, row.label));
    const points = row[key].map((v, t) => v === null ? null : [toX(t + 1), toY(v)]).filter(Boolean);
    if (!asSkill && row.low && row.high) {
      const edge = [...row.high.map((v, t) => `${toX(t + 1)},${toY(v)}`), ...row.low.map((v, t) => `${toX(t + 1)},${toY(v)}`).reverse()];
      group.append(element("polygon", { class: "band", points: edge.join(" ") }));
    }
    const line = { class: "series", points: points.join(" "), stroke: "currentColor" };
    if (row.dashed) line["stroke-dasharray"] = "6 4";
    group.append(element("polyline", line), ...points.map(([a, b]) => mark(MARKS[row.index % 8], a, b, 4)));
    svg.append(group);
  }
  return svg;
}

// `rows` are [{index, label, seconds, parameters, count, mean, std}].
function costChart(rows, metric) {
  const known = rows.filter((row) => row.mean !== null && row.mean !== undefined), timed = known.filter((row) => row.seconds);
  if (!known.length) return element("svg", { viewBox: "0 0 1 1", role: "img", "aria-label": "nothing to show" });
  const y = padded(known.flatMap((row) => [row.mean - (row.std || 0), row.mean + (row.std || 0)]), 0.12);
  const seconds = timed.length ? timed.map((row) => row.seconds) : [1];
  const x = [Math.min(...seconds) / 1.6, Math.max(...seconds) * 1.6];
  const { svg, toX, toY } = frame(`${metric} against training seconds per epoch`, { range: x, ticks: logTicks(...x), label: "training seconds per epoch (log)", log: true }, { range: y, ticks: ticks(...y, 6), label: metric });
  const taken = [];
  const free = (x, y, text) => {
    const width = 6.2 * text.length;
    while (taken.some((box) => Math.abs(box.y - y) < 13 && x < box.x + box.width && box.x < x + width)) y += 13;
    taken.push({ x, y, width });
    return y;
  };
  for (const row of [...known].sort((one, other) => toY(one.mean) - toY(other.mean))) {
    const group = element("g", { class: `c${row.index % 8}`, "data-label": row.label });
    const height = toY(row.mean);
    group.append(element("title", {}, `${row.label}: ${row.mean}, ${row.count} parameters`));
    if (row.seconds) {
      const at = toX(row.seconds), radius = 4 + 2.2 * Math.log10(Math.max(row.parameters, 1000) / 1000);
      if (row.std) group.append(element("line", { stroke: "currentColor", x1: at, x2: at, y1: toY(row.mean - row.std), y2: toY(row.mean + row.std) }));
      const bubble = mark(MARKS[row.index % 8], at, height, radius);
      bubble.setAttribute("fill-opacity", "0.75");
      const left = at > BOX.width * 0.6, away = radius * 1.4 + 3;
      const start = left ? at - away - 6.2 * row.label.length : at + away;
      group.append(bubble, element("text", { class: "halo", x: left ? at - away : at + away, y: free(start, height + 4, row.label), "text-anchor": left ? "end" : "start" }, row.label));
    } else {
      group.append(element("line", { stroke: "currentColor", "stroke-dasharray": "6 4", x1: BOX.left, x2: BOX.width - BOX.right, y1: height, y2: height }));
      const name = `${row.label} (untrained)`, end = BOX.width - BOX.right - 4;
      group.append(element("text", { class: "halo", x: end, y: free(end - 6.2 * name.length, height - 5, name), "text-anchor": "end" }, name));
    }
    svg.append(group);
  }
  return svg;
}

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
  for (const [factor, prefix] of [[1e12, " T"], [1e9, " G"], [1e6, " M"]])
    if (size >= factor) return `${Number((value / factor).toPrecision(3))}${prefix}`;
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
  const inside = found.filter((value) => value >= low && value <= high);
  return inside.length > 1 ? inside : ticks(low, high, 4);
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

// Puts a label beside its bubble where neither another label nor a bubble is; `boxes` are [left, top, right, bottom].
function placer(boxes) {
  const hits = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
  const inside = (box) => box[0] >= BOX.left && box[2] <= BOX.width - BOX.right && box[1] >= 0 && box[3] <= BOX.height - BOX.bottom;
  return (x, y, radius, text) => {
    const width = 6.6 * text.length, away = radius * 1.4 + 3;
    const corners = [[x + away, y - 7], [x - away - width, y - 7], [x - width / 2, y - away - 12], [x - width / 2, y + away - 2]];
    const spots = corners.map(([left, top]) => [left, top, left + width, top + 14]);
    const free = spots.find((spot) => inside(spot) && !boxes.some((box) => hits(spot, box))) || spots.find(inside) || spots[0];
    boxes.push(free);
    return { x: free[0] + width / 2, y: free[1] + 11 };
  };
}

// `rows` are [{index, label, trained, costs, parameters, count, mean, std}]; `cost` is {key, label}, a key of `costs`.
function costChart(rows, metric, cost) {
  const known = rows.filter((row) => row.mean !== null && row.mean !== undefined);
  const placed = known.filter((row) => row.trained && row.costs[cost.key]);
  if (!known.length) return element("svg", { viewBox: "0 0 1 1", role: "img", "aria-label": "nothing to show" });
  const y = padded(known.flatMap((row) => [row.mean - (row.std || 0), row.mean + (row.std || 0)]), 0.12);
  const costs = placed.length ? placed.map((row) => row.costs[cost.key]) : [1];
  const x = [Math.min(...costs) / 1.6, Math.max(...costs) * 1.6];
  const { svg, toX, toY } = frame(`${metric} against ${cost.label}`, { range: x, ticks: logTicks(...x), label: `${cost.label} (log)`, log: true }, { range: y, ticks: ticks(...y, 6), label: metric });
  const radius = (row) => 4 + 2.2 * Math.log10(Math.max(row.parameters, 1000) / 1000);
  const place = placer(placed.map((row) => [[-1, -1], [1, 1]].flatMap(([a, b]) => [toX(row.costs[cost.key]) + a * radius(row), toY(row.mean) + b * radius(row)])));
  for (const row of known) {
    const group = element("g", { class: `c${row.index % 8}`, "data-label": row.label }), height = toY(row.mean);
    group.append(element("title", {}, `${row.label}: ${row.mean}, ${row.count} parameters`));
    if (placed.includes(row)) {
      const at = toX(row.costs[cost.key]), bubble = mark(MARKS[row.index % 8], at, height, radius(row));
      bubble.setAttribute("fill-opacity", "0.75");
      group.append(bubble);
      if (row.std) group.append(element("line", { class: "spread", x1: at, x2: at, y1: toY(row.mean - row.std), y2: toY(row.mean + row.std) }));
      group.append(element("text", { class: "halo", ...place(at, height, radius(row), row.label), "text-anchor": "middle" }, row.label));
    } else if (!row.trained) {
      group.append(element("line", { stroke: "currentColor", "stroke-dasharray": "6 4", x1: BOX.left, x2: BOX.width - BOX.right, y1: height, y2: height }));
      const name = `${row.label} (untrained)`, spot = place(BOX.width - BOX.right - 3.3 * name.length - 2, height, 2, name);
      group.append(element("text", { class: "halo", ...spot, "text-anchor": "middle" }, name));
    }
    svg.append(group);
  }
  return svg;
}

// Sorting, filtering, figures and the sample player of every section.
const ALL = JSON.parse(document.getElementById("data").textContent);
const FRAME_MS = 350;

function sortable(section) {
  const body = section.querySelector(".scores tbody");
  section.querySelectorAll(".scores thead th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      section.querySelectorAll(".scores thead th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.value;
      const rows = [...body.rows].sort((one, other) => {
        const a = value(one), b = value(other);
        if (head.dataset.key === "label") return up ? a.localeCompare(b) : b.localeCompare(a);
        const [x, y] = [a, b].map((text) => text === "" || text === "nan" ? NaN : Number(text.replace("inf", "Infinity")));
        if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
        return x === y ? 0 : up === x < y ? -1 : 1;
      });
      body.append(...rows);
    });
  });
}

function numbersTable(rows, key) {
  const table = document.createElement("table");
  table.className = "plain";
  const steps = Math.max(...rows.map((row) => (row[key] || []).length), 0);
  const line = (cells, tag) => {
    const made = document.createElement("tr");
    cells.forEach((text, place) => {
      const cell = document.createElement(place === 0 || tag === "th" ? "th" : "td");
      cell.scope = tag === "th" ? "col" : place === 0 ? "row" : "";
      cell.textContent = text;
      made.append(cell);
    });
    return made;
  };
  table.createTHead().append(line(["method", ...Array.from({ length: steps }, (_, t) => `t = ${t + 1}`)], "th"));
  const body = table.createTBody();
  for (const row of rows.filter((r) => r[key]))
    body.append(line([row.label, ...row[key].map((v, t) => v === null ? "–" : shown(v) + (key === "mean" && row.low ? ` (${shown(row.low[t])} to ${shown(row.high[t])}${row.test_noise_only ? ", test noise only" : ""})` : ""))], "td"));
  return table;
}

class Player {
  constructor(root, clips, rows) {
    Object.assign(this, { root, clips, rows, clip: 0, frame: 0, timer: null });
    this.tiles = root.querySelector("[data-tiles]");
    this.range = root.querySelector("[data-frame]");
    this.play = root.querySelector("[data-play]");
    this.range.max = clips.t_in + clips.t_out - 1;
    const choice = root.querySelector("[data-clip]");
    clips.items.forEach((item, place) => choice.add(new Option(`test clip ${item.index}`, place)));
    choice.addEventListener("change", () => { this.clip = Number(choice.value); this.load(); });
    this.range.addEventListener("input", () => { this.stop(); this.show(Number(this.range.value)); });
    root.querySelectorAll("[data-step]").forEach((button) =>
      button.addEventListener("click", () => { this.stop(); this.show(this.frame + Number(button.dataset.step)); }));
    this.play.addEventListener("click", () => this.timer === null ? this.start() : this.stop());
    this.load();
  }

  load() {
    const item = this.clips.items[this.clip];
    const sources = [["truth", null, item.truth], ...this.rows.filter((row) => item.rows[row.label]).map((row) => [row.label, row.id, item.rows[row.label]])];
    this.past = new Image();
    this.views = sources.map(([name, id, uri]) => this.tile(name, id, uri));
    this.tiles.replaceChildren(...this.views.map((view) => view.figure));
    const pictures = [this.past, ...this.views.map((view) => view.picture)];
    pictures.forEach((picture) => picture.addEventListener("load", () => this.show(this.frame)));
    this.past.src = item.past;
    this.filter();
  }

  tile(name, id, uri) {
    const figure = document.createElement("figure"), canvas = document.createElement("canvas");
    const caption = document.createElement("figcaption"), picture = new Image();
    figure.className = "tile";
    if (id) figure.dataset.row = id;
    canvas.width = this.clips.width;
    canvas.height = this.clips.height;
    canvas.setAttribute("role", "img");
    caption.textContent = name;
    figure.append(canvas, caption);
    picture.src = uri;
    return { name, figure, canvas, picture };
  }

  show(frame) {
    const { t_in, t_out, width, height } = this.clips, length = t_in + t_out;
    this.frame = (frame + length) % length;
    const lead = this.frame - t_in;
    const text = lead < 0 ? `input, t = ${lead + 1}` : `prediction, t = ${lead + 1}`;
    for (const view of this.views) {
      const picture = lead < 0 ? this.past : view.picture, row = lead < 0 ? this.frame : lead;
      if (picture.complete && picture.naturalWidth)
        view.canvas.getContext("2d").drawImage(picture, 0, row * height, width, height, 0, 0, width, height);
      view.canvas.setAttribute("aria-label", `${view.name}, ${text}`);
    }
    this.range.value = this.frame;
    this.range.setAttribute("aria-valuetext", text);
    this.root.querySelector("[data-time]").textContent = text;
  }

  start() {
    this.play.textContent = "Pause";
    this.root.querySelector("[data-time]").setAttribute("aria-live", "off");
    this.timer = setInterval(() => this.show(this.frame + 1), FRAME_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = "Play";
    this.root.querySelector("[data-time]").setAttribute("aria-live", "polite");
  }

  filter(visible) {
    this.visible = visible || this.visible;
    if (!this.visible) return;
    for (const view of this.views) if (view.figure.dataset.row) view.figure.hidden = !this.visible.has(view.figure.dataset.row);
  }
}

function section(data) {
  const root = document.getElementById(data.id), find = (what) => root.querySelector(what);
  const boxes = [...root.querySelectorAll(".filter [data-row]")], search = find("[data-filter]");
  const player = data.clips ? new Player(find(".player"), data.clips, data.rows) : null;
  const update = () => {
    const wanted = search.value.trim().toLowerCase();
    const labels = new Map(data.rows.map((row) => [row.id, row.label.toLowerCase()]));
    const visible = new Set(boxes.filter((box) => box.checked && labels.get(box.dataset.row).includes(wanted)).map((box) => box.dataset.row));
    root.querySelectorAll(".scores tbody tr").forEach((row) => { row.hidden = !visible.has(row.dataset.row); });
    find("[data-count]").textContent = `${visible.size} of ${boxes.length} shown`;
    const cost = find("[data-cost]"), metric = find("[data-metric]").value, lead = data.lead[metric], skill = find("[data-skill]").checked;
    const rows = data.rows.map((row, index) => ({ ...row, index })).filter((row) => visible.has(row.id));
    const lines = rows.filter((row) => lead.rows[row.label]).map((row) => ({ ...row, ...lead.rows[row.label], dashed: row.label === lead.reference }));
    find('[data-chart="lead"]').replaceChildren(leadChart(lines, metric, skill, lead.reference));
    find("[data-numbers]").replaceChildren(numbersTable(lines, skill ? "skill" : "mean"));
    find('[data-chart="cost"]').replaceChildren(costChart(rows.map((row) => ({ ...row, ...row.cells[metric] })), metric, { key: cost.value, label: cost.selectedOptions[0].textContent }));
    if (player) player.filter(visible);
  };
  for (const input of [...boxes, search, find("[data-metric]"), find("[data-skill]"), find("[data-cost]")]) input.addEventListener("input", update);
  root.querySelectorAll(".filter .key").forEach((key, index) => {
    key.replaceChildren(mark(MARKS[index % 8], 6, 6, 4.5));
    key.classList.add(`c${index % 8}`);
  });
  find("[data-skill]").parentElement.hidden = !Object.values(data.lead).some((lead) => lead.reference);
  sortable(root);
  update();
}

function theme() {
  const button = document.getElementById("theme"), root = document.documentElement;
  const set = (dark) => {
    root.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
  };
  set(matchMedia("(prefers-color-scheme: dark)").matches);
  button.addEventListener("click", () => set(root.dataset.theme !== "dark"));
}

// A value leads to the runs behind it: open them where there is only one.
function openTarget() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  const runs = target ? target.querySelectorAll("details.run") : [];
  if (runs.length === 1) runs[0].open = true;
}

theme();
ALL.forEach(section);
addEventListener("hashchange", openTarget);
openTarget();

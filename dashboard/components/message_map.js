const DIMMED = 0.13, OPACITY = 0.92;
const MARGIN = 26, CLICK_PX = 4, REACH_PX = 10;
const MOST_LABELS = 40;
const STAMP = 16;
const SHOWN_SIZES = [[1, 6], [100, 12], [10000, 18]]; // lines of a message and its diameter

const SHAPES = {
  circle: (pen, r) => pen.arc(0, 0, r, 0, 2 * Math.PI),
  square: (pen, r) => pen.rect(-0.86 * r, -0.86 * r, 1.72 * r, 1.72 * r),
  diamond: (pen, r) => corners(pen, 4, () => 1.15 * r),
  triangle: (pen, r) => corners(pen, 3, () => 1.25 * r),
  star: (pen, r) => corners(pen, 10, (i) => (i % 2 ? 0.55 : 1.3) * r),
  cross: (pen, r) => { pen.rect(-r, -r / 3, 2 * r, 2 * r / 3); pen.rect(-r / 3, -r, 2 * r / 3, 2 * r); },
};

function corners(pen, n, radius) {
  for (let i = 0; i < n; i += 1) {
    const turn = (2 * Math.PI * i) / n - Math.PI / 2;
    pen.lineTo(Math.cos(turn) * radius(i), Math.sin(turn) * radius(i));
  }
  pen.closePath();
}

function inside(path, x, y) {
  let within = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i, i += 1) {
    const [xi, yi] = path[i], [xj, yj] = path[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) within = !within;
  }
  return within;
}

class MessageMap {
  constructor(root) {
    this.root = root;
    for (const name of ["points", "over", "tip", "legend", "clusters", "paper", "said"]) this[name] = root.querySelector(`.${name}`);
    this.mode = "lasso";
    this.hidden = new Set(); // categories not drawn
    this.chosen = new Set(); // rows
    this.view = { zoom: 1, x: 0, y: 0 }; // what lies in the middle
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.paper);
  }

  update(bytes, send) {
    this.send = send;
    const stamp = String.fromCharCode(...bytes.subarray(0, STAMP));
    const style = getComputedStyle(this.root);
    const theme = style.getPropertyValue("--st-background-color") + style.getPropertyValue("--st-text-color");
    if (stamp === this.stamp && theme === this.theme) return;
    const data = JSON.parse(new TextDecoder().decode(bytes.subarray(STAMP)));
    const same = this.data && this.data.x.length === data.x.length && data.x.every((x, i) => x === this.data.x[i]);
    [this.stamp, this.theme, this.data] = [stamp, theme, data];
    if (!same) this.view = { zoom: 1, x: 0, y: 0 };
    this.hidden.clear();
    this.colours = style.getPropertyValue("--st-chart-categorical-colors").split(",").map((colour) => colour.trim());
    this.ink = style.getPropertyValue("--st-text-color");
    this.paperColour = style.getPropertyValue("--st-background-color");
    this.accent = style.getPropertyValue("--st-primary-color");
    this.font = style.getPropertyValue("--st-font") || "sans-serif";
    this.sprites = new Map();
    const row = new Map(data.ids.map((id, i) => [id, i]));
    this.chosen = new Set(data.chosen.map((id) => row.get(id)).filter((i) => i !== undefined));
    this.groups = this.clustered();
    this.over.setAttribute("aria-label", data.summary);
    this.drawAll();
  }

  // The clusters: those with the most flagged points first.
  clustered() {
    const { cluster, flagged, x, y, titles } = this.data;
    const groups = new Map();
    cluster.forEach((name, i) => {
      if (!groups.has(name)) groups.set(name, { name, title: titles[name] ?? "In no cluster", rows: [], n_flagged: 0, x: 0, y: 0, low: Infinity, high: -Infinity });
      const group = groups.get(name);
      group.rows.push(i);
      group.n_flagged += flagged[i];
      group.x += x[i];
      group.y += y[i];
      group.low = Math.min(group.low, y[i]);
      group.high = Math.max(group.high, y[i]);
    });
    return [...groups.values()].map((group) => ({ ...group, x: group.x / group.rows.length, y: group.y / group.rows.length }))
      .sort((a, b) => (a.name < 0) - (b.name < 0) || b.n_flagged - a.n_flagged || b.rows.length - a.rows.length);
  }

  // ---- places

  measure() {
    const { width, height } = this.paper.getBoundingClientRect();
    const { x, y } = this.data;
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let i = 0; i < x.length; i += 1) {
      left = Math.min(left, x[i]); right = Math.max(right, x[i]);
      low = Math.min(low, y[i]); high = Math.max(high, y[i]);
    }
    const fit = Math.min((width - 2 * MARGIN) / Math.max(right - left, 1e-6), (height - 2 * MARGIN) / Math.max(high - low, 1e-6));
    const scale = this.view.zoom * Math.min(fit, 1e6);
    const middle = [(left + right) / 2 + this.view.x, (low + high) / 2 + this.view.y];
    this.at = { width, height, scale, middle };
  }

  px(x) { return this.at.width / 2 + (x - this.at.middle[0]) * this.at.scale; }
  py(y) { return this.at.height / 2 - (y - this.at.middle[1]) * this.at.scale; }

  // The view after a zoom that leaves the place under (x, y) where it is.
  zoom(by, x = this.at.width / 2, y = this.at.height / 2) {
    if (!by) this.view = { zoom: 1, x: 0, y: 0 };
    else {
      const zoom = Math.min(200, Math.max(0.5, this.view.zoom * by));
      const turn = (1 / this.at.scale) * (1 - this.view.zoom / zoom);
      this.view = { zoom, x: this.view.x + (x - this.at.width / 2) * turn, y: this.view.y - (y - this.at.height / 2) * turn };
    }
    this.draw();
  }

  move(dx, dy) {
    this.view = { ...this.view, x: this.view.x - dx / this.at.scale, y: this.view.y + dy / this.at.scale };
    this.draw();
  }

  // ---- drawing

  drawAll() {
    this.drawBar();
    this.drawLegend();
    this.drawClusters();
    this.draw();
  }

  draw() {
    if (!this.data || !this.paper.isConnected || !this.paper.clientWidth) return;
    this.measure();
    const { width, height } = this.at;
    const pen = penOf(this.points, width, height, this.font);
    const { x, y, size, flagged, found, colour } = this.data;
    const some = this.chosen.size > 0;
    for (let i = 0; i < x.length; i += 1) {
      if (this.isHidden(i)) continue;
      const left = this.px(x[i]), top = this.py(y[i]);
      if (left < -30 || top < -30 || left > width + 30 || top > height + 30) continue;
      pen.globalAlpha = (some ? this.chosen.has(i) : !found || found[i]) ? OPACITY : DIMMED;
      const sprite = this.sprite(colour.codes[i], size[i], flagged[i]);
      pen.drawImage(sprite.canvas, left - sprite.half, top - sprite.half, 2 * sprite.half, 2 * sprite.half);
    }
    pen.globalAlpha = 1;
    this.drawLabels(pen);
    this.drawPlaced(pen);
    this.drawOver();
  }

  isHidden(i) { return this.hidden.has(this.data.colour.marks ? this.data.colour.codes[i] : this.data.flagged[i]); }

  // A point of this look, drawn once.
  sprite(code, size, flagged) {
    const key = `${code} ${size} ${flagged}`;
    if (this.sprites.has(key)) return this.sprites.get(key);
    const { marks, ramp, states } = this.data.colour;
    const ringed = marks && flagged && !states;
    const half = size * 0.7 + 3, ratio = devicePixelRatio || 1;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = Math.ceil(2 * half * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(canvas.width / (2 * half), canvas.width / (2 * half));
    pen.translate(half, half);
    pen.beginPath();
    SHAPES[marks ? marks[code].symbol : flagged ? "triangle" : "circle"](pen, size / 2);
    pen.fillStyle = marks ? this.colours[marks[code].place] : ramp[code];
    pen.fill();
    pen.lineWidth = ringed ? 2 : 0.6;
    pen.strokeStyle = ringed ? this.colours[1] : marks ? this.paperColour : this.ink;
    pen.stroke();
    this.sprites.set(key, { canvas, half });
    return this.sprites.get(key);
  }

  // Titles of the largest clusters, as many as stand beside each other.
  drawLabels(pen) {
    const taken = [];
    pen.font = `600 12px ${this.font}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    const groups = this.groups.filter((group) => group.name >= 0).sort((a, b) => b.rows.length - a.rows.length);
    for (const group of groups) {
      const left = this.px(group.x), edge = this.py(group.high);
      // Over a small cluster, in the midst of a large one.
      const top = this.py(group.low) - edge < 90 ? Math.max(edge - 14, 10) : this.py(group.y);
      const half = pen.measureText(group.title).width / 2 + 6;
      if (left < 0 || top < 8 || left > this.at.width || top > this.at.height - 8) continue;
      const middle = Math.min(Math.max(left, half), this.at.width - half);
      const box = [middle - half, top - 10, middle + half, top + 10];
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      pen.lineWidth = 4;
      pen.strokeStyle = this.paperColour;
      pen.strokeText(group.title, middle, top);
      pen.fillStyle = this.ink;
      pen.fillText(group.title, middle, top);
      if (taken.length >= MOST_LABELS) break;
    }
  }

  // New lines: numbered crosses, in a dashed ring where they are far from everything.
  drawPlaced(pen) {
    pen.font = `600 12px ${this.font}`;
    pen.textAlign = "left";
    this.data.placed.forEach((line, i) => {
      const left = this.px(line.x), top = this.py(line.y);
      for (const [width, colour] of [[6, this.paperColour], [3, this.accent]]) {
        pen.lineWidth = width;
        pen.strokeStyle = colour;
        pen.beginPath();
        pen.moveTo(left - 7, top); pen.lineTo(left + 7, top);
        pen.moveTo(left, top - 7); pen.lineTo(left, top + 7);
        pen.stroke();
      }
      if (line.far) {
        pen.lineWidth = 1.5;
        pen.setLineDash([3, 3]);
        pen.beginPath();
        pen.arc(left, top, 12, 0, 2 * Math.PI);
        pen.stroke();
        pen.setLineDash([]);
      }
      if (i >= 50) return; // numbers of more would cover the map
      pen.lineWidth = 4;
      pen.strokeStyle = this.paperColour;
      pen.strokeText(String(i + 1), left + 9, top - 9);
      pen.fillStyle = this.ink;
      pen.fillText(String(i + 1), left + 9, top - 9);
    });
  }

  drawOver() {
    const pen = penOf(this.over, this.at.width, this.at.height, this.font);
    if (!this.path || this.mode !== "lasso") return;
    pen.beginPath();
    this.path.forEach(([x, y]) => pen.lineTo(x, y));
    pen.closePath();
    pen.fillStyle = this.accent;
    pen.globalAlpha = 0.12;
    pen.fill();
    pen.globalAlpha = 1;
    pen.strokeStyle = this.accent;
    pen.lineWidth = 1.5;
    pen.stroke();
  }

  drawBar() {
    for (const button of this.root.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === this.mode));
    this.over.classList.toggle("pan", this.mode === "pan");
    const { found, ids } = this.data;
    const n_found = found?.reduce((sum, hit) => sum + hit, 0);
    this.said.textContent = this.chosen.size ? `${whole(this.chosen.size)} of ${whole(ids.length)} selected`
      : found ? `${whole(n_found)} of ${whole(ids.length)} found` : "";
  }

  // What is counted beside a group: selected of all, else flagged of all.
  share(rows) {
    const n = rows.reduce((sum, i) => sum + (this.chosen.size ? this.chosen.has(i) : this.data.flagged[i]), 0);
    return `${whole(n)} / ${whole(rows.length)}`;
  }

  drawLegend() {
    const { marks, states, codes, ramp, name, highest } = this.data.colour;
    const parts = [];
    const all = [...codes.keys()];
    const kinds = marks ? marks.map((mark, code) => [code, mark.name, all.filter((i) => codes[i] === code)])
      : [[0, "normal", all.filter((i) => !this.data.flagged[i])], [1, "flagged", all.filter((i) => this.data.flagged[i])]];
    if (ramp) {
      const scale = element("span", "ramp");
      scale.style.background = `linear-gradient(to right, ${ramp.join(",")})`;
      parts.push(element("span", "faint", `${name} 0`), scale, element("span", "faint", highest.toFixed(2)));
    }
    for (const [code, title, rows] of kinds) {
      if (!rows.length) continue;
      const made = element("button");
      made.type = "button";
      made.setAttribute("aria-pressed", String(!this.hidden.has(code)));
      const counted = !this.chosen.size && (!marks || states) ? `${whole(rows.length)} / ${whole(all.length)}` : this.share(rows);
      made.append(this.swatch(code), element("span", "", title), element("b", "", counted));
      made.title = this.chosen.size ? "selected of all; click to hide or show" : states || !marks ? "of all; click to hide or show" : "flagged of all; click to hide or show";
      made.onclick = () => {
        if (!this.hidden.delete(code)) this.hidden.add(code);
        this.drawLegend();
        this.draw();
      };
      parts.push(made);
    }
    if (marks && !states) {
      const ringed = element("span", "faint"), ring = element("i", "ring");
      ring.style.borderColor = this.colours[1];
      ringed.append(ring, "flagged");
      parts.push(ringed);
    }
    const sizes = element("span", "sizes faint");
    for (const [count, size] of SHOWN_SIZES) {
      const shown = element("span"), dot = element("i");
      dot.style.width = dot.style.height = `${size}px`;
      shown.append(dot, `${whole(count)}${count === 1 ? " line" : ""}`);
      sizes.append(shown);
    }
    this.legend.replaceChildren(...parts, sizes);
  }

  swatch(code) {
    const { marks, ramp } = this.data.colour;
    const drawn = marks ? this.sprite(code, 11, 0) : this.sprite(Math.floor(ramp.length / 2), 11, code);
    const canvas = element("canvas", "swatch");
    const pen = penOf(canvas, 16, 16, this.font);
    pen.drawImage(drawn.canvas, 8 - drawn.half, 8 - drawn.half, 2 * drawn.half, 2 * drawn.half);
    return canvas;
  }

  drawClusters() {
    const head = element("div", "head faint");
    const named = this.groups.filter((group) => group.name >= 0);
    head.append(element("span", "", named.length === 1 ? "1 cluster" : `${named.length} clusters`),
      element("span", "", this.chosen.size ? "selected / all" : "flagged / all"));
    const rows = named.length ? this.groups.map((group) => {
      const made = element("button");
      made.type = "button";
      const whole_ = this.chosen.size === group.rows.length && group.rows.every((i) => this.chosen.has(i));
      made.setAttribute("aria-pressed", String(whole_));
      made.append(element("span", group.name < 0 ? "name faint" : "name", group.title), element("b", "share", this.share(group.rows)));
      made.onclick = () => this.choose(whole_ ? [] : group.rows);
      return made;
    }) : [element("div", "head faint", "None stands out on this map.")];
    const top = this.clusters.scrollTop;
    this.clusters.replaceChildren(head, ...rows);
    this.clusters.scrollTop = top;
  }

  // ---- acts

  choose(rows) {
    this.chosen = new Set(rows);
    this.drawAll();
    this.send([...this.chosen].map((i) => this.data.ids[i]));
  }

  nearest(x, y) {
    let best = -1, least = Infinity;
    for (let i = this.data.x.length - 1; i >= 0; i -= 1) { // what lies on top first
      if (this.isHidden(i)) continue;
      const away = Math.hypot(this.px(this.data.x[i]) - x, this.py(this.data.y[i]) - y) - this.data.size[i] / 2;
      if (away < least && away < REACH_PX) [best, least] = [i, away];
    }
    return best;
  }

  hover(x, y) {
    const line = this.data.placed.findIndex((at) => Math.hypot(this.px(at.x) - x, this.py(at.y) - y) < 9);
    const row = line < 0 ? this.nearest(x, y) : -1;
    this.tip.hidden = line < 0 && row < 0;
    if (this.tip.hidden) return;
    if (line >= 0) {
      const at = this.data.placed[line];
      this.tip.replaceChildren(element("div", "faint", `new line ${line + 1}${at.far ? ", far from everything" : ""}`), element("div", "mono", at.line.slice(0, 240)));
    } else {
      const { text, flagged, score, count, cluster, titles } = this.data;
      const facts = [flagged[row] ? "▲ flagged" : "● normal", `score ${score[row].toFixed(4)}`, `${whole(count[row])} ${count[row] === 1 ? "line" : "lines"}`];
      if (cluster[row] >= 0) facts.push(titles[cluster[row]]);
      this.tip.replaceChildren(element("div", "mono", text[row]), element("div", "faint", facts.join(" · ")));
    }
    const { offsetWidth, offsetHeight } = this.tip;
    this.tip.style.left = `${Math.max(4, Math.min(x + 14, this.at.width - offsetWidth - 4))}px`;
    this.tip.style.top = `${Math.max(4, y + 18 + offsetHeight > this.at.height ? y - offsetHeight - 12 : y + 18)}px`;
  }

  release(event) {
    const path = this.path;
    this.path = null;
    if (!path || this.mode !== "lasso") return;
    const [x, y] = path[0];
    let rows;
    if (path.every(([px, py]) => Math.hypot(px - x, py - y) < CLICK_PX)) {
      const row = this.nearest(x, y);
      rows = row < 0 ? [] : [row];
    } else {
      rows = [];
      for (let i = 0; i < this.data.x.length; i += 1) {
        if (!this.isHidden(i) && inside(path, this.px(this.data.x[i]), this.py(this.data.y[i]))) rows.push(i);
      }
    }
    if (!rows.length && !this.chosen.size) { this.drawOver(); return; }
    this.choose(event.shiftKey ? [...this.chosen, ...rows] : rows);
  }

  key(event) {
    const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (step) this.move(...step);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.zoom(0);
    else if (event.key === "Escape" && this.chosen.size) this.choose([]);
    else return;
    event.preventDefault();
  }

  listen() {
    const { over } = this;
    over.onpointerdown = (event) => {
      if (event.button !== 0) return;
      over.setPointerCapture(event.pointerId);
      this.path = [[event.offsetX, event.offsetY]];
      this.tip.hidden = true;
    };
    over.onpointermove = (event) => {
      const { offsetX: x, offsetY: y } = event;
      if (!this.path) { this.hover(x, y); return; }
      if (this.mode === "pan") {
        const [fromX, fromY] = this.path[0];
        this.path = [[x, y]];
        this.move(x - fromX, y - fromY);
      } else {
        this.path.push([x, y]);
        this.drawOver();
      }
    };
    over.onpointerup = (event) => this.release(event);
    over.onpointercancel = () => { this.path = null; this.drawOver(); };
    over.onpointerleave = () => { this.tip.hidden = true; };
    over.onwheel = (event) => {
      if (this.mode !== "pan" && !event.ctrlKey) return; // the page scrolls
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, event.offsetX, event.offsetY);
    };
    over.onkeydown = (event) => this.key(event);
    for (const button of this.root.querySelectorAll("[data-mode]")) button.onclick = () => { this.mode = button.dataset.mode; this.drawBar(); };
    for (const button of this.root.querySelectorAll("[data-zoom]")) button.onclick = () => this.zoom(Number(button.dataset.zoom));
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".map");
  root.map ??= new MessageMap(root);
  root.map.update(data, (ids) => setTriggerValue("chosen", { ids }));
}

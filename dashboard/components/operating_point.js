const HEIGHT = 264;
const MARGIN = { left: 46, right: 12, top: 14, bottom: 38 };
const BAR_PX = 6;
const QUARTERS = [0, 0.25, 0.5, 0.75, 1];

// One of the three drawings: its canvas, and the axes from 0 to 1 or to `maxX`.
class Panel {
  constructor(canvas) { this.canvas = canvas; this.maxX = 1; }

  begin(ink, font) {
    this.width = this.canvas.clientWidth;
    this.left = MARGIN.left; this.right = this.width - MARGIN.right;
    this.top = MARGIN.top; this.bottom = HEIGHT - MARGIN.bottom;
    this.ink = ink;
    this.pen = penOf(this.canvas, this.width, HEIGHT, font);
    return this.pen;
  }
  x(value) { return this.left + (value / this.maxX) * (this.right - this.left); }
  y(value) { return this.bottom - value * (this.bottom - this.top); }

  // Ticks as [where from 0 to 1, text].
  axes(xTicks, yTicks, xTitle, yTitle) {
    const { pen, left, right, top, bottom } = this;
    pen.strokeStyle = pen.fillStyle = this.ink;
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const [share, text] of yTicks) {
      const y = Math.round(this.y(share)) + 0.5;
      pen.globalAlpha = 0.12;
      pen.beginPath(); pen.moveTo(left, y); pen.lineTo(right, y); pen.stroke();
      pen.globalAlpha = 0.72;
      pen.fillText(text, left - 8, y);
    }
    pen.globalAlpha = 0.35;
    pen.beginPath(); pen.moveTo(left, bottom + 0.5); pen.lineTo(right, bottom + 0.5); pen.stroke();
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const [share, text] of xTicks) {
      const x = Math.round(left + share * (right - left)) + 0.5;
      pen.globalAlpha = 0.35;
      pen.beginPath(); pen.moveTo(x, bottom); pen.lineTo(x, bottom + 4); pen.stroke();
      pen.globalAlpha = 0.72;
      pen.fillText(text, x, bottom + 7);
    }
    pen.fillText(xTitle, (left + right) / 2, bottom + 22);
    pen.save();
    pen.translate(8, (top + bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textBaseline = "middle";
    pen.fillText(yTitle, 0, 0);
    pen.restore();
    pen.globalAlpha = 1;
  }

  path(xs, ys) {
    const { pen } = this;
    pen.beginPath();
    for (let i = 0; i < xs.length; i += 1) pen.lineTo(this.x(xs[i]), this.y(ys[i]));
    pen.stroke();
  }

  // As the area under it is counted: up to a recall, the precision at that recall. Points by falling recall.
  steps(recall, precision) {
    const { pen } = this;
    pen.beginPath();
    for (let i = 0; i < recall.length; i += 1) {
      pen.lineTo(this.x(recall[i]), this.y(precision[i]));
      pen.lineTo(this.x(recall[i + 1] ?? 0), this.y(precision[i]));
    }
    pen.stroke();
  }

  dashed(x1, y1, x2, y2) {
    const { pen } = this;
    pen.strokeStyle = this.ink;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.5;
    pen.setLineDash([4, 4]);
    pen.beginPath(); pen.moveTo(this.x(x1), this.y(y1)); pen.lineTo(this.x(x2), this.y(y2)); pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  marker(x, y, ground) {
    const { pen } = this;
    const [px, py] = [this.x(x), this.y(y)];
    pen.strokeStyle = this.ink;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.4;
    pen.beginPath(); pen.moveTo(px, this.bottom); pen.lineTo(px, py); pen.lineTo(this.left, py); pen.stroke();
    pen.globalAlpha = 1;
    pen.beginPath(); pen.arc(px, py, 7, 0, 2 * Math.PI);
    pen.fillStyle = this.ink; pen.fill();
    pen.strokeStyle = ground; pen.lineWidth = 2; pen.stroke();
  }
}

class OperatingPointView {
  constructor(root) {
    this.root = root;
    this.plot = root.querySelector(".plot");
    this.input = root.querySelector("input");
    this.pr = new Panel(root.querySelector(".pr canvas"));
    this.roc = new Panel(root.querySelector(".roc canvas"));
    this.histogram = new Panel(root.querySelector(".plot canvas"));
    this.listen();
  }

  update(data, commit, apply) {
    this.commit = commit;
    this.apply = apply;
    this.data = data;
    this.count(data);
    // The point is moved here; Python moves it too (a chooser), and says so with a new number of the move.
    if (this.moved !== data.moved) {
      this.moved = data.moved;
      this.value = this.committed = rounded(data.value);
    }
    const highest = Math.max(data.scores.at(-1) ?? 1, data.saved, this.value);
    this.histogram.maxX = Math.min(1, Math.ceil(highest * 10 + 0.2) / 10);
    this.draw();
  }

  // Curves at every distinct score, from the lowest.
  count(data) {
    this.abnormalAbove = linesAbove(data.abnormal);
    this.normalAbove = linesAbove(data.normal);
    this.linesAbove = linesAbove(data.lines);
    [this.nAbnormal, this.nNormal] = [this.abnormalAbove[0], this.normalAbove[0]];
    const places = data.scores.map((_, i) => i).filter((i) => this.abnormalAbove[i] + this.normalAbove[i] > 0);
    this.places = places;
    this.recall = places.map((i) => this.abnormalAbove[i] / this.nAbnormal);
    this.falseAlarms = places.map((i) => this.normalAbove[i] / this.nNormal);
    this.precision = places.map((i) => this.abnormalAbove[i] / (this.abnormalAbove[i] + this.normalAbove[i]));
  }

  // What the threshold does to the labelled lines, exact.
  at(value) {
    const i = firstAtOrAbove(this.data.scores, value);
    const hits = this.abnormalAbove[i], alarms = this.normalAbove[i];
    const flagged = hits + alarms;
    return {
      hits, alarms, misses: this.nAbnormal - hits, lines: this.linesAbove[i],
      precision: flagged ? hits / flagged : null,
      recall: hits / this.nAbnormal,
      falseAlarms: alarms / this.nNormal,
      f1: hits ? (2 * hits) / (this.nAbnormal + flagged) : 0,
    };
  }

  // ---- drawing

  draw() {
    applyMarks(this.root);
    if (!this.plot.clientWidth || !this.data) return;
    const style = getComputedStyle(this.root);
    const read = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
    this.ink = read("--st-text-color", "#1B2430");
    this.ground = read("--st-background-color", "#FFFFFF");
    this.line = read("--normal");
    this.font = style.fontFamily;
    this.colours = [read("--normal"), read("--flagged")];
    const now = this.at(this.value);
    this.drawPr(now);
    this.drawRoc(now);
    this.drawHistogram();
    this.showNumbers(now);
  }

  curve(panel, draw, drawn, baseline) {
    const { pen } = panel;
    pen.lineJoin = "round";
    if (baseline) {
      pen.strokeStyle = this.ink; pen.lineWidth = 1.5; pen.globalAlpha = 0.55;
      pen.setLineDash([2, 3]);
      draw(...baseline);
      pen.setLineDash([]);
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = this.line; pen.lineWidth = 2;
    draw(...drawn);
  }

  drawPr(now) {
    const { pr: panel, data } = this;
    panel.begin(this.ink, this.font);
    const ticks = QUARTERS.map((share) => [share, String(share)]);
    panel.axes(ticks, ticks, "recall", "precision");
    const chance = this.nAbnormal / (this.nAbnormal + this.nNormal);
    panel.dashed(0, chance, 1, chance);
    const before = data.baseline && [data.baseline.recall, data.baseline.precision];
    this.curve(panel, (...points) => panel.steps(...points), [this.recall, this.precision], before);
    panel.marker(now.recall, now.precision ?? 1, this.ground);
  }

  drawRoc(now) {
    const { roc: panel, data } = this;
    panel.begin(this.ink, this.font);
    const ticks = QUARTERS.map((share) => [share, String(share)]);
    panel.axes(ticks, ticks, "false-alarm rate", "recall");
    panel.dashed(0, 0, 1, 1);
    const before = data.baseline && [data.baseline.false_alarm_rate, data.baseline.roc_recall];
    this.curve(panel, (...points) => panel.path(...points), [[...this.falseAlarms, 0], [...this.recall, 0]], before);
    panel.marker(now.falseAlarms, now.recall, this.ground);
  }

  bins(n) {
    if (this.binned?.n === n && this.binned.data === this.data && this.binned.max === this.histogram.maxX) return this.binned;
    const [normal, abnormal] = [new Array(n).fill(0), new Array(n).fill(0)];
    this.data.scores.forEach((score, i) => {
      const bin = Math.min(n - 1, Math.floor((score / this.histogram.maxX) * n));
      normal[bin] += this.data.normal[i];
      abnormal[bin] += this.data.abnormal[i];
    });
    this.binned = { n, normal, abnormal, data: this.data, max: this.histogram.maxX, highest: Math.max(1, ...normal, ...abnormal) };
    return this.binned;
  }

  drawHistogram() {
    const { histogram: panel } = this;
    const pen = panel.begin(this.ink, this.font);
    const { left, right, bottom, top } = panel;
    const n = Math.max(20, Math.floor((right - left) / BAR_PX));
    const { normal, abnormal, highest } = this.bins(n);
    const share = (count) => Math.log10(1 + count) / Math.log10(1 + highest);
    const yTicks = [];
    for (let tick = 1; tick <= highest; tick *= 10) {
      yTicks.push([share(tick), tick >= 1e6 ? `${tick / 1e6}M` : tick >= 1000 ? `${tick / 1000}k` : String(tick)]);
    }
    const step = panel.maxX > 0.55 ? 0.2 : 0.1;
    const xTicks = [];
    for (let i = 0; i * step <= panel.maxX + 1e-9; i += 1) xTicks.push([(i * step) / panel.maxX, (i * step).toFixed(1)]);
    panel.axes(xTicks, yTicks, "score, higher is more abnormal", "lines, log scale");
    // Told apart by width as well as by colour.
    const width = (right - left) / n;
    [[normal, this.colours[0], 0.55, Math.max(1, width - 1)], [abnormal, this.colours[1], 1, Math.max(1, width / 2 - 0.5)]]
      .forEach(([counts, colour, alpha, bar]) => {
        pen.fillStyle = colour;
        pen.globalAlpha = alpha;
        counts.forEach((count, i) => {
          if (count) { const y = panel.y(share(count)); pen.fillRect(left + i * width + (width - 1 - bar) / 2, y, bar, bottom - y); }
        });
      });
    pen.globalAlpha = 1;
    const x = panel.x(this.value);
    pen.fillStyle = this.ink;
    pen.fillRect(x - 1, 4, 2, bottom - 4);
    pen.beginPath(); pen.roundRect(x - 5, 0, 10, 18, 3); pen.fill();
    pen.font = `600 12px ${this.font}`;
    pen.textBaseline = "middle";
    pen.textAlign = right - x > 70 ? "left" : "right";
    pen.fillText("flagged", right - x > 70 ? x + 12 : x - 12, top - 5);
  }

  showNumbers(now) {
    const { data } = this;
    const set = (selector, text) => { this.root.querySelector(selector).textContent = text; };
    const ratio = (value) => (value === null ? "–" : value.toFixed(3));
    const perUnit = now.lines * data.rate;
    set(".precision", ratio(now.precision));
    set(".recall", ratio(now.recall));
    set(".f1", ratio(now.f1));
    set(".alarms", whole(now.alarms));
    set(".alarm-rate", `${(100 * now.falseAlarms).toFixed(2)}%`);
    set(".misses", whole(now.misses));
    set(".of-abnormal", `of ${whole(this.nAbnormal)}`);
    set(".rate-label", data.rate_label);
    set(".rate", perUnit === 0 || perUnit >= 10 ? whole(perUnit) : perUnit.toPrecision(2));
    set(".pr-area", data.pr_text);
    set(".roc-area", data.roc_text);
    set(".chance", `chance ${(this.nAbnormal / (this.nAbnormal + this.nNormal)).toPrecision(2)}`);
    for (const item of this.root.querySelectorAll(".before")) item.hidden = !data.baseline;
    if (this.root.getRootNode().activeElement !== this.input) this.input.value = this.value.toFixed(DECIMALS);
    const atSaved = this.value === rounded(data.saved);
    set(".saved", atSaved ? "in force" : `in force is ${data.saved.toFixed(DECIMALS)}`);
    set(".apply", data.apply_label);
    this.root.querySelector(".apply").disabled = atSaved && !data.can_apply;
    this.root.querySelector(".reset").disabled = atSaved;
    const said = `precision ${ratio(now.precision)}, recall ${ratio(now.recall)}, ${whole(now.alarms)} false alarms`;
    this.plot.setAttribute("aria-valuemin", "0");
    this.plot.setAttribute("aria-valuemax", String(this.histogram.maxX));
    this.plot.setAttribute("aria-valuenow", String(this.value));
    this.plot.setAttribute("aria-valuetext", `${this.value.toFixed(DECIMALS)}: ${said}`);
    this.pr.canvas.setAttribute("aria-label", `Precision-recall curve, ${data.pr_text}; at the point ${said}`);
    this.roc.canvas.setAttribute("aria-label", `ROC curve, ${data.roc_text}; false-alarm rate ${ratio(now.falseAlarms)} at the point`);
  }

  // ---- moving the point

  move(value) {
    this.value = rounded(Math.min(this.histogram.maxX, Math.max(0, value)));
    this.draw();
  }

  release() {
    clearTimeout(this.timer);
    if (this.value === this.committed) return;
    this.committed = this.value;
    this.commit(this.value);
  }

  // The score whose point on a curve is nearest to the pointer.
  nearest(panel, xs, ys, event) {
    let best = 0, least = Infinity;
    for (let i = 0; i < xs.length; i += 1) {
      const away = (panel.x(xs[i]) - event.offsetX) ** 2 + (panel.y(ys[i]) - event.offsetY) ** 2;
      if (away < least) [best, least] = [i, away];
    }
    return this.data.scores[this.places[best]];
  }

  drag(panel, scoreAt) {
    const { canvas } = panel;
    let dragging = false;
    canvas.onpointerdown = (event) => {
      if (event.button !== 0) return;
      dragging = true;
      canvas.setPointerCapture(event.pointerId);
      this.plot.focus({ preventScroll: true });
      this.move(scoreAt(event));
    };
    canvas.onpointermove = (event) => { if (dragging) this.move(scoreAt(event)); };
    canvas.onpointerup = canvas.onpointercancel = () => {
      if (!dragging) return;
      dragging = false;
      this.release();
    };
  }

  listen() {
    const { pr, roc, histogram, plot, input } = this;
    this.drag(pr, (event) => this.nearest(pr, this.recall, this.precision, event));
    this.drag(roc, (event) => this.nearest(roc, this.falseAlarms, this.recall, event));
    this.drag(histogram, (event) => ((event.offsetX - histogram.left) / (histogram.right - histogram.left)) * histogram.maxX);
    plot.onkeydown = (event) => {
      const target = thresholdByKey(event, this.value, histogram.maxX);
      if (target === null) return;
      this.move(target);
      event.preventDefault();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.release(), COMMIT_AFTER_MS);
    };
    input.onchange = () => {
      const typed = Number.parseFloat(input.value);
      if (Number.isFinite(typed)) {
        histogram.maxX = Math.max(histogram.maxX, Math.min(1, Math.ceil(typed * 10) / 10));
        this.move(typed);
      }
      input.value = this.value.toFixed(DECIMALS);
      this.release();
    };
    this.root.querySelector(".apply").onclick = () => { clearTimeout(this.timer); this.committed = this.value; this.apply(this.value); };
    this.root.querySelector(".reset").onclick = () => { this.move(this.data.saved); this.release(); };
    new ResizeObserver(() => this.draw()).observe(this.root);
    // Streamlit follows the system's theme a moment after the system changes it.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(() => this.draw(), 150));
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".operating");
  root.view ??= new OperatingPointView(root);
  root.view.update(
    data,
    (value) => setTriggerValue("released", value),
    (value) => setTriggerValue("apply", value),
  );
}

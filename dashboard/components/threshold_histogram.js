const HEIGHT = 212;
const MARGIN = { left: 52, right: 12, top: 26, bottom: 38 };
const BAR_PX = 5;
const LEAST_DRAWN = 0.5; // of a line: fewer to expect are not drawn

const about = (number) => (number < 0.5 ? "0" : whole(number));

class ThresholdView {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector("canvas");
    this.plot = root.querySelector(".plot");
    this.input = root.querySelector("input[max]");
    this.alarms = root.querySelector(".foreseen input");
    this.hoverLabel = root.querySelector(".hover");
    this.dragging = false;
    this.hoverX = null;
    this.listen();
  }

  update(data, commit, save) {
    this.commit = commit;
    this.save = save;
    this.data = data;
    this.above = linesAbove(data.counts);
    this.mutedAbove = linesAbove(data.muted_counts);
    if (data.everyday) {
      this.everydayAbove = linesAbove(data.everyday.lines);
      this.everydayMessagesAbove = linesAbove(data.everyday.messages);
    }
    this.total = this.above[0] + this.mutedAbove[0];
    const highest = Math.max(data.scores.at(-1) ?? 1, data.own, data.value, data.everyday ? this.lowestWith(0) : 0);
    this.max = Math.min(1, Math.ceil(highest * 10 + 0.2) / 10);
    // Only the first value counts: afterwards the line is moved here, and an answer to an older release must not
    // pull it back.
    if (this.value === undefined) this.value = this.committed = rounded(data.value);
    this.max = Math.max(this.max, Math.ceil(this.value * 10) / 10);
    this.draw();
  }

  // The lowest threshold with at most so many false alarms to expect.
  lowestWith(alarms) {
    const { score } = this.data.everyday;
    const first = this.everydayAbove.findIndex((lines) => lines < alarms + 0.5);
    return first === 0 ? 0 : score[first - 1] + 10 ** -DECIMALS;
  }

  flagged(value) { return this.above[firstAtOrAbove(this.data.scores, value)]; }

  // ---- geometry

  get inner() {
    return { left: MARGIN.left, right: this.width - MARGIN.right, top: MARGIN.top, bottom: HEIGHT - MARGIN.bottom };
  }
  x(score) { const { left, right } = this.inner; return left + (score / this.max) * (right - left); }
  scoreAt(x) {
    const { left, right } = this.inner;
    return rounded(Math.min(this.max, Math.max(0, ((x - left) / (right - left)) * this.max)));
  }
  y(count) {
    const { top, bottom } = this.inner;
    return bottom - (Math.log10(1 + count) / Math.log10(1 + this.highestBar)) * (bottom - top);
  }

  bins() {
    const { left, right } = this.inner;
    const n = Math.max(20, Math.floor((right - left) / BAR_PX));
    if (this.binned?.n === n && this.binned.data === this.data) return this.binned;
    const summed = (scores, lines) => {
      const sums = new Array(n).fill(0);
      scores.forEach((score, i) => { sums[Math.min(n - 1, Math.floor((score / this.max) * n))] += lines[i]; });
      return sums;
    };
    const { scores, counts, everyday } = this.data;
    const foreseen = everyday ? summed(everyday.score, everyday.lines) : null;
    this.binned = { n, counts: summed(scores, counts), foreseen, data: this.data };
    return this.binned;
  }

  // ---- drawing

  draw() {
    applyMarks(this.root);
    this.width = this.plot.clientWidth;
    if (!this.width || !this.data) return;
    const style = getComputedStyle(this.root);
    this.ink = style.getPropertyValue("--st-text-color").trim() || "#1B2430";
    const normal = style.getPropertyValue("--normal"), flagged = style.getPropertyValue("--flagged");
    const pen = penOf(this.canvas, this.width, HEIGHT, style.fontFamily);
    const { counts, foreseen, n } = this.bins();
    this.highestBar = Math.max(1, ...counts, ...(foreseen ?? []));
    this.drawAxes(pen);
    const lineX = this.x(this.value);
    this.drawBars(pen, counts, n, normal, 0, lineX);
    this.drawBars(pen, counts, n, flagged, lineX, this.width);
    if (foreseen) this.drawForeseen(pen, foreseen, n);
    this.drawLine(pen, lineX, normal, flagged);
    this.showNumbers();
  }

  drawAxes(pen) {
    const { left, right, top, bottom } = this.inner;
    pen.strokeStyle = pen.fillStyle = this.ink;
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (let tick = 1; tick <= this.highestBar; tick *= 10) {
      const y = Math.round(this.y(tick)) + 0.5;
      pen.globalAlpha = 0.12;
      pen.beginPath(); pen.moveTo(left, y); pen.lineTo(right, y); pen.stroke();
      pen.globalAlpha = 0.72;
      pen.fillText(tick >= 1e6 ? `${tick / 1e6}M` : tick >= 1000 ? `${tick / 1000}k` : String(tick), left - 8, y);
    }
    pen.globalAlpha = 0.35;
    pen.beginPath(); pen.moveTo(left, bottom + 0.5); pen.lineTo(right, bottom + 0.5); pen.stroke();
    pen.textAlign = "center";
    pen.textBaseline = "top";
    const step = this.max > 0.55 ? 0.1 : 0.05;
    for (let i = 0; i * step <= this.max + 1e-9; i += 1) {
      const x = Math.round(this.x(i * step)) + 0.5;
      pen.globalAlpha = 0.35;
      pen.beginPath(); pen.moveTo(x, bottom); pen.lineTo(x, bottom + 4); pen.stroke();
      pen.globalAlpha = 0.72;
      pen.fillText((i * step).toFixed(step < 0.1 ? 2 : 1), x, bottom + 7);
    }
    pen.fillText("score, higher is more abnormal", (left + right) / 2, bottom + 22);
    pen.save();
    pen.translate(10, (top + bottom) / 2);
    pen.rotate(-Math.PI / 2);
    pen.textBaseline = "middle";
    pen.fillText(`${this.data.unit}, log scale`, 0, 0);
    pen.restore();
    pen.globalAlpha = 1;
  }

  // All bars, clipped to one side of the line: a bar the line crosses shows both colours.
  drawBars(pen, counts, n, colour, fromX, toX) {
    const { left, right, bottom } = this.inner;
    const step = (right - left) / n;
    pen.save();
    pen.beginPath(); pen.rect(fromX, 0, toX - fromX, HEIGHT); pen.clip();
    pen.fillStyle = colour;
    counts.forEach((count, i) => {
      if (count) { const y = this.y(count); pen.fillRect(left + i * step, y, Math.max(1, step - 1), bottom - y); }
    });
    pen.restore();
  }

  // What as many everyday lines would look like: a cap where the bar would end, and what it means at the axis.
  drawForeseen(pen, foreseen, n) {
    const { left, right, bottom } = this.inner;
    const step = (right - left) / n;
    pen.strokeStyle = pen.fillStyle = this.ink;
    pen.lineWidth = 1.5;
    pen.globalAlpha = 0.85;
    pen.beginPath();
    foreseen.forEach((lines, i) => {
      if (lines < LEAST_DRAWN) return;
      const y = this.y(lines);
      pen.moveTo(left + i * step - 1.5, y);
      pen.lineTo(left + (i + 1) * step + 0.5, y);
    });
    pen.stroke();
    pen.textAlign = "right";
    pen.textBaseline = "top";
    const words = `if all were everyday ${this.data.unit}`, width = pen.measureText(words).width;
    if (right - left > 4 * width) {
      pen.globalAlpha = 0.72;
      pen.fillText(words, right, bottom + 22);
      pen.fillRect(right - width - 16, bottom + 27, 10, 1.5);
    }
    pen.globalAlpha = 1;
  }

  drawLine(pen, lineX, normal, flagged) {
    const { left, right, top, bottom } = this.inner;
    const ownX = Math.round(this.x(this.data.own)) + 0.5;
    pen.textBaseline = "middle";
    if (Math.abs(ownX - lineX) > 2) {
      pen.strokeStyle = this.ink;
      pen.globalAlpha = 0.6;
      pen.setLineDash([4, 4]);
      pen.beginPath(); pen.moveTo(ownX, top); pen.lineTo(ownX, bottom); pen.stroke();
      pen.setLineDash([]);
      pen.globalAlpha = 0.72;
      pen.fillStyle = this.ink;
      const onRight = ownX > lineX, words = "as scored"; // written away from the line
      pen.textAlign = onRight ? "left" : "right";
      if ((onRight ? right - ownX : ownX - left) > pen.measureText(words).width + 6) {
        pen.fillText(words, ownX + (onRight ? 6 : -6), top + 8);
      }
      pen.globalAlpha = 1;
    }
    pen.fillStyle = this.ink;
    pen.fillRect(lineX - 1, 6, 2, bottom - 6);
    pen.beginPath(); pen.roundRect(lineX - 5, 4, 10, 18, 3); pen.fill(); // the handle
    // The side is said in words too, so that nothing rests on colour alone.
    pen.font = pen.font.replace("12px", "600 12px");
    if (lineX - left > 70) { pen.textAlign = "right"; pen.fillStyle = normal; pen.fillText("normal", lineX - 12, 13); }
    if (right - lineX > 70) { pen.textAlign = "left"; pen.fillStyle = flagged; pen.fillText("flagged", lineX + 12, 13); }
  }

  showNumbers() {
    const count = this.flagged(this.value);
    const share = this.total ? (100 * count) / this.total : 0;
    const perUnit = count * this.data.rate;
    const set = (selector, text) => { this.root.querySelector(selector).textContent = text; };
    set(".flagged-label", `Flagged ${this.data.unit}`);
    set(".share-label", `Share of ${this.data.unit}`);
    set(".flagged-count", whole(count));
    const muted = this.mutedAbove[firstAtOrAbove(this.data.muted_scores, this.value)];
    set(".muted", muted ? `+ ${whole(muted)} muted` : "");
    set(".share", `${share === 0 || share >= 1 ? share.toFixed(2) : share.toPrecision(2)}%`);
    set(".rate-label", this.data.rate_label);
    set(".rate", perUnit === 0 || perUnit >= 10 ? whole(perUnit) : perUnit.toPrecision(2));
    this.root.querySelector(".foreseen").hidden = !this.data.everyday;
    if (this.data.everyday) {
      const at = firstAtOrAbove(this.data.everyday.score, this.value);
      const lines = this.everydayAbove[at], messages = this.everydayMessagesAbove[at];
      if (this.root.getRootNode().activeElement !== this.alarms) this.alarms.value = Math.round(lines);
      set(".foreseen small", lines < 0.5 ? this.data.unit : `${this.data.unit}, ${about(messages)} messages`);
    }
    if (this.root.getRootNode().activeElement !== this.input) this.input.value = this.value.toFixed(DECIMALS);
    const { saved, own } = this.data;
    set(".saved", this.value === rounded(saved) ? "in force" : `not applied; in force is ${saved.toFixed(DECIMALS)}`);
    this.root.querySelector(".save").disabled = this.value === rounded(saved);
    this.root.querySelector(".reset").disabled = this.value === rounded(own);
    this.root.querySelector(".reset").title = `the run was scored at ${own.toFixed(DECIMALS)}`;
    this.plot.setAttribute("aria-valuemin", "0");
    this.plot.setAttribute("aria-valuemax", String(this.max));
    this.plot.setAttribute("aria-valuenow", String(this.value));
    this.plot.setAttribute("aria-valuetext", `${this.value.toFixed(DECIMALS)}, ${whole(count)} ${this.data.unit} flagged`);
  }

  showHover(event) {
    const { left, right } = this.inner;
    const x = event.offsetX;
    this.hoverLabel.hidden = this.dragging || x < left || x >= right;
    if (this.hoverLabel.hidden) return;
    const { counts, foreseen, n } = this.bins();
    const bin = Math.min(n - 1, Math.floor(((x - left) / (right - left)) * n));
    const width = this.max / n;
    const lines = counts[bin] === 1 ? this.data.unit.slice(0, -1) : this.data.unit;
    this.hoverLabel.textContent =
      `${(bin * width).toFixed(3)} to ${((bin + 1) * width).toFixed(3)}: ${whole(counts[bin])} ${lines}` +
      (foreseen ? `, ${about(foreseen[bin])} if all were everyday` : "");
    const onRight = x > (left + right) / 2;
    this.hoverLabel.style.left = onRight ? "auto" : `${x + 12}px`;
    this.hoverLabel.style.right = onRight ? `${this.width - x + 12}px` : "auto";
  }

  // ---- moving the line

  move(value) {
    this.value = rounded(Math.min(this.max, Math.max(0, value)));
    this.draw();
  }

  release() {
    clearTimeout(this.timer);
    if (this.value === this.committed) return;
    this.committed = this.value;
    this.commit(this.value);
  }

  listen() {
    const { plot, canvas, input } = this;
    canvas.onpointerdown = (event) => {
      if (event.button !== 0) return;
      this.dragging = true;
      canvas.setPointerCapture(event.pointerId);
      plot.focus({ preventScroll: true });
      this.hoverLabel.hidden = true;
      this.move(this.scoreAt(event.offsetX));
    };
    canvas.onpointermove = (event) => {
      if (this.dragging) this.move(this.scoreAt(event.offsetX)); else this.showHover(event);
    };
    canvas.onpointerup = canvas.onpointercancel = () => {
      if (!this.dragging) return;
      this.dragging = false;
      this.release();
    };
    canvas.onpointerleave = () => { this.hoverLabel.hidden = true; };
    plot.onkeydown = (event) => {
      const target = thresholdByKey(event, this.value, this.max);
      if (target === null) return;
      this.move(target);
      event.preventDefault();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.release(), COMMIT_AFTER_MS);
    };
    input.onchange = () => {
      const typed = Number.parseFloat(input.value);
      if (Number.isFinite(typed)) this.value = rounded(Math.min(1, Math.max(0, typed)));
      input.value = this.value.toFixed(DECIMALS);
      if (this.value > this.max) this.max = Math.min(1, Math.ceil(this.value * 10) / 10);
      this.binned = null;
      this.draw();
      this.release();
    };
    this.alarms.onchange = () => {
      const most = Number.parseFloat(this.alarms.value);
      if (Number.isFinite(most)) this.move(this.lowestWith(Math.max(0, most)));
      this.alarms.value = Math.round(this.everydayAbove[firstAtOrAbove(this.data.everyday.score, this.value)]);
      this.release();
    };
    this.root.querySelector(".save").onclick = () => { this.release(); this.save(); };
    this.root.querySelector(".reset").onclick = () => { this.move(this.data.own); this.release(); };
    new ResizeObserver(() => this.draw()).observe(plot);
    // Streamlit follows the system's theme a moment after the system changes it.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTimeout(() => this.draw(), 150));
  }
}

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const root = parentElement.querySelector(".threshold");
  root.view ??= new ThresholdView(root);
  root.view.update(
    data,
    (value) => setStateValue("threshold", value),
    () => setTriggerValue("save", true),
  );
}

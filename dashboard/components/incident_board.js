const SPARK = { width: 112, height: 28 };

// Lines along the run; heights by the square root, so that one line beside a thousand is seen.
function course(counts) {
  const { width, height } = SPARK;
  const drawn = shape("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const step = width / counts.length, most = Math.sqrt(Math.max(1, ...counts));
  drawn.append(shape("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5 }));
  counts.forEach((count, i) => {
    if (!count) return;
    const tall = Math.max(2, (Math.sqrt(count) / most) * (height - 2));
    drawn.append(shape("rect", { x: i * step, y: height - 1 - tall, width: step - 1, height: tall }));
  });
  return drawn;
}

class Incidents extends ActBoard {
  constructor(root) {
    super(root);
    this.listenToBar();
  }

  update(data, send) {
    this.data = data;
    this.send = send;
    if (this.settle(data.answered)) this.current = data.current;
    this.draw();
  }

  get at() { return this.data.rows.findIndex((row) => row.line_no === this.current); }
  get inView() { return this.data.rows[this.at]; }
  // The label that all lines of a row have; null where they have none or several.
  labelOf(row) {
    if (this.said.has(row.line_no)) return this.said.get(row.line_no);
    return Object.keys(row.judged).find((label) => row.judged[label] === row.n_lines) ?? null;
  }

  draw() {
    applyMarks(this.root);
    this.root.classList.toggle("sourceless", this.data.rows.every((row) => !row.sources));
    this.fill(this.data.rows.map((row, i) => this.rowOf(row, i)), this.at);
    this.drawBar();
  }

  rowOf(row, i) {
    const made = element("div", "row");
    made.id = `incident-${i}`;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(row.line_no === this.current));
    const label = this.labelOf(row);
    const name = element("div", "name");
    name.append(element("div", "title", row.title || "(no word tells it)"), element("div", "example mono faint", row.example || "(blank)"));
    const lines = element("span", "lines", whole(row.n_lines));
    lines.title = `${whole(row.n_lines)} lines, ${whole(row.n_messages)} messages`;
    const partly = Object.values(row.judged).reduce((sum, n) => sum + n, 0);
    if (!label && partly) lines.append(element("small", "faint", `${whole(partly)} judged`));
    const drawn = element("span", "course");
    drawn.append(course(row.spark));
    made.append(
      label ? verdictMark(label) : element("span"),
      element("span", "score", `▲ ${row.score.toFixed(3)}`),
      name,
      element("span", "sources", row.sources),
      element("span", "when faint", row.seen),
      drawn,
      lines,
    );
    made.onclick = () => this.open(row.line_no);
    return made;
  }

  drawBar() {
    const row = this.inView;
    const tooMany = !row || row.n_lines > this.data.most_lines;
    const label = row && this.labelOf(row);
    for (const button of this.root.querySelectorAll("[data-label]")) {
      button.disabled = tooMany;
      button.setAttribute("aria-pressed", String(button.dataset.label === label));
    }
    const lines = row?.n_lines === 1 ? "its one line" : `all its ${whole(row?.n_lines ?? 0)} lines`;
    this.root.querySelector(".scope").textContent = !row ? ""
      : tooMany ? `${whole(row.n_lines)} lines are more than can be judged at once` : `for ${lines}`;
  }

  open(lineNo) {
    if (lineNo === this.current) return;
    this.current = lineNo;
    this.tell("open");
    this.draw();
  }

  step(by) {
    const { rows } = this.data;
    this.open(rows[Math.min(rows.length - 1, Math.max(0, this.at + by))].line_no);
  }

  judge(label) {
    const row = this.inView;
    if (!row || row.n_lines > this.data.most_lines) return;
    this.tell("verdict", { label });
    this.said.set(row.line_no, label);
    const { rows } = this.data;
    const next = [...rows.slice(this.at + 1), ...rows.slice(0, this.at)].find((other) => !this.labelOf(other));
    if (next) this.open(next.line_no); else this.draw();
  }

  undo() { this.tell("undo"); }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".board");
  root.board ??= new Incidents(root);
  root.board.update(data, (acts) => setTriggerValue("acts", acts));
  root.board.hear();
  return () => root.board.silence();
}

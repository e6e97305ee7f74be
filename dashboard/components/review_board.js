class Board extends ActBoard {
  constructor(root) {
    super(root);
    this.detail = root.querySelector(".detail");
    this.note = root.querySelector(".note");
    this.scope = root.querySelector(".scope input");
    this.listen();
  }

  update(data, send) {
    if (this.data?.by_message !== data.by_message) this.scope.checked = data.by_message;
    if (this.data?.threshold !== data.threshold) this.details = new Map();
    for (const detail of data.details) this.details.set(detail.line_no, detail); // those of before are kept
    this.send = send;
    this.data = data;
    if (this.settle(data.answered)) this.current = data.current;
    this.draw();
  }

  // ---- what is in view

  get row() { return this.data.rows.findIndex((row) => this.rowKey(row) === this.rowKey(this.inView)); }
  get inView() {
    return this.details.get(this.current) ?? this.data.rows.find((row) => row.line_no === this.current)
      ?? { line_no: this.current, text_id: null };
  }
  rowKey(line) { return this.data.by_message && line.text_id !== null ? `text ${line.text_id}` : `line ${line.line_no}`; }
  labelOf(row) { return this.said.get(this.rowKey(row)) ?? row.label; }
  get wholeMessage() {
    const alike = this.inView.n_alike ?? 1;
    return this.scope.checked && alike > 1 && alike <= this.data.most_lines;
  }

  // ---- drawing

  draw() {
    applyMarks(this.root);
    this.drawQueue();
    this.drawDetail();
    this.drawBar();
    const url = new URL(location.href);
    if (url.searchParams.get("line") !== String(this.current)) { // a reload comes back to it
      url.searchParams.set("line", this.current);
      history.replaceState(history.state, "", url);
    }
  }

  drawQueue() {
    const at = this.row;
    if (at >= 0) this.at = at; // kept while a line beside the queue is in view, or the row has just left it
    const rows = this.data.rows.map((row, i) => {
      const made = element("div", "row");
      made.id = `row-${i}`;
      made.setAttribute("role", "option");
      made.setAttribute("aria-selected", String(i === at));
      const label = this.labelOf(row);
      const flagged = row.score >= this.data.threshold;
      made.append(
        label ? verdictMark(label) : element("span"),
        element("span", flagged ? "score flagged" : "score", `${flagged ? "▲ " : ""}${row.score.toFixed(3)}`),
        element("span", "text mono", row.text || "(blank)"),
        element("span", "count faint", this.data.by_message && row.count > 1 ? `× ${whole(row.count)}` : ""),
      );
      made.title = row.text;
      made.onclick = () => this.open(row.line_no);
      return made;
    });
    if (!rows.length) {
      rows.push(emptyRow("Nothing left to judge here."));
    }
    this.fill(rows, at);
  }

  drawDetail() {
    const detail = this.details.get(this.current);
    this.detail.classList.toggle("busy", !detail);
    this.detail.setAttribute("aria-busy", String(!detail));
    if (!detail) return;
    const drawn = JSON.stringify(detail);
    if (drawn === this.drawn) return; // what is being read or reached by Tab stays as it is
    this.drawn = drawn;
    drawLine(this.detail, detail, (lineNo) => this.open(lineNo));
  }

  drawBar() {
    const detail = this.details.get(this.current);
    const alike = detail?.n_alike ?? 1;
    const tooMany = alike > this.data.most_lines;
    const scope = this.root.querySelector(".scope");
    scope.hidden = alike < 2;
    scope.querySelector("span").textContent = tooMany
      ? `this line; its message has ${whole(alike)}, more than can be judged at once`
      : `for all ${whole(alike)} lines of this message`;
    this.scope.disabled = tooMany;
    const label = detail && (this.said.get(this.rowKey(detail)) ?? detail.said?.label);
    for (const button of this.root.querySelectorAll("[data-label]")) {
      button.disabled = !detail;
      button.setAttribute("aria-pressed", String(button.dataset.label === label));
      button.querySelector(".many").textContent = this.wholeMessage ? `× ${whole(alike)}` : "";
    }
    if (!detail) return;
    const note = detail.said?.note ?? "";
    if (this.noteLine !== this.current || (!this.noteChanged && this.note.value !== note)) {
      this.note.value = note;
      this.noteLine = this.current;
      this.noteChanged = false;
    }
  }

  // ---- acts

  tell(kind, act = {}) { super.tell(kind, { note: this.note.value, ...act }); }

  open(lineNo) {
    if (lineNo === this.current) return;
    if (this.noteChanged) this.tell("note");
    this.noteChanged = false;
    this.current = lineNo;
    this.tell("open");
    this.draw();
  }

  step(by) {
    const { rows } = this.data;
    if (!rows.length) return;
    const from = this.row >= 0 ? this.row + by : (this.at ?? 0);
    this.open(rows[Math.min(rows.length - 1, Math.max(0, from))].line_no);
  }

  judge(label) {
    const detail = this.details.get(this.current);
    if (!detail) return; // nothing is judged unseen
    this.noteChanged = false;
    this.tell("verdict", { label, whole_message: this.wholeMessage });
    this.said.set(this.rowKey(detail), label);
    const { rows } = this.data;
    const from = this.row >= 0 ? this.row + 1 : (this.at ?? 0);
    const next = [...rows.slice(from), ...rows.slice(0, from)].find((row) => !this.labelOf(row));
    if (next) this.open(next.line_no); else this.draw();
  }

  undo() {
    this.noteChanged = false;
    this.tell("undo");
  }

  saveNote() {
    this.noteChanged = false;
    this.tell("note");
    this.note.blur();
  }

  listen() {
    this.listenToBar();
    this.scope.onchange = () => this.drawBar();
    this.note.oninput = () => { this.noteChanged = true; };
    this.note.onkeydown = (event) => {
      if (event.key === "Enter") this.saveNote();
      if (event.key === "Escape") this.note.blur();
    };
  }
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const root = parentElement.querySelector(".board");
  root.board ??= new Board(root);
  root.board.update(data, (acts) => setTriggerValue("acts", acts));
  root.board.hear();
  return () => root.board.silence();
}

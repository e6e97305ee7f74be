// A list that is worked through by keys. The browser goes on at once and tells the server what was done; an act is sent
// again with the later ones until the server has answered it. A key presses the button that carries it.

function emptyRow(words) {
  const row = element("div", "none faint", words);
  row.setAttribute("role", "option");
  row.setAttribute("aria-disabled", "true");
  return row;
}

// A board has a list and a bar, and says what `step(by)`, `judge(label)` and `undo()` do.
class ActBoard {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector(".queue");
    this.pending = []; // acts the server has not answered
    this.said = new Map(); // labels given since its last answer, by row
    this.onKey = (event) => this.key(event);
  }

  // Whether the server has answered all acts; else it is behind, and what it says is old.
  settle(answered) {
    this.serial ??= answered;
    this.pending = this.pending.filter((act) => act.serial > answered);
    if (!this.pending.length) this.said.clear();
    return !this.pending.length;
  }

  tell(kind, act = {}) {
    this.serial += 1;
    this.pending.push({
      serial: this.serial, kind, line_no: this.current, label: "", note: "", whole_message: false, ...act,
    });
    this.send(this.pending);
  }

  // The rows of the list, the one in view within sight.
  fill(rows, at) {
    const top = this.list.scrollTop;
    this.list.replaceChildren(...rows);
    this.list.scrollTop = top;
    if (at < 0) { this.list.removeAttribute("aria-activedescendant"); return; }
    this.list.setAttribute("aria-activedescendant", rows[at].id);
    const { offsetTop, offsetHeight } = rows[at];
    const above = offsetTop - this.list.offsetTop;
    if (above < top) this.list.scrollTop = above;
    else if (above + offsetHeight > top + this.list.clientHeight) this.list.scrollTop = above + offsetHeight - this.list.clientHeight;
  }

  key(event) {
    if (!this.root.isConnected) { this.silence(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (isTyping(event) || isInDialog(event)) return;
    const pressed = [...this.root.querySelectorAll("[data-key]")].find((button) => button.dataset.key === event.key.toLowerCase());
    if (!pressed || (event.repeat && !("repeats" in pressed.dataset))) return; // a key held down judges one row
    pressed.click();
    event.preventDefault();
  }

  listenToBar() {
    const on = (selector, act) => { this.root.querySelector(selector).onclick = act; };
    for (const button of this.root.querySelectorAll("[data-label]")) button.onclick = () => this.judge(button.dataset.label);
    on(".undo", () => this.undo());
    on(".previous", () => this.step(-1));
    on(".next", () => this.step(1));
    this.list.onkeydown = (event) => {
      const steps = { ArrowDown: 1, ArrowUp: -1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.step(steps[event.key]);
    };
  }

  hear() { document.addEventListener("keydown", this.onKey); } // twice is once
  silence() { document.removeEventListener("keydown", this.onKey); }
}
